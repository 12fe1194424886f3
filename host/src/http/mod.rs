//! The HTTP API: routes, and nothing that another part could do.

mod approvals;
mod audit;
mod auth;
mod caller;
mod conditional;
mod events;
mod evidence;
mod extract;
mod health;
mod idempotency;
mod issues;
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
mod plugin_keys;
mod plugins;
mod problem;
mod quarantine;
mod records;
mod refusals;
mod router;
mod server;
mod sources;
mod staged;
mod streamed;
mod tokens;
mod upload;

pub use router::router;
pub use server::serve;
