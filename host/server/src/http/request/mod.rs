//! Parts of a request: path, body, media types.

pub mod extract;
pub mod media;
mod tables;
