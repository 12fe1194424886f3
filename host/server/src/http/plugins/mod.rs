//! Plugins: push, read, approve, signing keys, mappers.

pub mod approvals;
pub mod mappers;
pub mod plugin_keys;
pub mod push;
pub mod read;
mod response;
