//! Verification: counts and sums of what is staged and of what is in the target, each counted anew.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::{iter, thread};

use uuid::Uuid;

use super::order::{Stage, stages};
use super::{Desk, Failure, Stop};
use sluice_catalog::{ListedIssue, Phase, SourceOutcome};
use sluice_contract::{CountGroup, EntityType};
use sluice_framing::scalar_text;
use sluice_model::{Cell, Code, Currency, Figure, Issue, Migration, Name, Progress};
use sluice_plugin_host::{DomainPlugin, Plugins};
use sluice_staging::{SourceStatus, StagedBatch, StreamName};
use sluice_target::{Figures, Groups, Path, Sums, add, money, visit};

/// One verification count: cells are shown as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Count {
    /// Such as `TotalEntity`.
    pub name: Name,
    /// Names of the columns.
    pub headers: Vec<Name>,
    /// What is staged.
    pub staged_rows: Vec<Vec<Cell>>,
    /// What is in the target.
    pub imported_rows: Vec<Vec<Cell>>,
}

impl From<Count> for Figure {
    fn from(count: Count) -> Self {
        let rows = |rows: Vec<Vec<Cell>>| Figure::list(rows.into_iter().map(Figure::list));
        Figure::table([
            ("type", count.name.into()),
            ("headers", Figure::list(count.headers)),
            ("stagedRows", rows(count.staged_rows)),
            ("importedRows", rows(count.imported_rows)),
        ])
    }
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
    desk.store.clear_issues(migration, Phase::Counts, desk.config.records.listed_issues)?;
    for (_, entity_type) in &types {
        progress.expect(desk.area.count(StreamName::Records(&entity_type.name))?);
    }
    // Both sides at the same time: what one of them says is nothing to the other. Whoever fails ends both.
    let given_up = AtomicBool::new(false);
    let stopped = || progress.is_cancelled() || given_up.load(Relaxed);
    let (staged, (imported, sources)) = thread::scope(|scope| {
        let other = scope.spawn(|| {
            let mut side = Side::default();
            for (plugin, entity_type) in &types {
                let groups = groups_of(plugin, entity_type);
                side.add(entity_type, &groups, &count_staged(desk, entity_type, &groups, progress, &stopped)?);
            }
            Ok::<_, Stop>(side)
        });
        let counted = count_target(desk, &types, &stopped).and_then(|side| Ok((side, count_sources(desk)?)));
        given_up.store(counted.is_err(), Relaxed);
        let staged = other.join().unwrap_or_else(|panic| resume_unwind(panic));
        let counted = counted?;
        Ok::<_, Stop>((staged?, counted))
    })?;
    let counts: Vec<Count> = staged
        .counts()
        .zip(imported.counts())
        .map(|((name, headers, staged_rows), (.., imported_rows))| Count { name, headers, staged_rows, imported_rows })
        .collect();
    desk.store.put_outcomes(migration, &outcomes(sources))?;
    let agree = counts.iter().all(|count| count.staged_rows == count.imported_rows);
    Ok((agree, counts))
}

fn count_target(
    desk: &Desk,
    types: &[(Arc<DomainPlugin>, EntityType)],
    stopped: &dyn Fn() -> bool,
) -> Result<Side, Failure> {
    let (migration, listed) = (desk.migration.reference_id, desk.config.records.listed_issues);
    let mut side = Side::default();
    for (plugin, entity_type) in types {
        desk.target.prepare(entity_type)?;
        let groups = groups_of(plugin, entity_type);
        let figures = desk.target.figures(migration, entity_type, &groups, listed as usize, stopped)?;
        side.add(entity_type, &groups, &figures);
        if figures.altered.is_empty() {
            continue;
        }
        let altered = |reference_id: &Option<Uuid>| ListedIssue {
            stream: entity_type.name.clone(),
            line: None,
            reference_id: *reference_id,
            issue: Issue::error("ROW_ALTERED"),
        };
        let altered: Vec<ListedIssue> = figures.altered.iter().map(altered).collect();
        desk.store.add_issues(migration, Phase::Counts, &altered, listed)?;
        // The next import looks at all of them once more, and stores these anew.
        desk.target.set_progress(migration, &entity_type.name, 0)?;
    }
    Ok(side)
}

/// One side's rows: of all entity types, by group, and amounts.
#[derive(Default)]
pub(super) struct Side {
    total: Vec<Vec<Cell>>,
    unaltered: Vec<Vec<Cell>>,
    grouped: Vec<(Name, Name, Vec<Vec<Cell>>)>,
    amounts: Vec<Vec<Cell>>,
}

impl Side {
    /// Adds an entity type's figures.
    pub fn add(&mut self, entity_type: &EntityType, groups: &[&CountGroup], figures: &Figures) {
        let name = &entity_type.name;
        self.total.push(vec![name.into(), figures.count.into()]);
        self.unaltered.push(vec![name.into(), figures.unaltered.into()]);
        for (group, counts) in groups.iter().zip(&figures.groups) {
            let rows = by_value(counts, &group.values).into_iter();
            let rows = rows.map(|(value, count)| vec![(&value).into(), count.into()]).collect();
            self.grouped.push((group.name.clone(), group.field.clone(), rows));
        }
        let sums = by_currency(&figures.sums).into_iter();
        self.amounts.extend(sums.map(|(currency, sum)| vec![name.into(), currency.as_ref().into(), sum.into()]));
    }

