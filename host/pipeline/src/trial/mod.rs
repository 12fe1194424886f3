//! Trial: all steps of a migration with any mapper that it may use, into a target that is deleted afterwards.
//!
//! The steps run in a context of the trial's own, with its own staging area, catalogue and target. They read the
//! migration's data, and do not change it.

mod compare;
mod field_differences;
mod left_out;
mod record_fates;
mod sample;
mod target;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use crate::import::{ImportOptions, import};
use crate::remap::remap_run::RemapRun;
use crate::reporting::counts::{Outcomes, by_currency, count, count_sources, counted_entity_types};
use crate::validate::{ValidateOptions, validate};
use crate::{Interrupt, MigrationContext, PipelineError};
pub use compare::{CompareOptions, compare, differences};
use left_out::{Origins, each_error, skip_invalid};
use record_fates::RecordFates;
pub use sample::Sample;
use sample::SampleFilter;
use sluice_catalog::{Catalog, IssueTotal, Phase};
use sluice_model::{Cell, Digest, Name, PluginTitle, Progress, SafeValue};
use sluice_plugin_host::{MapperPlugin, ResourceUsage, Usage};
use sluice_staging::{
    DirectRecord, Origin, StagedBatch, StagedEntry, StagingArea, StreamName, TRIALS, TrialWorkspace, UploadEntries,
};
use sluice_target::{EmbeddedTarget, TenantScope};
use target::TrialTarget;

/// Options of a trial.
#[derive(Clone)]
pub struct TrialOptions {
    /// Mapper of the trial; none if the migration has no mapper, and its records came in the platform's own shape.
    pub mapper: Option<Arc<MapperPlugin>>,
    /// Sample of the records; all records if none.
    pub sample: Option<Sample>,
    /// Hours for which the trial's target is kept; 0 if it is deleted at once.
    pub keep_hours: u64,
}

/// Maximum number of reference ids or lines that are shown of each count.
pub(crate) const MAX_EXAMPLES: u64 = 20;

/// File name of the trial's target.
const TARGET: &str = "platform.db";

/// Runs a trial. Returns true if every record would arrive or is skipped by the mapper and at least one would arrive,
/// and the report. Invalid records are left out of the import, so that the report shows the import without them.
pub fn trial(
    context: &MigrationContext,
    options: &TrialOptions,
    job: Uuid,
    progress: &Progress,
) -> Result<(bool, SafeValue), Interrupt> {
    let workspace = context.area.trial_workspace(job)?;
    let (trial_context, mapper) = set_up(context, options, &workspace)?;
    let direct = count_direct(context, mapper.as_deref())?;
    let total = total(context, mapper.as_deref(), direct)?;
    let filter = SampleFilter::of(options.sample, total);
    // Each record counts once for each of four steps: read, validate, import, count.
    progress.expect(total * 4);
    let mut steps = StepTimings::default();
    if let Some(mapper) = &mapper {
        steps.time("map", || map_all(&context.area, &trial_context, mapper, filter, progress))?;
    }
    let copy = || if direct > 0 { copy_direct(context, &trial_context, filter, progress) } else { Ok(0) };
    let copied = steps.time("copy", copy)?;
    // Generated records of an earlier import are neither mapped nor copied.
    progress.advance(total.saturating_sub(progress.counts().0));
    let mut issues = issues(&trial_context, Phase::Load)?;
    let valid = steps
        .time("validate", || progress.step(total, |step| validate(&trial_context, &ValidateOptions::default(), step)))?
        .0;
    issues.extend(self::issues(&trial_context, Phase::Validate)?);
    let mut incomplete = Origins::default();
    let invalid = steps
        .time("leave out", || progress.step(0, |step| skip_invalid(&trial_context, valid, &mut incomplete, step)))?;
    let (whole, imported) =
        steps.time("import", || progress.step(total, |step| import(&trial_context, ImportOptions::default(), step)))?;
    issues.extend(self::issues(&trial_context, Phase::Import)?);
    each_error(&trial_context, Phase::Import, |entity_type, id| incomplete.add(&trial_context, entity_type, id))?;
    let outcomes = count_sources(&trial_context)?;
    let fate = RecordFates::new(copied, &outcomes, incomplete.len());
    let taken = fate.taken;
    let (agree, counts) = steps.time("count", || progress.step(total, |step| count(&trial_context, step)))?;
    let sample = options.sample.map(|Sample { records, seed }| {
        SafeValue::table([("records", SafeValue::from(records)), ("seed", seed.into()), ("chosen", taken.into())])
    });
    let mut report = vec![
        (
            "mapper",
            mapper.as_ref().map_or(SafeValue::Absent, |mapper| plugin(mapper.title(), mapper.digest).into_table()),
        ),
        ("isValid", valid.into()),
        ("sample", sample.into()),
        ("recordsInAll", total.into()),
        ("records", fate.as_table()),
        ("arriving", arriving(&trial_context)?),
        ("leftOut", SafeValue::table(invalid)),
        ("import", imported),
        ("countsAgree", agree.into()),
        ("counts", SafeValue::list(counts)),
        ("sources", self::outcomes(outcomes)),
        ("issues", issues.into()),
        ("plugins", plugins(&trial_context, mapper.as_deref())),
        ("steps", steps.figures(1.0)),
        ("estimatedSteps", steps.figures(total as f64 / taken.max(1) as f64)),
    ];
    let area = trial_context.area.clone();
    drop(trial_context);
    report.push(("kept", keep(context, workspace, area, options.keep_hours, job)?));
    Ok((valid && whole && agree && fate.all_arrive(), SafeValue::table(report)))
}

