//! Verbs about a migration: moving, trying, comparing, planning.

pub mod args;
pub mod compare;
pub mod entity_path;
pub mod import;
pub mod job;
pub mod ledger;
pub mod migrate;
pub mod plan;
pub mod records;
pub mod remap;
pub mod result_text;
pub mod run;
mod source_directory;
pub mod source_files;
pub mod trial;
pub mod undo;
pub mod uploads;
