//! Pages: `offset` and `limit` in the query, `items` and figures in the response.

use axum::extract::FromRequestParts;
use axum::http::Uri;
use axum::http::request::Parts;
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};

use crate::http::problem::Problem;
use sluice_catalog::Pagination;
use sluice_model::message;

/// Default and maximum number of items on a page.
const DEFAULT_LIMIT: u64 = 20;
const MAX_LIMIT: u64 = 100;

/// A page of a list.
#[derive(Serialize, ToSchema)]
pub struct PageResponse<T> {
    /// Items on this page.
    pub items: Vec<T>,
    /// Number of items on all pages.
    pub total: u64,
    /// Number of items before this page.
    pub offset: u64,
    /// Maximum number of items on this page.
    pub limit: u64,
}

/// A short list, complete.
#[derive(Serialize, ToSchema)]
pub struct ListResponse<T> {
    /// Items.
    pub items: Vec<T>,
    /// Number of items.
    pub total: u64,
}

impl<T> ListResponse<T> {
    /// Makes a list.
    pub fn new(items: Vec<T>) -> axum::Json<Self> {
        axum::Json(Self { total: items.len() as u64, items })
    }
}

/// Selection of a page.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "describes the query to readers of the API's document; `QueryString` reads it")]
pub struct PageQuery {
    /// Items to skip.
    #[param(minimum = 0, default = 0)]
    offset: Option<i64>,
    /// Maximum number of items to return.
    #[param(minimum = 1, maximum = 100, default = 20)]
    limit: Option<i64>,
}

impl<T> PageResponse<T> {
    /// Makes a page.
    pub fn new(items: Vec<T>, total: u64, page: Pagination) -> axum::Json<Self> {
        axum::Json(Self { items, total, offset: page.offset, limit: page.limit })
    }
}

/// Maximum number of parameters in a query. The server compares every pair.
const MOST_PARAMETERS: usize = 32;

/// Parameters of a query.
pub struct QueryString {
    values: Vec<(String, String)>,
}

impl QueryString {
    fn read(uri: &Uri) -> Result<Self, Problem> {
        let parsed = axum::extract::Query::<Vec<(String, String)>>::try_from_uri(uri);
        let values = parsed
            .map_err(|_| Problem::bad_request("INVALID_QUERY", "The query cannot be read: it is not form-encoded."))?;
        if values.0.len() > MOST_PARAMETERS {
            return Err(Problem::bad_request("INVALID_QUERY", "The query has too many parameters."));
        }
        Ok(Self { values: values.0 })
    }

    /// Returns itself if it has no parameters but these, and each once.
    pub fn only(&self, known: &[&'static str]) -> Result<&Self, Problem> {
        let twice = |index: usize, name: &str| self.values[..index].iter().any(|(earlier, _)| earlier == name);
        if self.values.iter().enumerate().any(|(index, (name, _))| twice(index, name)) {
            return Err(Problem::bad_request("REPEATED_PARAMETER", "The query has a parameter twice."));
        }
        if self.values.iter().any(|(name, _)| !known.contains(&name.as_str())) {
            let detail = message!("The query has an unknown parameter. Parameters: {}.", known.to_vec());
            return Err(Problem::bad_request("UNKNOWN_PARAMETER", detail));
        }
        Ok(self)
    }

    /// Returns the requested page. Refuses parameters other than the page's and `others`.
    pub fn page(&self, others: &[&'static str]) -> Result<Pagination, Problem> {
        self.only(&[&["offset", "limit"], others].concat())?;
        let number = |name: &'static str, default: u64, least: u64, most: u64| match self.get(name) {
            None => Ok(default),
            Some(text) => text.parse().ok().filter(|number| (least..=most).contains(number)).ok_or_else(|| {
                let detail = message!("{} must be a whole number from {} to {}.", name, least, most);
                Problem::bad_request("INVALID_PARAMETER", detail)
            }),
        };
        Ok(Pagination {
            offset: number("offset", 0, 0, i64::MAX as u64)?,
            limit: number("limit", DEFAULT_LIMIT, 1, MAX_LIMIT)?,
        })
    }

    /// Returns the value of a parameter.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.values.iter().find(|(given, _)| given == name).map(|(_, value)| value.as_str())
    }
}

impl<S: Send + Sync> FromRequestParts<S> for QueryString {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Self::read(&parts.uri)
    }
}
