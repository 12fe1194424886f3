//! Verbs about access: clients of the API, the keys that sign tokens, and what one tenant may do with another's rows.

pub mod client;
pub mod keys;
pub mod reference_grant;
