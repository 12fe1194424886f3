//! Verification counts: counts and sums of the staged records and of the records in the target, each read anew.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::{iter, thread};

use uuid::Uuid;

use crate::import::listed;
use crate::import::stages::{ImportStage, stages};
use crate::validate::tally_issues;
use crate::{Interrupt, MigrationContext, PipelineError};
use sluice_catalog::{ListedIssue, Phase, SourceOutcomeCount};
use sluice_contract::{CountGroup, EntityType};
use sluice_framing::scalar_text;
use sluice_model::{Cell, Code, Currency, Issue, Migration, Name, Progress, SafeValue};
use sluice_plugin_host::{DomainPlugin, Plugins};
use sluice_staging::{Origin, SourceStatus, StagedBatch, StreamName};
use sluice_target::{Groups, RecordPath, Sums, TargetFigures, add_amount, money, visit};

/// A verification count with its rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerificationCount {
    /// Name of the count, such as `TotalEntity`.
    pub name: Name,
    /// Names of the columns.
    pub headers: Vec<Name>,
    /// Rows of the staged records.
    pub staged_rows: Vec<Vec<Cell>>,
    /// Rows of the target.
    pub imported_rows: Vec<Vec<Cell>>,
}

impl From<VerificationCount> for SafeValue {
    fn from(count: VerificationCount) -> Self {
        let rows = |rows: Vec<Vec<Cell>>| SafeValue::list(rows.into_iter().map(SafeValue::list));
        SafeValue::table([
            ("type", count.name.into()),
            ("headers", SafeValue::list(count.headers)),
            ("stagedRows", rows(count.staged_rows)),
            ("importedRows", rows(count.imported_rows)),
        ])
    }
}

/// Returns the entity types that are counted, in the order of import, each with its plugin.
pub(crate) fn counted_entity_types(plugins: &Plugins, migration: &Migration) -> Vec<(Arc<DomainPlugin>, EntityType)> {
    let imported = |stage| match stage {
        ImportStage::Import(plugin, entity_type) => Some((plugin, entity_type)),
        ImportStage::Generate(..) => None,
    };
    stages(plugins, migration).into_iter().filter_map(imported).collect()
}

/// Returns the count groups of an entity type.
pub(crate) fn groups_of<'a>(plugin: &'a DomainPlugin, entity_type: &EntityType) -> Vec<&'a CountGroup> {
    plugin.description.count_groups.iter().filter(|group| group.entity_type == entity_type.name).collect()
}

/// Counts both sides. Returns true if they agree, and the counts. Saves the outcomes of source records as well.
pub fn count(context: &MigrationContext, progress: &Progress) -> Result<(bool, Vec<VerificationCount>), Interrupt> {
    let migration = context.migration.reference_id;
    let types = counted_entity_types(&context.plugins, &context.migration);
    context.store.clear_issues(migration, Phase::Counts, context.config.records.listed_issues)?;
    for (_, entity_type) in &types {
        progress.expect(context.area.count(StreamName::Records(&entity_type.name))?);
    }
    // Both sides are counted at the same time. An error of one ends the other.
    let failed = AtomicBool::new(false);
    let stopped = || progress.is_cancelled() || failed.load(Relaxed);
    let ((staged, mixed), (imported, sources)) = thread::scope(|scope| {
        let other = scope.spawn(|| {
            let (mut side, mut mixed) = (CountSide::default(), vec![]);
            for (plugin, entity_type) in &types {
                let groups = groups_of(plugin, entity_type);
                let (figures, generated) = count_staged(context, entity_type, &groups, progress, &stopped)?;
                side.add(entity_type, &groups, &figures);
                if generated > 0 && generated < figures.count {
                    mixed.push((plugin, entity_type));
                }
            }
            Ok::<_, Interrupt>((side, mixed))
        });
        let counted = count_target(context, &types, &stopped).and_then(|side| Ok((side, count_sources(context)?)));
        failed.store(counted.is_err(), Relaxed);
        let staged = other.join().unwrap_or_else(|panic| resume_unwind(panic));
        let counted = counted?;
        Ok::<_, Interrupt>((staged?, counted))
    })?;
    list_unstaged(context, progress)?;
    let mut counts: Vec<VerificationCount> = staged
        .counts()
        .zip(imported.counts())
        .map(|((name, headers, staged_rows), (.., imported_rows))| VerificationCount {
            name,
            headers,
            staged_rows,
            imported_rows,
        })
        .collect();
    counts.extend(rule_violations(context, &mixed, progress)?);
    context.store.put_source_outcomes(migration, &outcomes(sources))?;
    let agree = counts.iter().all(|count| count.staged_rows == count.imported_rows);
    Ok((agree, counts))
}

