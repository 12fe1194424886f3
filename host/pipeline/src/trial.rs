//! A trial: the whole way with any mapper that the migration may try, into a target that is thrown away.
//!
//! The very steps of a migration work on another desk: a staging area, a catalogue and a target of the trial's own. What
//! the migration has is read and not changed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use super::counts::{by_currency, count, count_sources, counted};
use super::import::import;
use super::rerun::Rerun;
use super::sample::{Choice, Sample};
use super::trial_target::TrialTarget;
use super::validate::validate;
use super::{Desk, Failure, Stop};
use sluice_catalog::{IssueCount, IssueFilter, Page, Phase, Store};
use sluice_model::{Cell, Digest, Figure, Name, Progress, Title};
use sluice_plugin_host::{MapperPlugin, Taken, Usage};
use sluice_staging::{Aside, DirectRecord, Origin, StagedBatch, StagingArea, StreamName, TRIALS};
use sluice_target::{EmbeddedTarget, Target as _};

/// What is to be tried.
#[derive(Clone)]
pub struct Trial {
    /// With which mapper; none where the migration has none, and all its records came in the platform's own shape.
    pub mapper: Option<Arc<MapperPlugin>>,
    /// With which records; all if this is none.
    pub sample: Option<Sample>,
    /// For how many hours its target is kept; 0 for not at all.
    pub keep_hours: u64,
}

/// Reference ids, or lines, that are shown of what is counted.
pub(super) const SHOWN: u64 = 20;

/// Validations after what the last one named was left out, at most: records refer to each other over a few steps.
const MAX_ROUNDS: usize = 100;

/// Issues that are read at once.
const PAGE: u64 = 1_000;

/// The trial's target in its folder.
const TARGET: &str = "platform.db";

/// Tries it; whether a validation would pass as things are and all would arrive, and the report. Records that
/// validation finds an error in are left out of the import, so that it says what would arrive without them.
pub fn trial(desk: &Desk, asked: &Trial, job: Uuid, progress: &Progress) -> Result<(bool, Figure), Stop> {
    let aside = desk.area.aside(job)?;
    let (tried, mapper) = set_up(desk, asked, &aside)?;
    let total = total(desk, mapper.as_deref())?;
    let choice = Choice::of(asked.sample, total);
    progress.expect(total);
    let mut steps = Steps::default();
    let mut taken = 0;
    if let Some(mapper) = &mapper {
        taken += steps.time("map", || map_all(&desk.area, &tried, mapper, choice, progress))?;
    }
    taken += steps.time("copy", || copy_direct(desk, &tried, choice))?;
    let mut issues = issues(&tried, Phase::Load)?;
    let valid = steps.time("validate", || validate(&tried, progress))?.0;
    issues.extend(self::issues(&tried, Phase::Validate)?);
    let invalid = steps.time("leave out", || leave_out(&tried, valid, progress))?;
    let (whole, imported) = steps.time("import", || import(&tried, progress))?;
    issues.extend(self::issues(&tried, Phase::Import)?);
    let (agree, counts) = steps.time("count", || count(&tried, progress))?;
    let sample = asked.sample.map(|Sample { records, seed }| {
        Figure::table([("records", Figure::from(records)), ("seed", seed.into()), ("chosen", taken.into())])
    });
    let mut report = vec![
        ("mapper", mapper.as_ref().map_or(Figure::Absent, |mapper| plugin(mapper.title(), mapper.digest).into_table())),
        ("isValid", valid.into()),
        ("sample", sample.into()),
        ("recordsInAll", total.into()),
        ("arriving", arriving(&tried)?),
        ("leftOut", Figure::table(invalid)),
        ("import", imported),
        ("countsAgree", agree.into()),
        ("counts", Figure::list(counts)),
        ("sources", outcomes(&tried)?),
        ("issues", issues.into()),
        ("plugins", plugins(&tried, mapper.as_deref())),
        ("steps", steps.figures(1.0)),
        ("estimatedSteps", steps.figures(total as f64 / taken.max(1) as f64)),
    ];
    let area = tried.area.clone();
    drop(tried);
    report.push(("kept", keep(desk, aside, area, asked.keep_hours, job)?));
    Ok((valid && whole && agree, Figure::table(report)))
}

/// The trial's own desk, and the mapper, both counting what plugins take.
fn set_up(desk: &Desk, asked: &Trial, aside: &Aside) -> Result<(Desk, Option<Arc<MapperPlugin>>), Failure> {
    let own = EmbeddedTarget::open(&aside.file(TARGET), &desk.config.import)?;
    for plugin in desk.plugins.domains() {
        plugin.description.entity_types.iter().try_for_each(|entity_type| own.prepare(entity_type))?;
    }
    let target =
        TrialTarget { own, live: desk.target.clone(), staged: asked.sample.is_some().then(|| desk.area.clone()) };
    let tried = Desk {
        platform: None,
        store: Arc::new(Store::in_memory(&desk.migration)?),
        approvals: None,
        usage: Usage::default(),
        target: Arc::new(target),
        area: aside.area("staging")?,
        ..desk.clone()
    };
    Ok((tried, asked.mapper.clone()))
}

