//! The HTTP API: routes, and nothing that another part could do.

mod issues;
mod jobs;
mod logs;
mod mappers;
mod media;
mod migrations;
mod paging;
mod problem;
mod quarantine;
mod router;
mod server;
mod sources;
mod staged;
mod trace;
mod upload;

pub use router::router;
pub use server::serve;
