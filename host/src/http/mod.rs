//! The HTTP API: routes, and nothing that another part could do.

mod audit;
mod auth;
mod caller;
mod conditional;
mod differences;
mod events;
mod evidence;
mod extract;
mod health;
mod idempotency;
mod issues;
mod job_tasks;
mod jobs;
mod limits;
mod logs;
mod mappers;
mod media;
mod metrics;
mod migrations;
mod observe;
mod openapi;
mod paging;
mod problem;
mod quarantine;
mod refusals;
mod router;
mod server;
mod source_records;
mod sources;
mod staged;
mod streamed;
mod tokens;
mod upload;

pub use router::router;
pub use server::serve;