/// How many records there are to be tried: the mapper's source records, or else all that are staged.
fn total(desk: &Desk, mapper: Option<&MapperPlugin>) -> Result<u64, Failure> {
    let streams: Vec<Name> = match mapper {
        Some(mapper) => mapper.description.sources.iter().map(|source| source.name.clone()).collect(),
        None => counted(&desk.plugins, &desk.migration).into_iter().map(|(_, entity_type)| entity_type.name).collect(),
    };
    let mut total = 0;
    for name in &streams {
        let stream = if mapper.is_some() { StreamName::Source(name) } else { StreamName::Records(name) };
        total += desk.area.count(stream)?;
    }
    Ok(total)
}

/// Maps the chosen source records of `from` into the other desk's area; how many.
pub(super) fn map_all(
    from: &Arc<StagingArea>,
    to: &Desk,
    mapper: &Arc<MapperPlugin>,
    choice: Choice,
    progress: &Progress,
) -> Result<u64, Stop> {
    let wanted = |entry: &sluice_staging::StagedEntry| choice.holds(entry.key);
    let rerun = Rerun { from, to, mapper, wanted: &wanted, progress };
    let mut taken = 0;
    for source in &mapper.description.sources {
        let id = to.migration.reference_id;
        let number = to.store.begin_upload(id, &source.name, Some(mapper.digest), false, Timestamp::now())?;
        taken += rerun.source(source, number)?.records;
    }
    Ok(taken)
}

/// Copies the chosen records that were uploaded in the platform's own shape; how many.
fn copy_direct(desk: &Desk, tried: &Desk, choice: Choice) -> Result<u64, Failure> {
    let (limits, mut taken) = (&desk.config.upload, 0);
    for (_, entity_type) in counted(&desk.plugins, &desk.migration) {
        let mut reader = desk.area.reader(StreamName::Records(&entity_type.name), 0)?;
        let mut staged = StagedBatch::default();
        while reader.next_batch(&mut staged, limits.batch_records, limits.batch_bytes)? {
            let chosen: Vec<DirectRecord> = staged
                .entries
                .iter()
                .enumerate()
                .filter(|(_, entry)| matches!(entry.origin, Origin::Line(_)) && choice.holds(entry.key))
                .map(|(position, entry)| DirectRecord {
                    origin: entry.origin,
                    id: entry.key,
                    body: staged.body(position),
                })
                .collect();
            taken += chosen.len() as u64;
            tried.area.stage_records(&entity_type.name, 0, &chosen)?;
        }
    }
    Ok(taken)
}

/// Removes what validation found an error in from the trial, until it finds none; how many of each type.
fn leave_out(tried: &Desk, valid: bool, progress: &Progress) -> Result<BTreeMap<Name, u64>, Stop> {
    let (mut valid, mut invalid) = (valid, BTreeMap::new());
    for _ in 0..MAX_ROUNDS {
        if valid || !remove_invalid(tried, &mut invalid)? {
            break;
        }
        valid = validate(tried, progress)?.0;
    }
    Ok(invalid)
}

/// Removes what the last validation lists an error of; whether there was any.
fn remove_invalid(tried: &Desk, invalid: &mut BTreeMap<Name, u64>) -> Result<bool, Failure> {
    let (mut page, mut any) = (Page { offset: 0, limit: PAGE }, false);
    loop {
        let filter = IssueFilter::default();
        let (listed, total) = tried.store.issues(tried.migration.reference_id, Phase::Validate, &filter, page)?;
        let mut ids: BTreeMap<Name, Vec<[u8; 16]>> = BTreeMap::new();
        for listed in listed.into_iter().filter(|listed| listed.issue.stops()) {
            ids.entry(listed.stream).or_default().extend(listed.reference_id.map(Uuid::into_bytes));
        }
        for (entity_type, ids) in ids {
            let removed = tried.area.delete_records(&entity_type, &ids)?.into_iter().filter(|removed| *removed).count();
            any |= removed > 0;
            *invalid.entry(entity_type).or_default() += removed as u64;
        }
        page.offset += PAGE;
        if page.offset >= total {
            return Ok(any);
        }
    }
}

