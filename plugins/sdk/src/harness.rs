//! Runs a plugin natively, in `cargo test`: the same code as in the sandbox, without Wasm.
//!
//! A code or a field that the plugin names without having declared it ends the test: in the sandbox the host
//! would not show it.

use crate::bindings::domain::exports::sluice::plugin::importing::Generated;
use crate::bindings::domain::exports::sluice::plugin::validation::{Scope, Validated};
use crate::bindings::mapper::exports::sluice::plugin::mapping::Transformed;
use crate::bindings::types::Produced;
use crate::bindings::types::{Batch, Context, Severity};
use crate::declared::Declared;
use crate::{BatchBuilder, Domain, Id, Mapper, batch, domain, mapper};

/// A migration that exists only in this test.
pub struct Harness {
    context: Context,
}

impl Default for Harness {
    fn default() -> Self {
        Self::new()
    }
}

impl Harness {
    /// A migration with a fixed reference id, nothing loaded. Lookups belong to the test's own thread.
    pub fn new() -> Self {
        tables::clear();
        Self { context: Context { migration: b"sluice-test-case".to_vec(), registered_on: "2026-01-31".into() } }
    }

    /// Makes JSON lines available to a mapper's lookups, as if `source` had been uploaded.
    pub fn load(&self, source: &str, lines: &str) -> &Self {
        tables::load(source, lines);
        self
    }

    /// Makes JSON lines available to a domain plugin's lookups, as if they were staged and imported.
    pub fn stage(&self, entity_type: &str, lines: &str) -> &Self {
        tables::load(entity_type, lines);
        self
    }

    /// The reference id that the migration gives to this natural key.
    pub fn reference_id(&self, entity_type: &str, key: impl std::fmt::Display) -> Id {
        crate::reference_id(&self.context.migration, entity_type, key)
    }

    /// Maps JSON lines of a source. Lookups are held to the mapper's description, as in the sandbox.
    pub fn map<M: Mapper>(&self, source: &str, lines: &str) -> Mapped {
        self.map_batch::<M>(source, pack(lines))
    }

    /// Maps records of a source that need not be lines, or not even text.
    pub fn map_records<M: Mapper>(&self, source: &str, records: &[&[u8]]) -> Mapped {
        let mut packed = BatchBuilder::default();
        records.iter().for_each(|record| packed.push(record));
        self.map_batch::<M>(source, packed.finish())
    }

    fn map_batch<M: Mapper>(&self, source: &str, records: Batch) -> Mapped {
        let description = mapper::driver::describe::<M>();
        let declared = Declared::by_mapper(&description, source);
        tables::hold_to(description);
        let given = records.ends.len() as u32;
        let made = mapper::driver::transform::<M>(self.context.clone(), source.into(), records);
        made.issues.iter().for_each(|issue| declared.hold_issue(issue));
        made.skipped.iter().for_each(|skipped| declared.hold_code(&skipped.code));
        Mapped { made, given }
    }

    /// Validates JSON lines of an entity type; `migration` adds references and rules over records.
    pub fn validate<D: Domain>(&self, entity_type: &str, migration: bool, lines: &str) -> Validated {
        let scope = if migration { Scope::Migration } else { Scope::Record };
        let validated = domain::driver::validate::<D>(self.context.clone(), entity_type.into(), scope, pack(lines));
        let declared = Declared::by_domain(&domain::driver::describe::<D>(), entity_type);
        validated.issues.iter().for_each(|issue| declared.hold_issue(issue));
        validated
    }

    /// What validation finds, one line an issue: `position severity CODE[/RULE] field`.
    pub fn issues<D: Domain>(&self, entity_type: &str, migration: bool, lines: &str) -> Vec<String> {
        self.validate::<D>(entity_type, migration, lines).issues.iter().map(describe).collect()
    }

    /// What is generated from JSON lines of imported records.
    pub fn generate<D: Domain>(&self, entity_type: &str, lines: &str) -> Made {
        let made = domain::driver::generate::<D>(self.context.clone(), entity_type.into(), pack(lines));
        let declared = Declared::by_domain(&domain::driver::describe::<D>(), entity_type);
        made.issues.iter().for_each(|issue| declared.hold_issue(issue));
        Made(made)
    }
}

/// What a domain plugin generated.
pub struct Made(pub Generated);

impl Made {
    /// Its records.
    pub fn records(&self) -> Vec<serde_json::Value> {
        self.0.produced.iter().flat_map(values).collect()
    }

    /// Its records as they were written, one a line.
    pub fn lines(&self) -> String {
        let bodies = self.0.produced.iter().flat_map(|produced| batch::unpack(&produced.records));
        bodies.map(|body| String::from_utf8_lossy(body).into_owned() + "\n").collect()
    }

    /// What was wrong, one line an issue: `position severity CODE[/RULE] field`.
    pub fn issues(&self) -> Vec<String> {
        self.0.issues.iter().map(describe).collect()
    }
}

/// What a mapper made.
pub struct Mapped {
    /// As it crosses the boundary.
    pub made: Transformed,
    given: u32,
}

impl Mapped {
    /// Its records of one entity type.
    pub fn records(&self, entity_type: &str) -> Vec<serde_json::Value> {
        self.made.produced.iter().filter(|produced| produced.entity_type == entity_type).flat_map(values).collect()
    }

    /// Codes and positions of what was skipped.
    pub fn skipped(&self) -> Vec<(String, Vec<u32>)> {
        self.made.skipped.iter().map(|skipped| (skipped.code.clone(), skipped.positions.clone())).collect()
    }

    /// What was wrong, one line an issue: `position severity CODE[/RULE] field`. A record that the
    /// mapper said nothing of is wrong as well, as it is in the sandbox.
    pub fn issues(&self) -> Vec<String> {
        let lost = self.lost().into_iter().map(|position| format!("{position} error NOT_ACCOUNTED_FOR"));
        self.made.issues.iter().map(describe).chain(lost).collect()
    }

    /// Positions of the records that the mapper said nothing of.
    fn lost(&self) -> Vec<u32> {
        let mut accounted = vec![false; self.given as usize];
        let produced = self.made.produced.iter().flat_map(|produced| &produced.origins);
        let skipped = self.made.skipped.iter().flat_map(|skipped| &skipped.positions);
        let errors = self.made.issues.iter().filter(|issue| issue.severity == Severity::Error);
        for position in produced.chain(skipped).chain(errors.map(|issue| &issue.position)) {
            accounted[*position as usize] = true;
        }
        (0..self.given).filter(|&position| !accounted[position as usize]).collect()
    }
}

fn describe(issue: &crate::bindings::types::Issue) -> String {
    let rule = issue.rule.as_ref().map(|rule| format!("/{rule}")).unwrap_or_default();
    let severity = format!("{:?}", issue.severity).to_lowercase();
    let severity = severity.rsplit("::").next().unwrap_or_default().to_owned();
    format!("{} {severity} {}{rule} {}", issue.position, issue.code, issue.field).trim_end().to_owned()
}

fn values(produced: &Produced) -> Vec<serde_json::Value> {
    batch::unpack(&produced.records).map(|body| serde_json::from_slice(body).expect("JSON")).collect()
}

fn pack(lines: &str) -> Batch {
    let mut packed = BatchBuilder::default();
    lines.lines().filter(|line| !line.trim().is_empty()).for_each(|line| packed.push(line.as_bytes()));
    packed.finish()
}

mod cases;
mod folders;
#[cfg_attr(target_family = "wasm", allow(dead_code))]
pub(crate) mod tables;

pub use cases::{Row, parse, with};
pub use folders::check_folders;
