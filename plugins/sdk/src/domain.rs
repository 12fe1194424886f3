//! A domain plugin: the trait its author implements, and what drives it batch by batch.

use std::collections::{HashMap, HashSet};

use serde::Deserialize;

use crate::bindings::domain::exports::sluice::plugin::{importing, validation};
use crate::bindings::types::{Batch, Context, Produced, Severity};
use crate::check::{Checker, Reference, Shape, reference_paths};
use crate::schema::Entity;
use crate::{BatchBuilder, Finding, Id, batch, finding, lookup, reference_id};

/// The platform's rules for one domain.
pub trait Domain: 'static {
    /// Lower-case name of the plugin.
    const NAME: &'static str;
    /// The domain as the API names it.
    const DOMAIN: &'static str;
    /// Its entity types.
    const ENTITIES: &'static [Entity];
    /// Codes of its own rules and issues. What is not declared is not shown; those of `TALLY_RULES` are.
    const CODES: &'static [&'static str] = &[];
    /// Rules over many records: code, and the field that an issue names.
    const TALLY_RULES: &'static [(&'static str, &'static str)] = &[];
    /// Records made from imported ones: what is made, from what, and what must be imported before.
    const GENERATIONS: &'static [Generation] = &[];

    /// Rules between a record's own fields, for records whose shape is right.
    fn record_rules(entity_type: &str, record: &Checked, findings: &mut Findings) {
        let _ = (entity_type, record, findings);
    }

    /// Rules that need other records, for a whole batch at a time; each record's findings are at its
    /// own place in `findings`. References have been checked already.
    fn migration_rules(entity_type: &str, records: &[Checked], findings: &mut [Findings]) {
        let _ = (entity_type, records, findings);
    }

    /// Makes records from imported ones.
    fn generate(entity_type: &str, sources: &[Checked], out: &mut Generated) {
        let _ = (entity_type, sources, out);
    }
}

/// One way of making records from imported ones.
#[derive(Clone, Copy, Debug)]
pub struct Generation {
    /// What is made.
    pub entity_type: &'static str,
    /// From what.
    pub source: &'static str,
    /// What must have been imported before.
    pub after: &'static [&'static str],
    /// Names of the source's fields that an issue may name.
    pub fields: &'static [&'static str],
}

/// A record whose shape is right.
pub struct Checked<'a> {
    /// Its reference id.
    pub id: Id,
    /// One JSON object.
    pub body: &'a [u8],
    context: &'a Context,
    unknown: &'a Unknown,
}

/// References of a batch that lead nowhere.
type Unknown = HashSet<(&'static str, Id)>;

impl<'a> Checked<'a> {
    /// Reads the fields that a rule needs. The shape was checked, so a misfit is the plugin's mistake.
    pub fn parse<T: Deserialize<'a>>(&self) -> T {
        serde_json::from_slice(self.body).expect("a checked record fits its own table of fields")
    }

    /// Whether a reference of this record leads to a record. Where it does not, `UNKNOWN_REFERENCE` has
    /// been reported, and rules that follow it should keep quiet.
    pub fn resolves(&self, entity_type: &'static str, id: Id) -> bool {
        !self.unknown.contains(&(entity_type, id))
    }

    /// The reference id, in this migration, of the record of `entity_type` with this natural key.
    pub fn reference_id(&self, entity_type: &str, key: impl std::fmt::Display) -> Id {
        reference_id(&self.context.migration, entity_type, key)
    }
}

/// What rules find about one record.
#[derive(Default)]
pub struct Findings {
    findings: Vec<Finding>,
    tallies: Vec<Tally>,
}

struct Tally {
    rule: usize,
    key: u128,
    amount: i64,
    limit: i64,
}

impl Findings {
    /// Adds what is wrong.
    pub fn report(&mut self, finding: Finding) {
        self.findings.push(finding);
    }

    /// Adds the record's part in the tally rule with this index: all amounts with the same key may not
    /// add up to more than the limit. Amounts of money are in minor units.
    pub fn tally(&mut self, rule: usize, key: Id, amount: i64, limit: i64) {
        self.tallies.push(Tally { rule, key: key.0.as_u128(), amount, limit });
    }
}

/// Where generated records go.
#[derive(Default)]
pub struct Generated {
    position: u32,
    records: BatchBuilder,
    origins: Vec<u32>,
    findings: Vec<(u32, Finding)>,
}

impl Generated {
    /// Says which of the sources the next records come from.
    pub fn from_source(&mut self, index: usize) {
        self.position = index as u32;
    }

    /// Adds a record.
    pub fn put<T: serde::Serialize + ?Sized>(&mut self, record: &T) {
        self.records.push_json(record);
        self.origins.push(self.position);
    }

    /// Says why nothing can be made of the current source.
    pub fn report(&mut self, finding: Finding) {
        self.findings.push((self.position, finding));
    }
}

