//! Uploads: media types, compression, streaming and resumption.

mod compressed;
pub mod csv_tables;
mod damaged_tables;
mod every_cut;
mod figures_agree;
mod invalid_requests;
mod json_suite;
mod streaming;
mod table_cases;
mod table_files;
mod tus_client;
mod tus_connections;
pub mod tus_requests;
