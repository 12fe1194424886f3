//! Comparison of two mappers on the same staged source records, record by record and field by field.
//!
//! Both outputs are staged in areas that are deleted afterwards. The figures name codes, fields and ids. A sealed list
//! has the records themselves, for callers that may read records.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use rust_decimal::Decimal;
use serde::Serialize;
use serde_json::value::RawValue;
use uuid::Uuid;

use super::sample::{Sample, SampleFilter};
use super::{MAX_EXAMPLES, map_all};
use crate::reporting::counts::{by_currency, count_sources};
use crate::{Interrupt, MigrationContext, PipelineError};
use sluice_catalog::{Catalog, IssueTotal, Phase};
use sluice_contract::EntityType;
use sluice_model::{Cell, Code, Currency, JobKind, Name, Progress, SafeValue};
use sluice_plugin_host::{DomainPlugin, MapperPlugin};
use sluice_staging::{SealedLines, StagedBatch, StagingArea, StagingError, StreamName, TrialWorkspace};
use sluice_target::{RecordPath, Sums, add_amount, money, visit};

use super::field_differences::FieldDifferences;

/// Options of a comparison.
#[derive(Clone)]
pub struct CompareOptions {
    /// The present mapper.
    pub from: Arc<MapperPlugin>,
    /// The mapper that may replace it.
    pub to: Arc<MapperPlugin>,
    /// Sample of the records; all records if none.
    pub sample: Option<Sample>,
}

/// Names of the area that holds the list of differences, and of the list.
const AREA: &str = "found";
const DIFFERENCES: &str = "differences";

/// Maps the records with both mappers, and returns figures of the differences.
pub fn compare(
    context: &MigrationContext,
    options: &CompareOptions,
    job: Uuid,
    progress: &Progress,
) -> Result<SafeValue, Interrupt> {
    let workspace = context.area.trial_workspace(job)?;
    let list = workspace.area(AREA)?;
    // The list has to exist also if there are no differences.
    list.append_lines(DIFFERENCES, [])?;
    let mut total = 0;
    for source in &options.from.description.sources {
        total += context.area.count(StreamName::Source(&source.name))?;
    }
    let mut to_total = 0;
    for source in &options.to.description.sources {
        to_total += context.area.count(StreamName::Source(&source.name))?;
    }
    progress.expect(total + to_total);
    let filter = SampleFilter::of(options.sample, total);
    let from = ComparisonSide::map(context, &workspace, "from", &options.from, filter, progress)?;
    let to = ComparisonSide::map(context, &workspace, "to", &options.to, filter, progress)?;
    let names: BTreeSet<&Name> =
        options.from.description.entity_types.iter().chain(&options.to.description.entity_types).collect();
    let mut types = vec![];
    for name in names {
        let plugin =
            context.plugins.of_entity_type(name).filter(|plugin| context.migration.covers(&plugin.description.domain));
        let Some((plugin, entity_type)) = plugin.and_then(|plugin| Some((plugin, plugin.entity_type(name)?))) else {
            continue;
        };
        let mut comparison = EntityComparison::new(plugin, entity_type, &list);
        comparison.compare(&from, &to, progress)?;
        types.push(comparison);
    }
    let changed_codes = codes(&from, &to)?;
    let same = changed_codes.is_empty() && types.iter().all(EntityComparison::is_same);
    let report = SafeValue::table([
        ("from", plugin(&options.from)),
        ("to", plugin(&options.to)),
        ("isSame", same.into()),
        ("records", from.taken.into()),
        ("entityTypes", SafeValue::list(types.into_iter().map(EntityComparison::figures))),
        ("codes", changed_codes.into()),
    ]);
    for side in [from, to] {
        let area = side.context.area.clone();
        drop(side);
        workspace.discard(area)?;
    }
    // Lists of earlier comparisons are deleted.
    for earlier in context.store.jobs_of_kind(context.migration.reference_id, JobKind::Compare)? {
        if earlier != job {
            context.area.discard_trial(earlier)?;
        }
    }
    let until = Timestamp::now() + SignedDuration::from_hours(context.config.trial.difference_hours as i64);
    workspace.keep_until(until.as_second())?;
    Ok(report)
}

/// Returns the differences that a comparison found, a JSON object for each line; none if they are no longer kept.
pub fn differences(context: &MigrationContext, job: Uuid) -> Result<Option<SealedLines>, PipelineError> {
    Ok(context.area.trial_lines(job, AREA, DIFFERENCES)?)
}

