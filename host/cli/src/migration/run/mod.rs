//! A run of a migration through the five steps, and its report.

pub mod invalid_records;
pub mod report;
pub mod report_text;
pub mod steps;
