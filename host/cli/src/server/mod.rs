//! The server from the command's side: running one, its data directory, logging in to one, its log.

pub mod data_dir;
pub mod local_server;
pub mod login;
pub mod serve;
pub mod telemetry;
