//! Authentication, authorisation, tokens and limits of each client.

pub mod authn;
pub mod authz;
pub mod client_limits;
pub mod failed_secrets;
pub mod refusals;
pub mod tokens;
