//! Verification: counts and sums of what is staged and of what is in the target, each counted anew.

use std::collections::{BTreeMap, BTreeSet};
use std::iter;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::order::{Stage, stages};
use super::{Desk, Failure, Stop};
use crate::framing::scalar_text;
use crate::model::{Migration, Progress};
use crate::plugin::{CountGroup, DomainPlugin, EntityType, Plugins};
use crate::staging::{SourceStatus, StagedBatch, StreamName};
use crate::store::SourceOutcome;
use crate::target::{Groups, Path, Sums, Target, TargetError, add, money, visit};

/// One verification count, as the API shows it: cells are text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Count {
    /// Such as `TotalEntity`.
    pub r#type: String,
    /// Names of the columns.
    pub headers: Vec<String>,
    /// What is staged.
    pub staged_rows: Vec<Vec<String>>,
    /// What is in the target.
    pub imported_rows: Vec<Vec<String>>,
}

/// Figures of one entity type on one side.
#[derive(Default)]
struct Figures {
    count: u64,
    groups: Vec<Groups>,
    sums: Sums,
}

/// The entity types that a migration's counts are of, in their order, each with its plugin.
pub(super) fn counted(plugins: &Plugins, migration: &Migration) -> Vec<(Arc<DomainPlugin>, EntityType)> {
    let imported = |stage| match stage {
        Stage::Import(plugin, entity_type) => Some((plugin, entity_type)),
        Stage::Generate(..) => None,
    };
    stages(plugins, migration).into_iter().filter_map(imported).collect()
}

/// What is counted by groups of an entity type.
pub(super) fn groups_of<'a>(plugin: &'a DomainPlugin, entity_type: &EntityType) -> Vec<&'a CountGroup> {
    plugin.description.count_groups.iter().filter(|group| group.entity_type == entity_type.name).collect()
}

