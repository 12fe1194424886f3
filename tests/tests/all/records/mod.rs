//! Records from staging to import: validation, mapping, provenance, trials and counts.

mod berka;
mod changed_rows;
mod generated;
mod invalid_records;
mod kills;
mod mapper_comparison;
mod provenance;
mod remap;
mod staging;
pub mod trial;
mod undo;
