//! The HTTP API: routes, and nothing that another part could do.

mod audit;
mod evidence;
mod issues;
mod jobs;
mod logs;
mod mappers;
mod media;
mod migrations;
mod paging;
mod problem;
mod router;
mod server;
mod sources;
mod staged;
mod upload;

pub use router::router;
pub use server::serve;
