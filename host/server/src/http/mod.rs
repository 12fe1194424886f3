//! The HTTP API: routes, requests, responses and problems. A folder for each noun of the API.

mod audit;
mod auth;
mod codes;
mod conditional;
mod connections;
mod connector;
mod idempotency;
mod jobs;
mod migrations;
mod monitoring;
mod observe;
mod openapi;
mod paging;
mod plugins;
mod prefer;
mod problem;
mod records;
mod request;
mod router;
mod schemas;
mod security_headers;
mod server;
mod sources;
mod streamed;
mod tenants;
mod tus;
mod uploads;

pub use router::router;
pub use server::serve;
pub use tus::resume_pending::resume_pending;
