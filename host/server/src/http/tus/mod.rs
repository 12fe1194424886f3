//! Resumable uploads (tus 1.0).

pub mod create;
pub mod delete;
pub mod headers;
pub mod patch;
pub mod read;
pub mod results;
pub mod resume_pending;
mod upload;
