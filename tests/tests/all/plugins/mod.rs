//! Plugins: how authors make them, how customers submit them, and how the host treats their faults.

mod approvals;
mod authoring;
mod domain_rules;
mod faulty_guests;
mod files;
mod revocation;
mod run;
mod scalars;
mod tolerance;
mod wasi;
