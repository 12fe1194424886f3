//! How header fields are read, without the server that they come to.

#[path = "../../host/src/http/properties.rs"]
pub mod properties;
#[path = "../../host/src/http/tus_fields.rs"]
mod tus_fields;
