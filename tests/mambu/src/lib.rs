//! A stateful mock of the Mambu banking API v2: the calls that an import needs, exact amounts, Mambu's errors, and
//! fault injection.
//!
//! ```no_run
//! # async fn example() -> std::io::Result<()> {
//! use mock_mambu::{FaultKind, FaultRule, MockMambu, MockOptions};
//! let mambu = MockMambu::start(MockOptions::default()).await?;
//! mambu.order(FaultRule::nth("POST", "/clients", 2, FaultKind::LostAnswer));
//! println!("{}/api/clients", mambu.url());
//! assert_eq!(mambu.stats().calls, 0);
//! mambu.stop().await;
//! # Ok(())
//! # }
//! ```
//!
//! The mock has no running clock: interest does not accrue and installments do not become late. Its time zone is UTC.

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

// Former names, for tests of other crates.
#[doc(hidden)]
pub use faults::{FaultKind as Kind, FaultRule as Fault};
pub use faults::{FaultKind, FaultRule, FaultStatus};
#[doc(hidden)]
pub use options::MockOptions as Options;
pub use options::{MockCredentials, MockOptions};
pub use server::{MockMambu, MockServer};
#[doc(hidden)]
pub use server::{MockMambu as Mambu, MockServer as Running};
pub use stats::{CallCount, CallStats};

/// Encoded key of the only loan product.
pub const PRODUCT_KEY: &str = "8a8e867182b1bd0a0182b1c4c3b90001";

/// Encoded key of the only branch.
pub const BRANCH_KEY: &str = "8a8e867182b1bd0a0182b1c4c3b90002";

/// Id of the branch with [`BRANCH_KEY`], for the parameter `branchId`.
pub const BRANCH_ID: &str = "MAIN";

/// Encoded key of the only predefined fee.
pub const FEE_KEY: &str = "8a8e867182b1bd0a0182b1c4c3b90003";

/// API key that the mock accepts unless [`MockOptions::credentials`] replace it.
pub const API_KEY: &str = "mock-mambu-api-key";

/// User that the mock accepts unless [`MockOptions::credentials`] replace it.
pub const USER: &str = "migration";

/// Password of [`USER`].
pub const PASSWORD: &str = "mock-mambu-password";
