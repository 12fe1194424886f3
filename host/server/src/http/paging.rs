//! Pages: `offset` and `limit` in the query, `items` and figures in the answer.

use axum::extract::FromRequestParts;
use axum::http::Uri;
use axum::http::request::Parts;
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};

use super::problem::Problem;
use sluice_catalog::Page;
use sluice_model::told;

/// Items on a page unless asked for otherwise, and at most.
const DEFAULT_LIMIT: u64 = 20;
const MAX_LIMIT: u64 = 100;

/// A page of a listing.
#[derive(Serialize, ToSchema)]
pub struct Listing<T> {
    pub items: Vec<T>,
    /// How many there are on all pages.
    pub total: u64,
    pub offset: u64,
    pub limit: u64,
}

/// The whole of a short listing.
#[derive(Serialize, ToSchema)]
pub struct Whole<T> {
    pub items: Vec<T>,
    pub total: u64,
}

impl<T> Whole<T> {
    pub fn new(items: Vec<T>) -> axum::Json<Self> {
        axum::Json(Self { total: items.len() as u64, items })
    }
}

/// Which page is wanted.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "describes the query to readers of the API's document; `Query` reads it")]
pub struct Paged {
    /// Items to pass over.
    #[param(minimum = 0, default = 0)]
    offset: Option<i64>,
    /// Items to give.
    #[param(minimum = 1, maximum = 100, default = 20)]
    limit: Option<i64>,
}

impl<T> Listing<T> {
    pub fn new(items: Vec<T>, total: u64, page: Page) -> axum::Json<Self> {
        axum::Json(Self { items, total, offset: page.offset, limit: page.limit })
    }
}

/// Parameters of a query, at most: every pair of them is compared.
const MOST_PARAMETERS: usize = 32;

/// A query's parameters, of which every one must be known.
pub struct Query {
    values: Vec<(String, String)>,
}

impl Query {
    fn read(uri: &Uri) -> Result<Self, Problem> {
        let parsed = axum::extract::Query::<Vec<(String, String)>>::try_from_uri(uri);
        let values = parsed
            .map_err(|_| Problem::bad_request("INVALID_QUERY", "The query cannot be read: it is not form-encoded."))?;
        if values.0.len() > MOST_PARAMETERS {
            return Err(Problem::bad_request("INVALID_QUERY", "The query has far too many parameters."));
        }
        Ok(Self { values: values.0 })
    }

    /// Itself, if it has no parameter but these, and each once.
    pub fn only(&self, known: &[&'static str]) -> Result<&Self, Problem> {
        let twice = |index: usize, name: &str| self.values[..index].iter().any(|(earlier, _)| earlier == name);
        if self.values.iter().enumerate().any(|(index, (name, _))| twice(index, name)) {
            return Err(Problem::bad_request("REPEATED_PARAMETER", "The query has a parameter twice."));
        }
        if self.values.iter().any(|(name, _)| !known.contains(&name.as_str())) {
            let detail = told!("The query has an unknown parameter. Known are: {}.", known.to_vec());
            return Err(Problem::bad_request("UNKNOWN_PARAMETER", detail));
        }
        Ok(self)
    }

    /// The page asked for; parameters other than these and `others` are refused.
    pub fn page(&self, others: &[&'static str]) -> Result<Page, Problem> {
        self.only(&[&["offset", "limit"], others].concat())?;
        let number = |name: &'static str, default: u64, least: u64, most: u64| match self.get(name) {
            None => Ok(default),
            Some(text) => text.parse().ok().filter(|number| (least..=most).contains(number)).ok_or_else(|| {
                let detail = told!("{} must be a whole number from {} to {}.", name, least, most);
                Problem::bad_request("INVALID_PARAMETER", detail)
            }),
        };
        Ok(Page {
            offset: number("offset", 0, 0, i64::MAX as u64)?,
            limit: number("limit", DEFAULT_LIMIT, 1, MAX_LIMIT)?,
        })
    }

    /// A parameter's value.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.values.iter().find(|(given, _)| given == name).map(|(_, value)| value.as_str())
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Query {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Self::read(&parts.uri)
    }
}
