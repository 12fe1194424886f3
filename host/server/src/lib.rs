//! The server: application state, HTTP API, access control, start and stop.
//!
//! [`start`] is above [`http`], which is above [`app`]: `app` names no route.

pub mod access;
pub mod app;
pub mod http;
mod start;

pub use start::serve;
