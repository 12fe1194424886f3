//! The server as a whole: its API, its migrations, restarts and transport.

mod api;
pub mod concurrent_migrations;
mod hygiene;
mod job_totals;
mod migrations;
pub mod restart;
mod transport;
