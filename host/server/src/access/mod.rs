//! Access control: API clients, their secrets and their tokens.

mod client;
mod external_issuer;
mod signing_keys;
mod token;

pub use client::{NewClient, rotate};
pub use external_issuer::ExternalIssuer;
pub use signing_keys::TokenKeys;
pub use token::{Access, AccessError, IssuedToken};