/// Creates the trial's own context. Returns it with the mapper.
fn set_up(
    context: &MigrationContext,
    options: &TrialOptions,
    workspace: &TrialWorkspace,
) -> Result<(MigrationContext, Option<Arc<MapperPlugin>>), PipelineError> {
    let own = Arc::new(EmbeddedTarget::open(&workspace.file(TARGET), &context.config.import, &|_| None)?);
    for plugin in context.plugins.domains() {
        plugin.description.entity_types.iter().try_for_each(|entity_type| own.prepare(entity_type))?;
    }
    let target = TrialTarget {
        own: own.scoped(&TenantScope::of(context.migration.tenant.clone()))?,
        live: context.target.clone(),
        staged: options.sample.is_some().then(|| context.area.clone()),
    };
    let trial_context = MigrationContext {
        platform: None,
        store: Arc::new(Catalog::in_memory_for(&context.migration)?),
        approvals: None,
        usage: Usage::default(),
        target: Arc::new(target),
        area: workspace.area("staging")?,
        ..context.clone()
    };
    Ok((trial_context, options.mapper.clone()))
}

/// Returns the number of records that were uploaded in the platform's own shape. Without a mapper there are no others.
fn count_direct(context: &MigrationContext, mapper: Option<&MapperPlugin>) -> Result<u64, PipelineError> {
    let (limits, mut direct) = (&context.config.upload, 0);
    for (_, entity_type) in counted_entity_types(&context.plugins, &context.migration) {
        let stream = StreamName::Records(&entity_type.name);
        if mapper.is_none() {
            direct += context.area.count(stream)?;
            continue;
        }
        let mut reader = context.area.reader(stream, 0)?;
        let mut staged = StagedBatch::default();
        while reader.next_batch(&mut staged, limits.batch_records, limits.batch_bytes)? {
            direct += staged.entries.iter().filter(|entry| matches!(entry.origin, Origin::Line(_))).count() as u64;
        }
    }
    Ok(direct)
}

/// Returns the number of records of the trial: the mapper's source records, and the records that were uploaded in the
/// platform's own shape.
fn total(context: &MigrationContext, mapper: Option<&MapperPlugin>, direct: u64) -> Result<u64, PipelineError> {
    let sources = mapper.into_iter().flat_map(|mapper| &mapper.description.sources);
    sources
        .map(|source| Ok(context.area.count(StreamName::Source(&source.name))?))
        .sum::<Result<u64, _>>()
        .map(|sum| sum + direct)
}

