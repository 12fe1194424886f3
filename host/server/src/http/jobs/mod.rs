//! Jobs: start, read, cancel, pause.

pub mod cancel;
pub mod read;
pub mod response;
pub mod start;
mod tasks;
