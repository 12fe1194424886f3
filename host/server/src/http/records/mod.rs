//! Records of a migration: staged records, source records, issues, quarantine, provenance, differences.

pub mod differences;
pub mod issues;
mod original_records;
pub mod provenance;
pub mod quarantine;
mod send_records;
pub mod source_records;
pub mod stage;
pub mod staged;
mod staged_path;
