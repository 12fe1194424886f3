//! Uploads: media types, compression, streaming and resumption.

mod compressed;
mod csv_tables;
mod figures_agree;
mod invalid_requests;
mod json_suite;
mod streaming;
mod tus_client;
mod tus_connections;
pub mod tus_requests;