/// Other records that a batch needs, fetched in one call.
pub struct Related {
    bodies: Vec<Vec<u8>>,
    by_id: HashMap<Id, Vec<usize>>,
}

impl Related {
    /// The records with these reference ids, staged or imported.
    pub fn read(entity_type: &str, ids: impl IntoIterator<Item = Id>) -> Self {
        let mut related = Self::empty();
        lookup::read(entity_type, &distinct(ids), |id, body| related.add(id, body));
        related
    }

    /// Imported records whose `field` (a column's name) refers to one of these ids.
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

    /// The records that answered this id, as what a rule needs of them.
    pub fn of<'a, T: Deserialize<'a>>(&'a self, id: Id) -> impl Iterator<Item = T> + 'a {
        self.by_id.get(&id).into_iter().flatten().map(|&index| {
            serde_json::from_slice(&self.bodies[index]).expect("a staged record fits its own table of fields")
        })
    }
}

fn distinct(ids: impl IntoIterator<Item = Id>) -> Vec<Id> {
    let mut ids: Vec<Id> = ids.into_iter().collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

#[doc(hidden)]
pub mod driver {
    use super::*;

    pub fn describe<D: Domain>() -> validation::Description {
        validation::Description {
            name: D::NAME.into(),
            version: env!("CARGO_PKG_VERSION").into(),
            domain: D::DOMAIN.into(),
            entity_types: D::ENTITIES.iter().map(Entity::describe).collect(),
            count_groups: D::ENTITIES.iter().flat_map(Entity::count_groups).collect(),
            tally_rules: D::TALLY_RULES
                .iter()
                .map(|&(code, field)| validation::TallyRule {
                    code: code.into(),
                    severity: Severity::Error,
                    field: field.into(),
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
        // On its own a record's references are not followed, so they are not kept either.
        let mut checker = Checker::new(entity, scope == validation::Scope::Migration);
        let mut shapes: Vec<Shape> =
            bodies.iter().enumerate().map(|(index, body)| checker.check(index, body)).collect();

        let whole: Vec<usize> = (0..shapes.len())
            .filter(|&index| shapes[index].findings.is_empty() && shapes[index].id.is_some())
            .collect();
        let unknown = check_references(entity, &bodies, checker.references(), &mut shapes);
        let checked: Vec<Checked> = whole
            .iter()
            .map(|&index| Checked {
                id: shapes[index].id.expect("just asked"),
                body: bodies[index],
                context: &context,
                unknown: &unknown,
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
            validation::Validated { ids: Vec::with_capacity(shapes.len() * 16), issues: vec![], tallies: vec![] };
        let mut ruled = whole.into_iter().zip(findings).peekable();
        for (index, shape) in shapes.into_iter().enumerate() {
            let position = index as u32;
            validated.ids.extend_from_slice(shape.id.as_ref().map_or(&[0; 16][..], |id| id.bytes()));
            validated.issues.extend(shape.findings.into_iter().map(|finding| finding.at(position)));
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

    fn check_references(
        entity: &'static Entity,
        bodies: &[&[u8]],
        references: Vec<Reference>,
        shapes: &mut [Shape],
    ) -> Unknown {
        let mut by_type: Vec<(&'static str, Vec<Id>)> = vec![];
        for reference in &references {
            match by_type.iter_mut().find(|(entity_type, _)| *entity_type == reference.entity_type) {
                Some((_, ids)) => ids.push(reference.id),
                None => by_type.push((reference.entity_type, vec![reference.id])),
            }
        }
        let mut unknown = Unknown::new();
        for (entity_type, ids) in by_type {
            unknown.extend(lookup::missing(entity_type, &distinct(ids)).into_iter().map(|id| (entity_type, id)));
        }
        for reference in references {
            if !unknown.is_empty() && unknown.contains(&(reference.entity_type, reference.id)) {
                let path = reference_paths(entity, bodies[reference.record]).swap_remove(reference.ordinal);
                shapes[reference.record].findings.push(finding("UNKNOWN_REFERENCE", path));
            }
        }
        unknown
    }

    pub fn plan<D: Domain>(_context: Context, _entity_type: String, records: Batch) -> importing::Planned {
        let steps = (0..records.ends.len())
            .map(|position| importing::Step { position: position as u32, operation: importing::Operation::Store })
            .collect();
        let bodies = Batch { bytes: vec![], ends: vec![0; records.ends.len()] };
        importing::Planned { steps, bodies, issues: vec![] }
    }

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
        let unknown = Unknown::new();
        let sources: Vec<Checked> = batch::unpack(&records)
            .map(|body| {
                let Identified { id } = serde_json::from_slice(body)
                    .unwrap_or_else(|_| panic!("an imported record of {} has no referenceId", generation.source));
                Checked { id, body, context: &context, unknown: &unknown }
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

/// Makes the type that implements [`Domain`] the component's domain plugin.
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