/// Maps the selected source records of `from` into the area of `to`, and returns their number.
pub(crate) fn map_all(
    from: &Arc<StagingArea>,
    to: &MigrationContext,
    mapper: &Arc<MapperPlugin>,
    filter: SampleFilter,
    progress: &Progress,
) -> Result<u64, Interrupt> {
    let wanted = |entry: &sluice_staging::StagedEntry| filter.includes(entry.key);
    let run = RemapRun { from, to, mapper, wanted: &wanted, progress };
    let mut taken = 0;
    for source in &mapper.description.sources {
        let id = to.migration.reference_id;
        let number = to.store.begin_upload(id, &source.name, Some(mapper.digest), false, Timestamp::now())?;
        taken += run.source(source, number)?.records;
    }
    Ok(taken)
}

/// Copies the selected records that were uploaded in the platform's own shape, and returns their number.
fn copy_direct(
    context: &MigrationContext,
    trial_context: &MigrationContext,
    filter: SampleFilter,
    progress: &Progress,
) -> Result<u64, PipelineError> {
    let (limits, mut taken) = (&context.config.upload, 0);
    for (_, entity_type) in counted_entity_types(&context.plugins, &context.migration) {
        let mut reader = context.area.reader(StreamName::Records(&entity_type.name), 0)?;
        let mut staged = StagedBatch::default();
        while reader.next_batch(&mut staged, limits.batch_records, limits.batch_bytes)? {
            let direct = |entry: &&StagedEntry| matches!(entry.origin, Origin::Line(_));
            progress.advance(staged.entries.iter().filter(direct).count() as u64);
            let chosen: Vec<DirectRecord> = staged
                .entries
                .iter()
                .enumerate()
                .filter(|(_, entry)| matches!(entry.origin, Origin::Line(_)) && filter.includes(entry.key))
                .map(|(position, entry)| DirectRecord::staged(entry.origin, entry.key, staged.body(position)))
                .collect();
            taken += chosen.len() as u64;
            let mut entries = UploadEntries::replacing(0);
            trial_context.area.stage_records(&entity_type.name, &mut entries, &chosen)?;
        }
    }
    Ok(taken)
}

/// Returns the records and sums of each entity type in the trial's target.
fn arriving(trial_context: &MigrationContext) -> Result<SafeValue, PipelineError> {
    let migration = trial_context.migration.reference_id;
    let mut types = vec![];
    for (_, entity_type) in counted_entity_types(&trial_context.plugins, &trial_context.migration) {
        let figures = trial_context.target.figures(migration, &entity_type, &[], 0, &|| false)?;
        let sums = by_currency(&figures.sums).into_iter().map(|(currency, sum)| {
            SafeValue::table([("currency", Cell::from(currency.as_ref())), ("amount", Cell::from(sum))])
        });
        types.push(SafeValue::table([
            ("entityType", SafeValue::from(entity_type.name.clone())),
            ("records", figures.count.into()),
            ("sums", SafeValue::list(sums)),
        ]));
    }
    Ok(types.into())
}

/// Converts the outcomes of source records, by code.
fn outcomes(sources: BTreeMap<Name, Outcomes>) -> SafeValue {
    let of = |(source, outcomes): (Name, Outcomes)| {
        outcomes.into_iter().map(move |((outcome, code), count)| {
            SafeValue::table([
                ("source", SafeValue::from(source.clone())),
                ("outcome", outcome.into()),
                ("code", code.into()),
                ("count", count.into()),
            ])
        })
    };
    SafeValue::list(sources.into_iter().flat_map(of))
}