/// Records and sums of each entity type in the trial's target.
fn arriving(tried: &Desk) -> Result<Figure, Failure> {
    let migration = tried.migration.reference_id;
    let mut types = vec![];
    for (_, entity_type) in counted(&tried.plugins, &tried.migration) {
        let figures = tried.target.figures(migration, &entity_type, &[], 0, &|| false)?;
        let sums = by_currency(&figures.sums).into_iter().map(|(currency, sum)| {
            Figure::table([("currency", Cell::from(currency.as_ref())), ("amount", Cell::from(sum))])
        });
        types.push(Figure::table([
            ("entityType", Figure::from(entity_type.name.clone())),
            ("records", figures.count.into()),
            ("sums", Figure::list(sums)),
        ]));
    }
    Ok(types.into())
}

/// What became of source records, by code.
fn outcomes(tried: &Desk) -> Result<Figure, Failure> {
    let of = |(source, outcomes): (Name, super::counts::Outcomes)| {
        outcomes.into_iter().map(move |((outcome, code), count)| {
            Figure::table([
                ("source", Figure::from(source.clone())),
                ("outcome", outcome.into()),
                ("code", code.into()),
                ("count", count.into()),
            ])
        })
    };
    Ok(Figure::list(count_sources(tried)?.into_iter().flat_map(of)))
}

/// What a phase found, by code, with the first records of each.
fn issues(tried: &Desk, phase: Phase) -> Result<Vec<Figure>, Failure> {
    let migration = tried.migration.reference_id;
    let mut found = vec![];
    for alike in tried.store.issue_counts(migration, phase)? {
        let (ids, lines) = tried.store.first_issues(migration, phase, &alike, SHOWN)?;
        let IssueCount { stream, severity, code, rule, count } = alike;
        found.push(Figure::table([
            ("phase", Figure::from(phase.as_str())),
            ("entityType", stream.into()),
            ("severity", severity.as_str().into()),
            ("code", code.into()),
            ("rule", rule.into()),
            ("count", count.into()),
            ("referenceIds", Figure::list(ids)),
            ("lines", Figure::list(lines)),
        ]));
    }
    Ok(found)
}

/// Name, version and digest of a plugin, and more to be said of it.
struct Shown(Vec<(&'static str, Figure)>);

fn plugin(title: Title, digest: Digest) -> Shown {
    Shown(vec![("name", title.name.into()), ("version", title.version.into()), ("digest", digest.into())])
}

impl Shown {
    fn with(mut self, Taken { batches, records, time, memory_bytes }: Taken) -> Self {
        self.0.extend([
            ("batches", Figure::from(batches)),
            ("records", records.into()),
            ("seconds", rounded(time.as_secs_f64()).into()),
            ("memoryBytes", memory_bytes.into()),
        ]);
        self
    }

    fn into_table(self) -> Figure {
        Figure::table(self.0)
    }
}

/// What each plugin that was used took.
fn plugins(tried: &Desk, mapper: Option<&MapperPlugin>) -> Figure {
    let mapper = mapper.map(|mapper| (mapper.title(), mapper.digest, tried.usage.taken(mapper.digest)));
    let domains =
        tried.plugins.domains().iter().map(|domain| (domain.title(), domain.digest, tried.usage.taken(domain.digest)));
    let used = mapper.into_iter().chain(domains).filter(|(.., taken)| taken.batches > 0);
    Figure::list(used.map(|(title, digest, taken)| plugin(title, digest).with(taken).into_table()))
}

/// How long each step took.
#[derive(Default)]
struct Steps(Vec<(&'static str, f64)>);

impl Steps {
    fn time<T>(&mut self, step: &'static str, work: impl FnOnce() -> T) -> T {
        let began = Instant::now();
        let done = work();
        self.0.push((step, began.elapsed().as_secs_f64()));
        done
    }

    /// Seconds of each, times so many.
    fn figures(&self, times: f64) -> Figure {
        let step = |(step, seconds): &(&'static str, f64)| {
            Figure::table([("step", Figure::from(*step)), ("seconds", rounded(seconds * times).into())])
        };
        Figure::list(self.0.iter().map(step))
    }
}

fn rounded(seconds: f64) -> f64 {
    (seconds * 1_000.0).round() / 1_000.0
}

/// Keeps the trial's target for so many hours, and says where; or nothing.
fn keep(desk: &Desk, aside: Aside, area: Arc<StagingArea>, hours: u64, job: Uuid) -> Result<Figure, Failure> {
    if hours == 0 {
        return Ok(Figure::Absent);
    }
    aside.discard(area)?;
    let until = Timestamp::now() + SignedDuration::from_hours(hours as i64);
    aside.keep_until(until.as_second())?;
    let path = Cell::path(&[&"migrations", &desk.migration.reference_id, &TRIALS, &job, &TARGET]);
    Ok(Figure::table([("path", Figure::from(path)), ("until", until.into())]))
}
