//! Domain plugins: the trait that an author implements, and the driver that calls it batch by batch.

use std::collections::{HashMap, HashSet};

use serde::Deserialize;

use crate::bindings::domain::exports::sluice::plugin::{importing, validation};
use crate::bindings::types::{Batch, Context, Produced, Severity};
use crate::check::{CheckResult, Checker, Reference, reference_paths};
use crate::schema::Entity;
use crate::{BatchBuilder, Finding, Id, batch, finding, lookup, reference_id};

/// A domain plugin: the platform's rules for one domain.
pub trait Domain: 'static {
    /// Name of the plugin, in lower case.
    const NAME: &'static str;
    /// Name of the domain in the API.
    const DOMAIN: &'static str;
    /// Entity types of the domain.
    const ENTITIES: &'static [Entity];
    /// The plugin's own codes of rules and issues. The host does not show undeclared codes. Codes of
    /// [`TALLY_RULES`](Self::TALLY_RULES) need not be repeated.
    const CODES: &'static [&'static str] = &[];
    /// Rules over many records.
    const TALLY_RULES: &'static [TallyRule] = &[];
    /// Kinds of records that the plugin generates from imported records.
    const GENERATIONS: &'static [Generation] = &[];

    /// Checks rules between the fields of a record. Called for records that match their table of fields.
    fn record_rules(entity_type: &str, record: &Checked, findings: &mut Findings) {
        let _ = (entity_type, record, findings);
    }

    /// Checks rules that need other records, for a batch of records that match their table of fields. `findings` has
    /// one element per record. References have been checked already.
    fn migration_rules(entity_type: &str, records: &[Checked], findings: &mut [Findings]) {
        let _ = (entity_type, records, findings);
    }

    /// Generates records of `entity_type` from imported records.
    fn generate(entity_type: &str, sources: &[Checked], out: &mut Generated) {
        let _ = (entity_type, sources, out);
    }
}

/// A rule over many records: the amounts of the tallies with the same key must not add up to more than their limit. See
/// [`Findings::tally`].
#[derive(Clone, Copy, Debug)]
pub struct TallyRule {
    /// Code of the rule.
    pub code: &'static str,
    /// Path of the field that an issue names.
    pub field: &'static str,
    /// Severity of an issue.
    pub severity: Severity,
}

impl TallyRule {
    /// Returns a rule whose issues are errors.
    pub const fn error(code: &'static str, field: &'static str) -> Self {
        Self { code, field, severity: Severity::Error }
    }

    /// Returns a rule whose issues are warnings, which stop nothing.
    pub const fn warning(code: &'static str, field: &'static str) -> Self {
        Self { code, field, severity: Severity::Warning }
    }
}

/// A kind of record that a plugin generates from imported records.
#[derive(Clone, Copy, Debug)]
pub struct Generation {
    /// Entity type of the generated records.
    pub entity_type: &'static str,
    /// Entity type of the imported records that they are generated from.
    pub source: &'static str,
    /// Further entity types that must be imported before.
    pub after: &'static [&'static str],
    /// Names of the source's fields that issues may name.
    pub fields: &'static [&'static str],
}

/// A record that matches its table of fields.
pub struct Checked<'a> {
    /// Reference id of the record.
    pub id: Id,
    /// The record, one JSON object.
    pub body: &'a [u8],
    context: &'a Context,
    unresolved: &'a UnresolvedReferences,
}

/// References of a batch to records that do not exist: entity type and id.
type UnresolvedReferences = HashSet<(&'static str, Id)>;

impl<'a> Checked<'a> {
    /// Reads the fields that a rule needs.
    ///
    /// # Panics
    ///
    /// If the record does not fit `T`. The record matches its table of fields, so `T` contradicts the table.
    pub fn parse<T: Deserialize<'a>>(&self) -> T {
        serde_json::from_slice(self.body).expect("a checked record must fit the type that a rule reads")
    }

    /// Returns true if a reference of this record leads to a record. If it does not, `UNKNOWN_REFERENCE` has been
    /// reported, and rules that follow the reference must report nothing.
    pub fn resolves(&self, entity_type: &'static str, id: Id) -> bool {
        !self.unresolved.contains(&(entity_type, id))
    }

    /// Returns the reference id, in this migration, of the record of `entity_type` with this natural key.
    pub fn reference_id(&self, entity_type: &str, key: impl std::fmt::Display) -> Id {
        reference_id(&self.context.migration, entity_type, key)
    }
}

