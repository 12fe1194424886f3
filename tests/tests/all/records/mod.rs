//! Records from staging to import: validation, mapping, provenance, trials and counts.

mod akkuro_samples;
mod berka;
mod both_ways;
mod canonical_ids;
mod changed_rows;
mod corrections;
mod generated;
mod invalid_records;
mod kills;
mod mapper_comparison;
mod provenance;
mod remap;
mod staging;
pub mod trial;
mod undo;
mod withdrawal;
