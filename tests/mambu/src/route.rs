//! Paths below `/api`, and the templates that they are counted by.

use crate::http::decoded;

/// In this order: what is literal comes before what is an id.
const TEMPLATES: &[&str] = &[
    "/clients",
    "/clients:search",
    "/clients/{id}",
    "/deposits",
    "/deposits/{id}",
    "/loans",
    "/loans:search",
    "/loans/transactions:search",
    "/loans/transactions/{id}:adjust",
    "/loans/transactions/{id}",
    "/loans/{id}:changeState",
    "/loans/{id}/schedule",
    "/loans/{id}/transactions",
    "/loans/{id}/disbursement-transactions",
    "/loans/{id}/fee-transactions",
    "/loans/{id}/repayment-transactions",
    "/loans/{id}",
];

/// What paths are counted by that there are none of.
pub const UNKNOWN: &str = "(unknown)";

/// Where a call goes.
pub struct Route {
    pub template: &'static str,
    /// The id in its path, empty if there is none.
    pub id: String,
}

impl Route {
    /// Of a path below `/api`.
    #[must_use]
    pub fn of(path: &str) -> Self {
        let found = TEMPLATES.iter().find_map(|template| Some(Self { template, id: id_by(template, path)? }));
        found.unwrap_or(Self { template: UNKNOWN, id: String::new() })
    }
}

/// The id that makes the template the path; empty if it has none.
fn id_by(template: &str, path: &str) -> Option<String> {
    let Some((before, after)) = template.split_once("{id}") else {
        return (template == path).then(String::new);
    };
    let id = path.strip_prefix(before)?.strip_suffix(after)?;
    (!id.is_empty() && !id.contains('/')).then(|| decoded(id, false))
}