    /// Name, headers and rows of each count.
    pub fn counts(self) -> impl Iterator<Item = (Name, Vec<Name>, Vec<Vec<Cell>>)> {
        let of_type = |name: Name, rows| (name, vec!["entityType".into(), "count".into()], rows);
        let total = [of_type("TotalEntity".into(), self.total), of_type(UNALTERED, self.unaltered)];
        let columns = vec!["entityType".into(), "currency".into(), "amount".into()];
        let amounts = ("TotalAmounts".into(), columns, self.amounts);
        let grouped = self.grouped.into_iter().map(|(name, field, rows)| (name, vec![field, "count".into()], rows));
        total.into_iter().chain(grouped).chain(iter::once(amounts))
    }
}

/// How many records are there as they were imported.
pub(super) const UNALTERED: Name = Name::new("TotalUnaltered");

/// Stands for every value that a plugin has not declared: a field that is counted could hold anything.
pub(super) const OTHER: Name = Name::new("OTHER");
/// Stands for a field that is not there.
const NONE: Name = Name::new("");

/// The same by declared values.
fn by_value(groups: &Groups, values: &[Name]) -> BTreeMap<Name, u64> {
    let mut declared = BTreeMap::new();
    for (value, count) in groups {
        let known = values.iter().find(|known| **known == **value);
        let name = if value.is_empty() { NONE } else { known.cloned().unwrap_or(OTHER) };
        *declared.entry(name).or_default() += count;
    }
    declared
}

/// The same by what can be a currency; what cannot, together.
pub(super) fn by_currency(sums: &Sums) -> BTreeMap<Option<Currency>, rust_decimal::Decimal> {
    let mut read = BTreeMap::<_, rust_decimal::Decimal>::new();
    for (currency, sum) in sums {
        *read.entry(Currency::read(currency)).or_default() += *sum;
    }
    read
}

fn count_staged(
    desk: &Desk,
    entity_type: &EntityType,
    groups: &[&CountGroup],
    progress: &Progress,
    stopped: &dyn Fn() -> bool,
) -> Result<Figures, Stop> {
    let mut figures = Figures { groups: vec![Groups::new(); groups.len()], ..Figures::default() };
    let fields: Vec<Path> = groups.iter().map(|group| Path::new(&group.field)).collect();
    let amounts: Vec<Path> = entity_type.amounts.iter().map(|path| Path::new(path)).collect();
    let mut reader = desk.area.reader(StreamName::Records(&entity_type.name), 0)?;
    let limits = &desk.config.upload;
    let mut staged = StagedBatch::default();
    while reader.next_batch(&mut staged, limits.batch_records, limits.batch_bytes)? {
        if stopped() {
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
        // What is staged is sealed: a record that was changed cannot be opened.
        figures.unaltered = figures.count;
        progress.advance(staged.len() as u64);
    }
    Ok(figures)
}

/// How many records of a source came to each outcome and code.
pub type Outcomes = BTreeMap<(&'static str, Option<Code>), u64>;

/// What became of each source's records.
pub fn count_sources(desk: &Desk) -> Result<BTreeMap<Name, Outcomes>, Failure> {
    let mut sources = BTreeMap::new();
    let names: BTreeSet<String> = desk.area.sources()?.into_iter().collect();
    for name in names {
        let mut outcomes = Outcomes::new();
        let mut reader = desk.area.reader(StreamName::Source(&name), 0)?;
        let mut staged = StagedBatch::default();
        let limits = &desk.config.upload;
        while reader.next_batch(&mut staged, limits.batch_records, limits.batch_bytes)? {
            for entry in &staged.entries {
                let code = || Some(Code::kept(&String::from_utf8_lossy(&entry.extra)));
                let outcome = match SourceStatus::from_u8(entry.status) {
                    Some(SourceStatus::Mapped) => ("mapped", None),
                    Some(SourceStatus::Skipped) => ("skipped", code()),
                    Some(SourceStatus::Rejected) => ("rejected", code()),
                    Some(SourceStatus::Quarantined) => ("quarantined", code()),
                    None => ("unknown", None),
                };
                *outcomes.entry(outcome).or_default() += 1;
            }
        }
        sources.insert(Name::kept(&name), outcomes);
    }
    Ok(sources)
}

pub(super) fn outcomes(sources: BTreeMap<Name, Outcomes>) -> Vec<SourceOutcome> {
    let of = |(source, outcomes): (Name, Outcomes)| {
        outcomes.into_iter().map(move |((outcome, code), count)| SourceOutcome {
            source: source.to_string(),
            outcome: outcome.into(),
            code: code.map(|code| code.to_string()).unwrap_or_default(),
            count,
        })
    };
    sources.into_iter().flat_map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_declared_is_counted_together() {
        let groups =
            Groups::from([("person".into(), 2), ("Novak".into(), 3), ("Vesela".into(), 4), (String::new(), 5)]);
        let counted = by_value(&groups, &["person".into(), "organisation".into()]);
        let expected = [("".into(), 5), ("OTHER".into(), 7), ("person".into(), 2)];
        assert_eq!(counted, BTreeMap::from(expected));
        let sums = Sums::from([("CZK".into(), 2.into()), ("Novak".into(), 3.into()), ("novak".into(), 4.into())]);
        let summed: Vec<(Cell, Cell)> =
            by_currency(&sums).into_iter().map(|(currency, sum)| (currency.as_ref().into(), sum.into())).collect();
        let other = (Cell::from(None), Cell::from(7));
        assert_eq!(summed, [other, ((&Name::new("CZK")).into(), Cell::from(2))]);
    }
}
