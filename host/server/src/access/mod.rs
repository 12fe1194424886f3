//! Who may: API clients, their secrets, and the tokens that they call with.

mod client;
mod external;
mod keys;
mod token;

pub use client::{NewClient, rotate};
pub use external::External;
pub use keys::TokenKeys;
pub use token::{Access, AccessError, Issued};