/// The findings and tallies of one record.
#[derive(Default)]
pub struct Findings {
    findings: Vec<Finding>,
    tallies: Vec<Tally>,
}

/// A contribution to a rule over many records.
struct Tally {
    rule: usize,
    key: u128,
    amount: i64,
    limit: i64,
}

impl Findings {
    /// Adds a finding about the record.
    pub fn report(&mut self, finding: Finding) {
        self.findings.push(finding);
    }

    /// Adds the record's contribution to the tally rule with this index. The amounts with the same key must not add up
    /// to more than the limit. Amounts of money are in minor units.
    pub fn tally(&mut self, rule: usize, key: Id, amount: i64, limit: i64) {
        self.tallies.push(Tally { rule, key: key.0.as_u128(), amount, limit });
    }
}

/// The output of a generation.
#[derive(Default)]
pub struct Generated {
    position: u32,
    records: BatchBuilder,
    origins: Vec<u32>,
    findings: Vec<(u32, Finding)>,
}

impl Generated {
    /// Sets the source of the next records and findings, as an index of `sources`.
    pub fn from_source(&mut self, index: usize) {
        self.position = index as u32;
    }

    /// Adds a record, written as JSON.
    pub fn put<T: serde::Serialize + ?Sized>(&mut self, record: &T) {
        self.records.push_json(record);
        self.origins.push(self.position);
    }

    /// Adds a finding about the current source.
    pub fn report(&mut self, finding: Finding) {
        self.findings.push((self.position, finding));
    }
}

/// Other records that a batch needs, fetched together.
pub struct Related {
    bodies: Vec<Vec<u8>>,
    by_id: HashMap<Id, Vec<usize>>,
}

impl Related {
    /// Fetches the staged or imported records with these reference ids.
    ///
    /// # Panics
    ///
    /// If the host refuses the lookup.
    pub fn read(entity_type: &str, ids: impl IntoIterator<Item = Id>) -> Self {
        let mut related = Self::empty();
        lookup::read(entity_type, &distinct(ids), |id, body| related.add(id, body));
        related
    }

    /// Fetches the imported records whose `field` (the name of a column) refers to one of these ids.
    ///
    /// # Panics
    ///
    /// If the host refuses the lookup.
    pub fn referring(entity_type: &str, field: &str, ids: impl IntoIterator<Item = Id>) -> Self {
        let mut related = Self::empty();
        lookup::referring(entity_type, field, &distinct(ids), |id, body| related.add(id, body));
        related
    }

    fn empty() -> Self {
        Self { bodies: vec![], by_id: HashMap::new() }
    }

    fn add(&mut self, id: Id, body: &[u8]) {
        self.by_id.entry(id).or_default().push(self.bodies.len());
        self.bodies.push(body.to_vec());
    }

