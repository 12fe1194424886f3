//! How a stand-in is set up.

use std::time::Duration;

use jiff::civil::Date;

use crate::{API_KEY, PASSWORD, USER};

/// What lets a caller in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credentials {
    /// The header `apikey`.
    ApiKey(String),
    /// HTTP Basic.
    Basic { user: String, password: String },
}

/// How a stand-in is set up.
#[derive(Clone, Debug)]
pub struct Options {
    /// 0 lets the system choose.
    pub port: u16,
    /// Any one of them lets in.
    pub credentials: Vec<Credentials>,
    /// Calls beyond so many in any one second are answered with 429 and `Retry-After: 1`.
    pub calls_per_second: Option<u32>,
    /// How long an idempotency key is kept after its answer.
    pub idempotency: Duration,
    /// Whether the connection ends after a 102. HTTP clients take a 1xx for an interim answer and wait for the
    /// one that follows: if it ends they see it end, and otherwise wait until their patience does.
    pub close_after_processing: bool,
    /// Encoded keys of products, branches and predefined fees that exist beside [`crate::PRODUCT_KEY`],
    /// [`crate::BRANCH_KEY`] and [`crate::FEE_KEY`].
    pub keys: Vec<String>,
    /// What day it is; today if none.
    pub day: Option<Date>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            port: 0,
            credentials: vec![
                Credentials::ApiKey(API_KEY.to_owned()),
                Credentials::Basic { user: USER.to_owned(), password: PASSWORD.to_owned() },
            ],
            calls_per_second: None,
            idempotency: Duration::from_secs(6 * 60 * 60),
            close_after_processing: false,
            keys: vec![],
            day: None,
        }
    }
}