/// Lists the rows whose records are staged no longer among the issues.
fn list_unstaged(context: &MigrationContext, progress: &Progress) -> Result<(), Interrupt> {
    let most = context.config.records.listed_issues;
    let unstaged = context.unstaged_rows(true, progress)?;
    for (entity_type, ids) in unstaged.deleted.iter().chain(&unstaged.generated) {
        let issue = |id: &[u8; 16]| listed(entity_type, *id, Issue::error("NOT_STAGED"));
        let issues: Vec<ListedIssue> = ids.iter().take(most as usize).map(issue).collect();
        context.store.add_issues(context.migration.reference_id, Phase::Counts, &issues, most)?;
    }
    Ok(())
}

/// Checks the rules over many records where generated and other records stand side by side. A validation checks the others
/// alone. Returns a count if a rule is broken.
fn rule_violations(
    context: &MigrationContext,
    mixed: &[(&Arc<DomainPlugin>, &EntityType)],
    progress: &Progress,
) -> Result<Option<VerificationCount>, Interrupt> {
    let mut rows = vec![];
    for (plugin, entity_type) in mixed {
        let issues = tally_issues(context, plugin, entity_type, progress)?;
        let mut by_rule = BTreeMap::<Name, u64>::new();
        for issue in &issues {
            let rule = issue.issue.rule.as_deref().unwrap_or_default();
            *by_rule.entry(Name::from_storage(rule)).or_default() += 1;
        }
        let name = &entity_type.name;
        rows.extend(by_rule.iter().map(|(rule, count)| vec![Cell::from(name), rule.into(), (*count).into()]));
        let most = context.config.records.listed_issues;
        context.store.add_issues(context.migration.reference_id, Phase::Counts, &issues, most)?;
    }
    Ok((!rows.is_empty()).then(|| VerificationCount {
        name: "RuleViolations".into(),
        headers: vec!["entityType".into(), "rule".into(), "count".into()],
        staged_rows: vec![],
        imported_rows: rows,
    }))
}

fn count_target(
    context: &MigrationContext,
    types: &[(Arc<DomainPlugin>, EntityType)],
    stopped: &dyn Fn() -> bool,
) -> Result<CountSide, PipelineError> {
    let (migration, listed) = (context.migration.reference_id, context.config.records.listed_issues);
    let mut side = CountSide::default();
    for (plugin, entity_type) in types {
        context.target.prepare(entity_type)?;
        let groups = groups_of(plugin, entity_type);
        let figures = context.target.figures(migration, entity_type, &groups, listed as usize, stopped)?;
        side.add(entity_type, &groups, &figures);
        if figures.altered.is_empty() {
            continue;
        }
        let altered = |reference_id: &Option<Uuid>| ListedIssue {
            stream: entity_type.name.clone(),
            line: None,
            upload: None,
            reference_id: *reference_id,
            issue: Issue::error("ROW_ALTERED"),
        };
        let altered: Vec<ListedIssue> = figures.altered.iter().map(altered).collect();
        context.store.add_issues(migration, Phase::Counts, &altered, listed)?;
        // The next import reads all of them again, and stores these anew.
        context.target.set_progress(migration, &entity_type.name, 0)?;
    }
    Ok(side)
}

/// Rows of one side: totals, groups and amounts.
#[derive(Default)]
pub(crate) struct CountSide {
    total: Vec<Vec<Cell>>,
    unaltered: Vec<Vec<Cell>>,
    grouped: Vec<(Name, Name, Vec<Vec<Cell>>)>,
    amounts: Vec<Vec<Cell>>,
}

