//! A stateful stand-in for the Mambu banking API v2: what an import needs of it, with exact amounts, the refusals
//! that Mambu has, and faults to order.
//!
//! ```no_run
//! # async fn example() -> std::io::Result<()> {
//! use mock_mambu::{Fault, Kind, Mambu, Options};
//! let mambu = Mambu::start(Options::default()).await?;
//! mambu.order(Fault::nth("POST", "/clients", 2, Kind::LostAnswer));
//! println!("{}/api/clients", mambu.url());
//! assert_eq!(mambu.stats().calls, 0);
//! mambu.stop().await;
//! # Ok(())
//! # }
//! ```
//!
//! No clock runs in it: no interest accrues, nothing becomes late. Its time is UTC.

mod api;
mod availability;
mod bank;
mod connection;
mod control_api;
mod dates;
mod error_codes;
mod faults;
mod http;
mod idempotency;
mod json;
mod options;
mod route;
mod server;
mod service;
mod stats;

pub use faults::{Fault, Kind, Ordered};
pub use options::{Credentials, Options};
pub use server::{Mambu, Running};
pub use stats::{Count, Stats};

/// The encoded key of the loan product that there is.
pub const PRODUCT_KEY: &str = "8a8e867182b1bd0a0182b1c4c3b90001";

/// The encoded key of the branch that there is.
pub const BRANCH_KEY: &str = "8a8e867182b1bd0a0182b1c4c3b90002";

/// The id of that branch, as `branchId=` names it.
pub const BRANCH_ID: &str = "MAIN";

/// The encoded key of the predefined fee that there is.
pub const FEE_KEY: &str = "8a8e867182b1bd0a0182b1c4c3b90003";

/// The API key that lets in unless [`Options::credentials`] say otherwise.
pub const API_KEY: &str = "mock-mambu-api-key";

/// The user that is let in unless [`Options::credentials`] say otherwise.
pub const USER: &str = "migration";

/// That user's password.
pub const PASSWORD: &str = "mock-mambu-password";