/// Returns the issues of a phase by code, with the fields that they name and the first records of each.
fn issues(trial_context: &MigrationContext, phase: Phase) -> Result<Vec<SafeValue>, PipelineError> {
    let migration = trial_context.migration.reference_id;
    let mut found = vec![];
    for alike in trial_context.store.issue_counts(migration, phase)? {
        let (ids, lines) = trial_context.store.first_issues(migration, phase, &alike, MAX_EXAMPLES)?;
        let fields = trial_context.store.issue_fields(migration, phase, &alike, MAX_EXAMPLES)?;
        let fields = fields
            .into_iter()
            .map(|(field, listed)| SafeValue::table([("field", SafeValue::from(field)), ("listed", listed.into())]));
        let IssueTotal { stream, severity, code, rule, count } = alike;
        found.push(SafeValue::table([
            ("phase", SafeValue::from(phase.as_str())),
            ("entityType", stream.into()),
            ("severity", severity.as_str().into()),
            ("code", code.into()),
            ("rule", rule.into()),
            ("count", count.into()),
            ("fields", SafeValue::list(fields)),
            ("referenceIds", SafeValue::list(ids)),
            ("lines", SafeValue::list(lines)),
        ]));
    }
    Ok(found)
}

/// Name, version and digest of a plugin, with its usage.
struct PluginReport(Vec<(&'static str, SafeValue)>);

fn plugin(title: PluginTitle, digest: Digest) -> PluginReport {
    PluginReport(vec![("name", title.name.into()), ("version", title.version.into()), ("digest", digest.into())])
}

impl PluginReport {
    fn with(mut self, ResourceUsage { batches, records, time, memory_bytes }: ResourceUsage) -> Self {
        self.0.extend([
            ("batches", SafeValue::from(batches)),
            ("records", records.into()),
            ("seconds", rounded(time.as_secs_f64()).into()),
            ("memoryBytes", memory_bytes.into()),
        ]);
        self
    }

    fn into_table(self) -> SafeValue {
        SafeValue::table(self.0)
    }
}

/// Returns the usage of each plugin.
fn plugins(trial_context: &MigrationContext, mapper: Option<&MapperPlugin>) -> SafeValue {
    let mapper = mapper.map(|mapper| (mapper.title(), mapper.digest, trial_context.usage.of_plugin(mapper.digest)));
    let domains = trial_context
        .plugins
        .domains()
        .iter()
        .map(|domain| (domain.title(), domain.digest, trial_context.usage.of_plugin(domain.digest)));
    let used = mapper.into_iter().chain(domains).filter(|(.., taken)| taken.batches > 0);
    SafeValue::list(used.map(|(title, digest, taken)| plugin(title, digest).with(taken).into_table()))
}

/// Duration of each step.
#[derive(Default)]
struct StepTimings(Vec<(&'static str, f64)>);

impl StepTimings {
    fn time<T>(&mut self, step: &'static str, work: impl FnOnce() -> T) -> T {
        let began = Instant::now();
        let done = work();
        self.0.push((step, began.elapsed().as_secs_f64()));
        done
    }

    /// Returns the seconds of each step, multiplied by a factor.
    fn figures(&self, times: f64) -> SafeValue {
        let step = |(step, seconds): &(&'static str, f64)| {
            SafeValue::table([("step", SafeValue::from(*step)), ("seconds", rounded(seconds * times).into())])
        };
        SafeValue::list(self.0.iter().map(step))
    }
}

fn rounded(seconds: f64) -> f64 {
    (seconds * 1_000.0).round() / 1_000.0
}

/// Keeps the trial's target for this many hours, and returns its path; none if it is deleted.
fn keep(
    context: &MigrationContext,
    workspace: TrialWorkspace,
    area: Arc<StagingArea>,
    hours: u64,
    job: Uuid,
) -> Result<SafeValue, PipelineError> {
    if hours == 0 {
        return Ok(SafeValue::Absent);
    }
    workspace.discard(area)?;
    let until = Timestamp::now() + SignedDuration::from_hours(hours as i64);
    workspace.keep_until(until.as_second())?;
    let path = Cell::path(&[&"migrations", &context.migration.reference_id, &TRIALS, &job, &TARGET]);
    Ok(SafeValue::table([("path", SafeValue::from(path)), ("until", until.into())]))
}
