//! Options of a mock server.

use std::time::Duration;

use jiff::civil::Date;

use crate::{API_KEY, PASSWORD, USER};

/// Credentials that the server accepts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MockCredentials {
    /// An API key in the header `apikey`.
    ApiKey(String),
    /// HTTP Basic authentication.
    Basic {
        /// User name.
        user: String,
        /// Password.
        password: String,
    },
}

/// Options of a mock server.
#[derive(Clone, Debug)]
pub struct MockOptions {
    /// Port, or 0 for a free port.
    pub port: u16,
    /// Accepted credentials. A request needs one of them.
    pub credentials: Vec<MockCredentials>,
    /// Maximum number of calls in any second. More are answered with 429 and `Retry-After: 1`.
    pub calls_per_second: Option<u32>,
    /// Time for which an idempotency key is kept after its response.
    pub idempotency: Duration,
    /// True if the server closes the connection after a 102. HTTP clients treat a 1xx status as an interim response and
    /// wait for the final one. With `true` they detect the end of the connection. With `false` they wait for their
    /// timeout.
    pub close_after_processing: bool,
    /// Encoded keys of products, branches and predefined fees that exist in addition to [`crate::PRODUCT_KEY`],
    /// [`crate::BRANCH_KEY`] and [`crate::FEE_KEY`].
    pub keys: Vec<String>,
    /// Current day of the bank. The actual day if none.
    pub day: Option<Date>,
}

impl Default for MockOptions {
    fn default() -> Self {
        Self {
            port: 0,
            credentials: vec![
                MockCredentials::ApiKey(API_KEY.to_owned()),
                MockCredentials::Basic { user: USER.to_owned(), password: PASSWORD.to_owned() },
            ],
            calls_per_second: None,
            idempotency: Duration::from_secs(6 * 60 * 60),
            close_after_processing: false,
            keys: vec![],
            day: None,
        }
    }
}
