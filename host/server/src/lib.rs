//! The server: application state, uploads, HTTP API, access control, start and stop.
//!
//! The modules are layers, and each uses only those below it: [`serve`] starts the server, [`http`] routes requests,
//! [`ingest`] works on uploads, [`app`] holds the application state, [`access`] authenticates clients.

pub mod access;
pub mod app;
pub mod http;
pub mod ingest;
mod start;

pub use start::serve;

#[cfg(test)]
mod layers;
