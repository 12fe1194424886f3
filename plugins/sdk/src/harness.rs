//! Runs a plugin natively in `cargo test`: the same code as in the sandbox, without Wasm.
//!
//! The harness panics if the plugin names a code or field that its description does not declare, because the host would
//! not show it.

use crate::bindings::domain::exports::sluice::plugin::importing::Generated;
use crate::bindings::domain::exports::sluice::plugin::validation::{Scope, Validated};
use crate::bindings::mapper::exports::sluice::plugin::mapping::Transformed;
use crate::bindings::types::Produced;
use crate::bindings::types::{Batch, Context, Severity};
use crate::declarations::Declarations;
use crate::{BatchBuilder, Domain, Id, Mapper, batch, domain, mapper};

/// A test migration.
pub struct Harness {
    context: Context,
}

impl Default for Harness {
    fn default() -> Self {
        Self::new()
    }
}

impl Harness {
    /// Creates a migration with a fixed reference id and no loaded records. Clears the records that earlier harnesses
    /// of the same thread have loaded.
    pub fn new() -> Self {
        lookup_tables::clear();
        Self { context: Context { migration: b"sluice-test-case".to_vec(), registered_on: "2026-01-31".into() } }
    }

    /// Makes JSON lines available to a mapper's lookups, as if `source` had been uploaded.
    pub fn load(&self, source: &str, lines: &str) -> &Self {
        lookup_tables::load(source, lines);
        self
    }

    /// Makes JSON lines available to a domain plugin's lookups, as if they were staged and imported.
    pub fn stage(&self, entity_type: &str, lines: &str) -> &Self {
        lookup_tables::load(entity_type, lines);
        self
    }

    /// Returns the reference id of the record of `entity_type` with this natural key.
    pub fn reference_id(&self, entity_type: &str, key: impl std::fmt::Display) -> Id {
        crate::reference_id(&self.context.migration, entity_type, key)
    }

    /// Maps JSON lines of a source. Lookups fail if the mapper's description does not declare them, as in the sandbox.
    pub fn map<M: Mapper>(&self, source: &str, lines: &str) -> Mapped {
        self.map_batch::<M>(source, pack(lines))
    }

    /// Maps records of a source, which may be any bytes.
    pub fn map_records<M: Mapper>(&self, source: &str, records: &[&[u8]]) -> Mapped {
        let mut packed = BatchBuilder::default();
        records.iter().for_each(|record| packed.push(record));
        self.map_batch::<M>(source, packed.finish())
    }

    fn map_batch<M: Mapper>(&self, source: &str, records: Batch) -> Mapped {
        let description = mapper::driver::describe::<M>();
        let declarations = Declarations::of_mapper(&description, source);
        lookup_tables::set_description(description);
        let input_records = records.ends.len() as u32;
        let made = mapper::driver::transform::<M>(self.context.clone(), source.into(), records);
        made.issues.iter().for_each(|issue| declarations.assert_issue(issue));
        made.skipped.iter().for_each(|skipped| declarations.assert_code(&skipped.code));
        Mapped { made, input_records }
    }

    /// Validates JSON lines of an entity type: in scope `migration` if `migration` is true, otherwise in scope
    /// `record`.
    pub fn validate<D: Domain>(&self, entity_type: &str, migration: bool, lines: &str) -> Validated {
        let scope = if migration { Scope::Migration } else { Scope::Record };
        let validated = domain::driver::validate::<D>(self.context.clone(), entity_type.into(), scope, pack(lines));
        let declarations = Declarations::of_domain(&domain::driver::describe::<D>(), entity_type);
        validated.issues.iter().for_each(|issue| declarations.assert_issue(issue));
        validated
    }

    /// Validates JSON lines of an entity type. Returns the issues as `position severity CODE[/RULE] field`.
    pub fn issues<D: Domain>(&self, entity_type: &str, migration: bool, lines: &str) -> Vec<String> {
        self.validate::<D>(entity_type, migration, lines).issues.iter().map(describe).collect()
    }