/// Counts everything on both sides; whether both sides agree. What became of source records is counted and kept
/// with it.
pub fn count(desk: &Desk, progress: &Progress) -> Result<(bool, Vec<Count>), Stop> {
    let migration = desk.migration.reference_id;
    let types = counted(&desk.plugins, &desk.migration);
    for (_, entity_type) in &types {
        progress.expect(desk.area.count(StreamName::Records(&entity_type.name))?);
    }
    let (mut staged, mut imported) = (Side::default(), Side::default());
    for (plugin, entity_type) in &types {
        let groups = groups_of(plugin, entity_type);
        desk.target.prepare(entity_type)?;
        staged.add(entity_type, &groups, &count_staged(desk, entity_type, &groups, progress)?);
        imported.count(&*desk.target, migration, entity_type, &groups)?;
    }
    let counts: Vec<Count> = staged
        .counts()
        .zip(imported.counts())
        .map(|((r#type, headers, staged_rows), (.., imported_rows))| Count {
            r#type,
            headers,
            staged_rows,
            imported_rows,
        })
        .collect();
    desk.store.put_outcomes(migration, &outcomes(count_sources(desk)?))?;
    let agree = counts.iter().all(|count| count.staged_rows == count.imported_rows);
    Ok((agree, counts))
}

/// One side's rows: of all entity types, by group, and amounts.
#[derive(Default)]
pub(super) struct Side {
    total: Vec<Vec<String>>,
    grouped: Vec<(String, String, Vec<Vec<String>>)>,
    amounts: Vec<Vec<String>>,
}

impl Side {
    /// Asks the target about an entity type, and adds what it says.
    pub fn count(
        &mut self,
        target: &dyn Target,
        migration: Uuid,
        entity_type: &EntityType,
        groups: &[&CountGroup],
    ) -> Result<(), TargetError> {
        let figures = Figures {
            count: target.count(migration, &entity_type.name)?,
            groups: groups
                .iter()
                .map(|group| target.groups(migration, entity_type, group))
                .collect::<Result<_, _>>()?,
            sums: target.sums(migration, entity_type)?,
        };
        self.add(entity_type, groups, &figures);
        Ok(())
    }

    fn add(&mut self, entity_type: &EntityType, groups: &[&CountGroup], figures: &Figures) {
        let name = &entity_type.name;
        self.total.push(vec![name.clone(), figures.count.to_string()]);
        for (group, counts) in groups.iter().zip(&figures.groups) {
            let rows = counts.iter().map(|(value, count)| vec![value.clone(), count.to_string()]).collect();
            self.grouped.push((group.name.clone(), group.field.clone(), rows));
        }
        let sums = figures.sums.iter();
        self.amounts
            .extend(sums.map(|(currency, sum)| vec![name.clone(), currency.clone(), sum.normalize().to_string()]));
    }

    /// Type, headers and rows of each count.
    pub fn counts(self) -> impl Iterator<Item = (String, Vec<String>, Vec<Vec<String>>)> {
        let named = |r#type: &str, headers: &[&str], rows| {
            (r#type.to_owned(), headers.iter().map(|&header| header.into()).collect(), rows)
        };
        let total = named("TotalEntity", &["entityType", "count"], self.total);
        let amounts = named("TotalAmounts", &["entityType", "currency", "amount"], self.amounts);
        let grouped = self.grouped.into_iter().map(move |(name, field, rows)| named(&name, &[&field, "count"], rows));
        iter::once(total).chain(grouped).chain(iter::once(amounts))
    }
}

fn count_staged(
    desk: &Desk,
    entity_type: &EntityType,
    groups: &[&CountGroup],
    progress: &Progress,
) -> Result<Figures, Stop> {
    let mut figures = Figures { groups: vec![Groups::new(); groups.len()], ..Figures::default() };
    let fields: Vec<Path> = groups.iter().map(|group| Path::new(&group.field)).collect();
    let amounts: Vec<Path> = entity_type.amounts.iter().map(|path| Path::new(path)).collect();
    let mut reader = desk.area.reader(StreamName::Records(&entity_type.name), 0)?;
    let limits = &desk.config.upload;
    let mut staged = StagedBatch::default();
    while reader.next_batch(&mut staged, limits.batch_records, limits.batch_bytes)? {
        if progress.is_cancelled() {
            return Err(Stop::Cancelled);
        }
        for position in 0..staged.len() {
            let body = String::from_utf8_lossy(staged.body(position));
            for (field, groups) in fields.iter().zip(&mut figures.groups) {
                let mut value = String::new();
                visit(&body, field, &mut |raw| value = scalar_text(raw).unwrap_or_default().into_owned());
                *groups.entry(value).or_default() += 1;
            }
            for path in &amounts {
                visit(&body, path, &mut |raw| {
                    if let Some((amount, currency)) = money(raw) {
                        add(&mut figures.sums, &currency, amount);
                    }
                });
            }
        }
        figures.count += staged.len() as u64;
        progress.advance(staged.len() as u64);
    }
    Ok(figures)
}

/// How many records of a source came to each outcome and code.
pub type Outcomes = BTreeMap<(String, String), u64>;

/// What became of each source's records.
pub fn count_sources(desk: &Desk) -> Result<BTreeMap<String, Outcomes>, Failure> {
    let mut sources = BTreeMap::new();
    let names: BTreeSet<String> = desk.area.sources()?.into_iter().collect();
    for name in names {
        let mut outcomes = Outcomes::new();
        let mut reader = desk.area.reader(StreamName::Source(&name), 0)?;
        let mut staged = StagedBatch::default();
        let limits = &desk.config.upload;
        while reader.next_batch(&mut staged, limits.batch_records, limits.batch_bytes)? {
            for entry in &staged.entries {
                let code = || String::from_utf8_lossy(&entry.extra).into_owned();
                let outcome = match SourceStatus::from_u8(entry.status) {
                    Some(SourceStatus::Mapped) => ("mapped".into(), String::new()),
                    Some(SourceStatus::Skipped) => ("skipped".into(), code()),
                    Some(SourceStatus::Rejected) => ("rejected".into(), code()),
                    Some(SourceStatus::Quarantined) => ("quarantined".into(), code()),
                    None => ("unknown".into(), String::new()),
                };
                *outcomes.entry(outcome).or_default() += 1;
            }
        }
        sources.insert(name, outcomes);
    }
    Ok(sources)
}

fn outcomes(sources: BTreeMap<String, Outcomes>) -> Vec<SourceOutcome> {
    let of = |(source, outcomes): (String, Outcomes)| {
        outcomes.into_iter().map(move |((outcome, code), count)| SourceOutcome {
            source: source.clone(),
            outcome,
            code,
            count,
        })
    };
    sources.into_iter().flat_map(of).collect()
}