fn plugin(mapper: &MapperPlugin) -> SafeValue {
    let title = mapper.title();
    SafeValue::table([
        ("name", SafeValue::from(title.name)),
        ("version", title.version.into()),
        ("digest", mapper.digest.into()),
    ])
}

/// Number of records or issues by source, outcome or severity, and code.
type Codes = BTreeMap<(Name, &'static str, Option<Code>), u64>;

/// Output of one mapper.
struct ComparisonSide {
    context: MigrationContext,
    taken: u64,
}

impl ComparisonSide {
    fn map(
        context: &MigrationContext,
        workspace: &TrialWorkspace,
        name: &str,
        mapper: &Arc<MapperPlugin>,
        filter: SampleFilter,
        progress: &Progress,
    ) -> Result<Self, Interrupt> {
        let store = Arc::new(Catalog::in_memory_for(&context.migration)?);
        let side = MigrationContext { store, area: workspace.area(name)?, ..context.clone() };
        let taken = map_all(&context.area, &side, mapper, filter, progress)?;
        Ok(Self { context: side, taken })
    }

    /// Returns the number of records by outcome and code, and the number of issues.
    fn codes(&self) -> Result<Codes, PipelineError> {
        let mut codes = BTreeMap::new();
        for (source, outcomes) in count_sources(&self.context)? {
            for ((outcome, code), count) in outcomes {
                codes.insert((source.clone(), outcome, code), count);
            }
        }
        for IssueTotal { stream, severity, code, rule, count } in
            self.context.store.issue_counts(self.context.migration.reference_id, Phase::Load)?
        {
            *codes.entry((stream, severity.as_str(), Some(rule.unwrap_or(code)))).or_default() += count;
        }
        Ok(codes)
    }
}

/// Returns the outcomes and issues whose numbers differ.
fn codes(from: &ComparisonSide, to: &ComparisonSide) -> Result<Vec<SafeValue>, PipelineError> {
    let (from, to) = (from.codes()?, to.codes()?);
    let all: BTreeSet<_> = from.keys().chain(to.keys()).collect();
    let count = |side: &Codes, kind| side.get(kind).copied().unwrap_or(0);
    let differing = all.into_iter().filter(|kind| count(&from, kind) != count(&to, kind));
    let rows = differing.map(|kind| {
        let (source, outcome, code) = kind;
        SafeValue::table([
            ("source", SafeValue::from(source.clone())),
            ("outcome", (*outcome).into()),
            ("code", code.clone().into()),
            ("from", count(&from, kind).into()),
            ("to", count(&to, kind).into()),
        ])
    });
    Ok(rows.collect())
}

/// Differences of one entity type.
struct EntityComparison<'a> {
    plugin: &'a DomainPlugin,
    entity_type: &'a EntityType,
    list: &'a StagingArea,
    unchanged: u64,
    added: DifferenceCount,
    removed: DifferenceCount,
    changed: DifferenceCount,
    fields: FieldDifferences,
    sums: [Sums; 2],
}

/// Number of records with one kind of difference, and the ids of the first of them.
#[derive(Default)]
pub(crate) struct DifferenceCount {
    /// Number of records.
    pub(crate) count: u64,
    /// Ids of the first records.
    pub(crate) ids: Vec<Uuid>,
}

impl DifferenceCount {
    /// Counts a record.
    pub(crate) fn note(&mut self, id: Uuid) {
        self.count += 1;
        if self.ids.len() < MAX_EXAMPLES as usize {
            self.ids.push(id);
        }
    }

    fn figures(self) -> SafeValue {
        SafeValue::table([("count", SafeValue::from(self.count)), ("referenceIds", SafeValue::list(self.ids))])
    }
}

/// A line of the list.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Difference<'a> {
    entity_type: &'a str,
    reference_id: Uuid,
    change: &'static str,
    from: Option<&'a RawValue>,
    to: Option<&'a RawValue>,
}

/// Returns a record as raw JSON.
fn raw(body: &[u8]) -> Option<&RawValue> {
    serde_json::from_slice(body).ok()
}

impl<'a> EntityComparison<'a> {
    fn new(plugin: &'a DomainPlugin, entity_type: &'a EntityType, list: &'a StagingArea) -> Self {
        let (added, removed, changed) = Default::default();
        let (fields, sums) = Default::default();
        Self { plugin, entity_type, list, unchanged: 0, added, removed, changed, fields, sums }
    }

