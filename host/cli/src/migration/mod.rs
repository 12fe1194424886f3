//! Verbs about a migration: moving, trying, comparing, planning.

pub mod connector;
pub mod invalid_records;
pub mod migrate;
pub mod report;
pub mod report_text;
pub mod source_files;
pub mod steps;
pub mod trial;
pub mod trial_text;