    /// Generates records of `entity_type` from JSON lines of imported records.
    pub fn generate<D: Domain>(&self, entity_type: &str, lines: &str) -> Made {
        let made = domain::driver::generate::<D>(self.context.clone(), entity_type.into(), pack(lines));
        let declarations = Declarations::of_domain(&domain::driver::describe::<D>(), entity_type);
        made.issues.iter().for_each(|issue| declarations.assert_issue(issue));
        Made(made)
    }
}

/// The result of a generation.
pub struct Made(pub Generated);

impl Made {
    /// Returns the generated records.
    pub fn records(&self) -> Vec<serde_json::Value> {
        self.0.produced.iter().flat_map(values).collect()
    }

    /// Returns the generated records byte for byte, one per line.
    pub fn lines(&self) -> String {
        let bodies = self.0.produced.iter().flat_map(|produced| batch::unpack(&produced.records));
        bodies.map(|body| String::from_utf8_lossy(body).into_owned() + "\n").collect()
    }

    /// Returns the issues as `position severity CODE[/RULE] field`.
    pub fn issues(&self) -> Vec<String> {
        self.0.issues.iter().map(describe).collect()
    }
}

/// The result of mapping a batch.
pub struct Mapped {
    /// Result of the mapper, as it crosses the boundary.
    pub made: Transformed,
    input_records: u32,
}

impl Mapped {
    /// Returns the records of one entity type.
    pub fn records(&self, entity_type: &str) -> Vec<serde_json::Value> {
        self.made.produced.iter().filter(|produced| produced.entity_type == entity_type).flat_map(values).collect()
    }

    /// Returns the skipped records: each code with its positions.
    pub fn skipped(&self) -> Vec<(String, Vec<u32>)> {
        self.made.skipped.iter().map(|skipped| (skipped.code.clone(), skipped.positions.clone())).collect()
    }

    /// Returns the issues as `position severity CODE[/RULE] field`. Adds `NOT_ACCOUNTED_FOR` for each record that the
    /// mapper did not account for, as the host does.
    pub fn issues(&self) -> Vec<String> {
        let unaccounted = self.unaccounted().into_iter().map(|position| format!("{position} error NOT_ACCOUNTED_FOR"));
        self.made.issues.iter().map(describe).chain(unaccounted).collect()
    }

    /// Returns the positions of records that the mapper neither produced from, nor skipped, nor reported with an error.
    fn unaccounted(&self) -> Vec<u32> {
        let mut accounted = vec![false; self.input_records as usize];
        let produced = self.made.produced.iter().flat_map(|produced| &produced.origins);
        let skipped = self.made.skipped.iter().flat_map(|skipped| &skipped.positions);
        let errors = self.made.issues.iter().filter(|issue| issue.severity == Severity::Error);
        for position in produced.chain(skipped).chain(errors.map(|issue| &issue.position)) {
            accounted[*position as usize] = true;
        }
        (0..self.input_records).filter(|&position| !accounted[position as usize]).collect()
    }
}

/// Returns the issue as `position severity CODE[/RULE] field`.
fn describe(issue: &crate::bindings::types::Issue) -> String {
    let rule = issue.rule.as_ref().map(|rule| format!("/{rule}")).unwrap_or_default();
    let severity = format!("{:?}", issue.severity).to_lowercase();
    let severity = severity.rsplit("::").next().unwrap_or_default().to_owned();
    format!("{} {severity} {}{rule} {}", issue.position, issue.code, issue.field).trim_end().to_owned()
}

/// Returns the records as JSON values.
fn values(produced: &Produced) -> Vec<serde_json::Value> {
    batch::unpack(&produced.records).map(|body| serde_json::from_slice(body).expect("JSON")).collect()
}

/// Returns the lines that are not empty as a batch.
fn pack(lines: &str) -> Batch {
    let mut packed = BatchBuilder::default();
    lines.lines().filter(|line| !line.trim().is_empty()).for_each(|line| packed.push(line.as_bytes()));
    packed.finish()
}

mod case_folders;
#[cfg_attr(target_family = "wasm", allow(dead_code))]
pub(crate) mod lookup_tables;
mod rows;
mod schemas;

pub use case_folders::check_folders;
pub use rows::{Row, parse, with};
pub use schemas::check_schemas;