    fn compare(&mut self, from: &ComparisonSide, to: &ComparisonSide, progress: &Progress) -> Result<(), Interrupt> {
        self.read_side(&from.context, progress, 0, |comparison, id, body, lines| {
            let other = to.context.area.read(&comparison.entity_type.name, id.into_bytes())?;
            match other {
                None => {
                    comparison.removed.note(id);
                    lines.push(comparison.line(id, "removed", Some(body), None)?);
                }
                Some(other) if other == body => comparison.unchanged += 1,
                Some(other) => {
                    comparison.changed.note(id);
                    comparison.fields.note(comparison.plugin, &comparison.entity_type.name, id, body, &other);
                    lines.push(comparison.line(id, "changed", Some(body), Some(&other))?);
                }
            }
            Ok(())
        })?;
        self.read_side(&to.context, progress, 1, |comparison, id, body, lines| {
            if !from.context.area.contains(&comparison.entity_type.name, &[id.into_bytes()])?[0] {
                comparison.added.note(id);
                lines.push(comparison.line(id, "added", None, Some(body))?);
            }
            Ok(())
        })
    }

    /// Reads the records of one side, adds up their amounts, and calls `each` with each of them.
    fn read_side(
        &mut self,
        context: &MigrationContext,
        progress: &Progress,
        side: usize,
        mut each: impl FnMut(&mut Self, Uuid, &[u8], &mut Vec<Vec<u8>>) -> Result<(), StagingError>,
    ) -> Result<(), Interrupt> {
        let amounts: Vec<RecordPath> = self.entity_type.amounts.iter().map(|path| RecordPath::new(path)).collect();
        let limits = &context.config.upload;
        let mut reader = context.area.reader(StreamName::Records(&self.entity_type.name), 0)?;
        let mut staged = StagedBatch::default();
        while reader.next_batch(&mut staged, limits.batch_records, limits.batch_bytes)? {
            if progress.is_cancelled() {
                return Err(Interrupt::Cancelled);
            }
            let mut lines = vec![];
            for (position, entry) in staged.entries.iter().enumerate() {
                let body = staged.body(position);
                let text = String::from_utf8_lossy(body);
                for path in &amounts {
                    visit(&text, path, &mut |raw| {
                        if let Some((amount, currency)) = money(raw) {
                            add_amount(&mut self.sums[side], &currency, amount);
                        }
                    });
                }
                each(self, Uuid::from_bytes(entry.key), body, &mut lines)?;
            }
            if !lines.is_empty() {
                self.list.append_lines(DIFFERENCES, lines.iter().map(Vec::as_slice))?;
            }
        }
        Ok(())
    }

    fn line(
        &self,
        id: Uuid,
        change: &'static str,
        from: Option<&[u8]>,
        to: Option<&[u8]>,
    ) -> Result<Vec<u8>, StagingError> {
        let (from, to) = (from.and_then(raw), to.and_then(raw));
        let line = Difference { entity_type: &self.entity_type.name, reference_id: id, change, from, to };
        Ok(serde_json::to_vec(&line).map_err(std::io::Error::from)?)
    }

    fn is_same(&self) -> bool {
        self.added.count + self.removed.count + self.changed.count == 0
    }

    fn figures(self) -> SafeValue {
        let [from, to] = self.sums.map(|sums| by_currency(&sums));
        let currencies: BTreeSet<&Option<Currency>> = from.keys().chain(to.keys()).collect();
        let sum = |side: &BTreeMap<Option<Currency>, Decimal>, of| side.get(of).copied().unwrap_or_default();
        let sums = currencies.into_iter().map(|currency| {
            let (from, to) = (sum(&from, currency), sum(&to, currency));
            SafeValue::table([
                ("currency", Cell::from(currency.as_ref())),
                ("from", from.into()),
                ("to", to.into()),
                ("difference", (to - from).into()),
            ])
        });
        SafeValue::table([
            ("entityType", SafeValue::from(self.entity_type.name.clone())),
            ("unchanged", self.unchanged.into()),
            ("added", self.added.figures()),
            ("removed", self.removed.figures()),
            ("changed", self.changed.figures()),
            ("sums", SafeValue::list(sums)),
            ("fields", self.fields.figures()),
        ])
    }
}