    /// Returns the records that answered this id, read as `T`.
    ///
    /// # Panics
    ///
    /// If a record does not fit `T`.
    pub fn of<'a, T: Deserialize<'a>>(&'a self, id: Id) -> impl Iterator<Item = T> + 'a {
        self.by_id.get(&id).into_iter().flatten().map(|&index| {
            serde_json::from_slice(&self.bodies[index]).expect("a staged record must fit the type that a rule reads")
        })
    }
}

/// Returns the ids in ascending order, each once.
fn distinct(ids: impl IntoIterator<Item = Id>) -> Vec<Id> {
    let mut ids: Vec<Id> = ids.into_iter().collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

/// The driver of a domain plugin: the exports of its component.
#[doc(hidden)]
pub mod driver {
    use super::*;

    /// Returns the plugin's description.
    pub fn describe<D: Domain>() -> validation::Description {
        validation::Description {
            name: D::NAME.into(),
            version: env!("CARGO_PKG_VERSION").into(),
            domain: D::DOMAIN.into(),
            entity_types: D::ENTITIES.iter().map(Entity::describe).collect(),
            count_groups: D::ENTITIES.iter().flat_map(Entity::count_groups).collect(),
            tally_rules: D::TALLY_RULES
                .iter()
                .map(|rule| validation::TallyRule {
                    code: rule.code.into(),
                    severity: rule.severity,
                    field: rule.field.into(),
                })
                .collect(),
            generations: D::GENERATIONS
                .iter()
                .map(|generation| validation::Generation {
                    entity_type: generation.entity_type.into(),
                    source: generation.source.into(),
                    after: generation.after.iter().map(|&name| name.into()).collect(),
                    fields: generation.fields.iter().map(|&name| name.into()).collect(),
                })
                .collect(),
            codes: D::CODES.iter().map(|&code| code.into()).collect(),
        }
    }

    /// Validates a batch.
    pub fn validate<D: Domain>(
        context: Context,
        entity_type: String,
        scope: validation::Scope,
        records: Batch,
    ) -> validation::Validated {
        let Some(entity) = D::ENTITIES.iter().find(|entity| entity.name == entity_type) else {
            panic!("{} has no entity type {entity_type}", D::NAME);
        };
        let bodies: Vec<&[u8]> = batch::unpack(&records).collect();
        // Scope `record` does not follow references, so the checker does not record them.
        let mut checker = Checker::new(entity, scope == validation::Scope::Migration);
        let mut results: Vec<CheckResult> =
            bodies.iter().enumerate().map(|(index, body)| checker.check(index, body)).collect();

        let valid: Vec<usize> = (0..results.len())
            .filter(|&index| results[index].findings.is_empty() && results[index].id.is_some())
            .collect();
        let unresolved = check_references(entity, &bodies, checker.references(), &mut results);
        let checked: Vec<Checked> = valid
            .iter()
            .map(|&index| Checked {
                id: results[index].id.expect("a valid record has an id"),
                body: bodies[index],
                context: &context,
                unresolved: &unresolved,
            })
            .collect();
        let mut findings: Vec<Findings> = checked.iter().map(|_| Findings::default()).collect();
        for (record, findings) in checked.iter().zip(&mut findings) {
            D::record_rules(&entity_type, record, findings);
        }
        if scope == validation::Scope::Migration {
            D::migration_rules(&entity_type, &checked, &mut findings);
        }

        let mut validated =
            validation::Validated { ids: Vec::with_capacity(results.len() * 16), issues: vec![], tallies: vec![] };
        let mut ruled = valid.into_iter().zip(findings).peekable();
        for (index, result) in results.into_iter().enumerate() {
            let position = index as u32;
            validated.ids.extend_from_slice(result.id.as_ref().map_or(&[0; 16][..], |id| id.bytes()));
            validated.issues.extend(result.findings.into_iter().map(|finding| finding.at(position)));
            if let Some((_, ruled)) = ruled.next_if(|&(of, _)| of == index) {
                validated.issues.extend(ruled.findings.into_iter().map(|finding| finding.at(position)));
                validated.tallies.extend(ruled.tallies.into_iter().map(|tally| validation::Tally {
                    position,
                    rule: tally.rule as u32,
                    key: ((tally.key >> 64) as u64, tally.key as u64),
                    amount: tally.amount,
                    limit: tally.limit,
                }));
            }
        }
        validated
    }

    /// Reports the references to records that do not exist, and returns them.
    fn check_references(
        entity: &'static Entity,
        bodies: &[&[u8]],
        references: Vec<Reference>,
        results: &mut [CheckResult],
    ) -> UnresolvedReferences {
        let mut by_type: Vec<(&'static str, Vec<Id>)> = vec![];
        for reference in &references {
            match by_type.iter_mut().find(|(entity_type, _)| *entity_type == reference.entity_type) {
                Some((_, ids)) => ids.push(reference.id),
                None => by_type.push((reference.entity_type, vec![reference.id])),
            }
        }
        let mut unresolved = UnresolvedReferences::new();
        for (entity_type, ids) in by_type {
            unresolved.extend(lookup::missing(entity_type, &distinct(ids)).into_iter().map(|id| (entity_type, id)));
        }
        for reference in references {
            if !unresolved.is_empty() && unresolved.contains(&(reference.entity_type, reference.id)) {
                let path = reference_paths(entity, bodies[reference.record]).swap_remove(reference.ordinal);
                results[reference.record].findings.push(finding("UNKNOWN_REFERENCE", path));
            }
        }
        unresolved
    }

    /// Plans the import of a batch: every record is stored unchanged.
    pub fn plan<D: Domain>(_context: Context, _entity_type: String, records: Batch) -> importing::Planned {
        let steps = (0..records.ends.len())
            .map(|position| importing::Step { position: position as u32, operation: importing::Operation::Store })
            .collect();
        let bodies = Batch { bytes: vec![], ends: vec![0; records.ends.len()] };
        importing::Planned { steps, bodies, issues: vec![] }
    }

    /// Generates records from a batch of imported records.
    pub fn generate<D: Domain>(context: Context, entity_type: String, records: Batch) -> importing::Generated {
        let generation = D::GENERATIONS
            .iter()
            .find(|generation| generation.entity_type == entity_type)
            .unwrap_or_else(|| panic!("{} generates no {entity_type}", D::NAME));
        #[derive(Deserialize)]
        struct Identified {
            #[serde(rename = "referenceId")]
            id: Id,
        }
        let unresolved = UnresolvedReferences::new();
        let sources: Vec<Checked> = batch::unpack(&records)
            .map(|body| {
                let Identified { id } = serde_json::from_slice(body)
                    .unwrap_or_else(|_| panic!("an imported record of {} has no referenceId", generation.source));
                Checked { id, body, context: &context, unresolved: &unresolved }
            })
            .collect();
        let mut out = Generated::default();
        D::generate(&entity_type, &sources, &mut out);
        importing::Generated {
            produced: vec![Produced { entity_type, records: out.records.finish(), origins: out.origins }],
            issues: out.findings.into_iter().map(|(position, finding)| finding.at(position)).collect(),
        }
    }
}

/// Exports the type that implements [`Domain`] as the component's domain plugin.
#[macro_export]
macro_rules! domain {
    ($domain:ty) => {
        const _: () = {
            use $crate::__export::bindings::domain::exports::sluice::plugin::{importing, validation};
            use $crate::__export::{domain, install_panic_hook};
            use $crate::bindings::types::{Batch, Context};

            struct Component;
            impl validation::Guest for Component {
                fn describe() -> validation::Description {
                    install_panic_hook();
                    domain::describe::<$domain>()
                }
                fn validate(
                    context: Context,
                    entity_type: String,
                    scope: validation::Scope,
                    records: Batch,
                ) -> validation::Validated {
                    install_panic_hook();
                    domain::validate::<$domain>(context, entity_type, scope, records)
                }
            }
            impl importing::Guest for Component {
                fn plan(context: Context, entity_type: String, records: Batch) -> importing::Planned {
                    install_panic_hook();
                    domain::plan::<$domain>(context, entity_type, records)
                }
                fn generate(context: Context, entity_type: String, records: Batch) -> importing::Generated {
                    install_panic_hook();
                    domain::generate::<$domain>(context, entity_type, records)
                }
            }
            #[cfg(target_family = "wasm")]
    $crate::bindings::domain::export_domain!(Component with_types_in $crate::bindings::domain);
        };
    };
}