impl CountSide {
    /// Adds the figures of an entity type.
    pub fn add(&mut self, entity_type: &EntityType, groups: &[&CountGroup], figures: &TargetFigures) {
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

    /// Returns name, headers and rows of each count.
    pub fn counts(self) -> impl Iterator<Item = (Name, Vec<Name>, Vec<Vec<Cell>>)> {
        let of_type = |name: Name, rows| (name, vec!["entityType".into(), "count".into()], rows);
        let total = [of_type("TotalEntity".into(), self.total), of_type(UNALTERED, self.unaltered)];
        let columns = vec!["entityType".into(), "currency".into(), "amount".into()];
        let amounts = ("TotalAmounts".into(), columns, self.amounts);
        let grouped = self.grouped.into_iter().map(|(name, field, rows)| (name, vec![field, "count".into()], rows));
        total.into_iter().chain(grouped).chain(iter::once(amounts))
    }
}

/// Name of the count of records that are as they were imported.
pub(crate) const UNALTERED: Name = Name::new("TotalUnaltered");

/// Stands for every value that the plugin has not declared. An undeclared value could come from a record.
pub(crate) const OTHER: Name = Name::new("OTHER");
/// Stands for a missing field.
const NONE: Name = Name::new("");

/// Returns the counts by declared values.
fn by_value(groups: &Groups, values: &[Name]) -> BTreeMap<Name, u64> {
    let mut declared = BTreeMap::new();
    for (value, count) in groups {
        let known = values.iter().find(|known| **known == **value);
        let name = if value.is_empty() { NONE } else { known.cloned().unwrap_or(OTHER) };
        *declared.entry(name).or_default() += count;
    }
    declared
}

/// Returns the sums by valid currencies. The sums of all others are added up.
pub(crate) fn by_currency(sums: &Sums) -> BTreeMap<Option<Currency>, rust_decimal::Decimal> {
    let mut read = BTreeMap::<_, rust_decimal::Decimal>::new();
    for (currency, sum) in sums {
        *read.entry(Currency::parse(currency)).or_default() += *sum;
    }
    read
}

/// Counts the staged records of an entity type. Returns the number of generated ones as well.
fn count_staged(
    context: &MigrationContext,
    entity_type: &EntityType,
    groups: &[&CountGroup],
    progress: &Progress,
    stopped: &dyn Fn() -> bool,
) -> Result<(TargetFigures, u64), Interrupt> {
    let mut generated = 0;
    let mut figures = TargetFigures { groups: vec![Groups::new(); groups.len()], ..TargetFigures::default() };
    let fields: Vec<RecordPath> = groups.iter().map(|group| RecordPath::new(&group.field)).collect();
    let amounts: Vec<RecordPath> = entity_type.amounts.iter().map(|path| RecordPath::new(path)).collect();
    let mut reader = context.area.reader(StreamName::Records(&entity_type.name), 0)?;
    let limits = &context.config.upload;
    let mut staged = StagedBatch::default();
    while reader.next_batch(&mut staged, limits.batch_records, limits.batch_bytes)? {
        if stopped() {
            return Err(Interrupt::Cancelled);
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
                        add_amount(&mut figures.sums, &currency, amount);
                    }
                });
            }
        }
        figures.count += staged.len() as u64;
        generated += staged.entries.iter().filter(|entry| entry.origin == Origin::Generated).count() as u64;
        // Staged records are sealed. A record that was altered cannot be opened.
        figures.unaltered = figures.count;
        progress.advance(staged.len() as u64);
    }
    Ok((figures, generated))
}

/// Number of records of a source by outcome and code.
pub type Outcomes = BTreeMap<(&'static str, Option<Code>), u64>;

/// Returns the outcomes of each source's records.
pub fn count_sources(context: &MigrationContext) -> Result<BTreeMap<Name, Outcomes>, PipelineError> {
    let mut sources = BTreeMap::new();
    let names: BTreeSet<String> = context.area.sources()?.into_iter().collect();
    for name in names {
        let mut outcomes = Outcomes::new();
        let mut reader = context.area.reader(StreamName::Source(&name), 0)?;
        let mut staged = StagedBatch::default();
        let limits = &context.config.upload;
        while reader.next_batch(&mut staged, limits.batch_records, limits.batch_bytes)? {
            for entry in &staged.entries {
                let code = || Some(Code::from_storage(entry.code().unwrap_or_default()));
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
        sources.insert(Name::from_storage(&name), outcomes);
    }
    Ok(sources)
}

/// Converts outcomes into rows of the catalogue.
pub(crate) fn outcomes(sources: BTreeMap<Name, Outcomes>) -> Vec<SourceOutcomeCount> {
    let of = |(source, outcomes): (Name, Outcomes)| {
        outcomes.into_iter().map(move |((outcome, code), count)| SourceOutcomeCount {
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
    fn undeclared_values_are_counted_together() {
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
