//! Verbs about access to the API: clients, and the keys that sign tokens.

pub mod client;
pub mod keys;
