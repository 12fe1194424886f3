//! Paths below `/api` and their templates.

use crate::http::percent_decode;

/// Path templates. Literal paths precede paths with an id that would match them.
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

/// Template of paths that do not exist.
pub const UNKNOWN: &str = "(unknown)";

/// Destination of a call.
pub struct ApiRoute {
    /// Template of the path.
    pub template: &'static str,
    /// Id in the path, empty if there is none.
    pub id: String,
}

impl ApiRoute {
    /// Parses a path below `/api`.
    #[must_use]
    pub fn of(path: &str) -> Self {
        let found = TEMPLATES.iter().find_map(|template| Some(Self { template, id: match_template(template, path)? }));
        found.unwrap_or(Self { template: UNKNOWN, id: String::new() })
    }
}

/// Returns the id in the path if it matches the template. The id is empty if the template has none.
fn match_template(template: &str, path: &str) -> Option<String> {
    let Some((before, after)) = template.split_once("{id}") else {
        return (template == path).then(String::new);
    };
    let id = path.strip_prefix(before)?.strip_suffix(after)?;
    (!id.is_empty() && !id.contains('/')).then(|| percent_decode(id, false))
}
