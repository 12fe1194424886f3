//! A server for the command: running one, reaching one, its log.

pub mod local_server;
pub mod login;
pub mod serve;
pub mod telemetry;
