//! Records from staging to import: validation, mapping, provenance, trials and counts.

mod akkuro_samples;
mod berka;
mod both_ways;
mod canonical_ids;
mod changed_rows;
mod corrections;
mod invalid_records;
mod mapper_comparison;
mod provenance;
mod remap;
mod staging;
pub mod trial;
mod withdrawal;
