//! Loading a source table: frame, read keys, map, let the domain plugins judge, stage, answer.
//!
//! Mapping and staging run side by side, a batch apart, in the order of the upload.

use std::ops::Range;
use std::sync::Arc;

use hashbrown::HashMap;
use tokio::runtime::Handle;
use uuid::Uuid;

use super::direct::{finish_batch, list};
use super::lookups::{KEY_SEPARATOR, LoadedSources};
use super::quarantine::{Place, quarantine};
use super::results::Results;
use super::said::{Speaker, keep_logged};
use super::side_by_side::side_by_side;
use super::upload::{Body, Framed, Upload, frame};
use super::{Desk, Failure};
use sluice_contract::{Batch, Source};
use sluice_framing::{Fault, RawBatch, repeats_a_field, scalar_text, scan_object};
use sluice_model::{Code, Issue, Name, Outcome, Produced, RecordResult, UNDECLARED_CODE};
use sluice_plugin_host::{DomainInstance, DomainPlugin, MapperInstance, MapperPlugin, Transformed};
use sluice_staging::{Effect, Key, Product, Seen, SourceRecord, SourceStatus, hash};

/// Loads a body of source records through the migration's mapper, and answers each in order.
pub fn load_source(
    desk: &Desk,
    mapper: &Arc<MapperPlugin>,
    source: &Source,
    upload: u32,
    body: Body,
    results: &mut Results,
) -> Result<Upload, Failure> {
    let lookup = LoadedSources::new(desk.area.clone(), mapper.clone())?;
    let mut stager = Stager::new(desk, mapper, source, upload, lookup.seen().clone());
    let mut instance = mapper.instance(desk.context(), Arc::new(lookup), &desk.usage);
    let mut done = Upload::default();
    let runtime = Handle::current();
    let received = side_by_side(
        |send| {
            frame(&runtime, body, &desk.config.upload, |framed| {
                let mapped = match framed {
                    Framed::Batch(raw) => Some(map(desk, &mut instance, source, raw)?),
                    Framed::Pause => None,
                };
                // Where staging has failed the body is read all the same: whoever sends it is told at its end.
                send(mapped);
                Ok(())
            })
        },
        |mapped| match mapped {
            Some(mapped) => stager.stage(mapped, &mut done, results),
            None => Ok(results.settle(&desk.area, true)?),
        },
    );
    done.received = results.after(&desk.area, received)?;
    Ok(done)
}

/// A batch on its way from mapping to staging.
pub(super) struct Mapped {
    raw: RawBatch,
    keys: Vec<Keys>,
    transformed: Transformed,
    /// Position in `raw` of each record that the mapper was given.
    positions: Vec<usize>,
    /// Where records are run again: the staged entry, with its key, whose place each takes.
    pub replaces: Vec<(u64, Key)>,
}

/// What a record can be found by, or why it cannot be read.
struct Keys {
    own: Option<Key>,
    lookups: Vec<Option<Key>>,
    fault: Option<Fault>,
}

/// Reads the records' keys, and hands those that can be read to the mapper.
pub(super) fn map(
    desk: &Desk,
    instance: &mut MapperInstance,
    source: &Source,
    raw: RawBatch,
) -> Result<Mapped, Failure> {
    let mut keys: Vec<Keys> = Vec::with_capacity(raw.len());
    let mut faults = raw.faults.iter().peekable();
    for (position, record) in raw.records().enumerate() {
        let framed = faults.next_if(|(of, _)| *of as usize == position).map(|(_, fault)| *fault);
        keys.push(match framed {
            Some(fault) => Keys { own: None, lookups: vec![], fault: Some(fault) },
            None => read_keys(record, source, desk.config.upload.max_depth),
        });
    }
    let positions: Vec<usize> = (0..raw.len()).filter(|position| keys[*position].fault.is_none()).collect();
    let mut raw = raw;
    let transformed = if positions.len() == raw.len() {
        // The usual case: the batch crosses as it is, without a copy on our side.
        let batch = Batch { bytes: std::mem::take(&mut raw.bytes), ends: std::mem::take(&mut raw.ends) };
        let transformed = instance.transform(&source.name, &batch);
        (raw.bytes, raw.ends) = (batch.bytes, batch.ends);
        transformed?
    } else {
        let mut batch = Batch { bytes: vec![], ends: vec![] };
        for position in &positions {
            batch.bytes.extend_from_slice(raw.record(*position));
            batch.ends.push(batch.bytes.len() as u32);
        }
        instance.transform(&source.name, &batch)?
    };
    Ok(Mapped { raw, keys, transformed, positions, replaces: vec![] })
}

/// Reads what a record is identified by and can be looked up by.
fn read_keys(record: &[u8], source: &Source, max_depth: usize) -> Keys {
    let mut own: Vec<Option<String>> = vec![None; source.key.len()];
    let mut lookups = vec![None; source.lookups.len()];
    let mut repeated = false;
    let scanned = scan_object(record, max_depth, |name, value| {
        repeated |= repeats_a_field(value);
        if let Some(part) = source.key.iter().position(|field| field == name) {
            own[part] = scalar_text(value).map(|text| text.into_owned());
        }
        if let Some(lookup) = source.lookups.iter().position(|field| field == name) {
            lookups[lookup] = scalar_text(value).map(|text| hash(&[text.as_bytes()]));
        }
    });
    let whole: Option<Vec<String>> = own.into_iter().collect();
    let repeated = repeated.then_some(Fault::DuplicateField);
    let fault = scanned.err().or(repeated).or(whole.is_none().then_some(Fault::Key));
    if fault.is_some() {
        return Keys { own: None, lookups: vec![], fault };
    }
    Keys { own: whole.map(|parts| hash(&[parts.join(KEY_SEPARATOR).as_bytes()])), lookups, fault }
}

/// A record that the mapper made, judged by its domain plugin.
struct Made {
    batch: usize,
    place: usize,
    id: [u8; 16],
}

/// What is known of a source record after mapping and judging.
#[derive(Default)]
struct Verdict {
    made: Vec<Made>,
    issues: Vec<Issue>,
    skipped: Option<Code>,
    broken: Option<&'static str>,
    /// It was mapped only to domains that this migration does not cover.
    uncovered: bool,
}

/// Judges what a mapper made of the records of one source, and stages it.
pub(super) struct Stager<'a> {
    desk: &'a Desk,
    mapper: &'a MapperPlugin,
    source: &'a Source,
    upload: u32,
    /// How far each source had come for the mapper.
    seen: Seen,
    /// A domain plugin for each entity type, made when it is first needed; none if it is not covered.
    judges: HashMap<Name, Option<(Arc<DomainPlugin>, DomainInstance)>>,
}

impl<'a> Stager<'a> {
    pub fn new(desk: &'a Desk, mapper: &'a MapperPlugin, source: &'a Source, upload: u32, seen: Seen) -> Self {
        Self { desk, mapper, source, upload, seen, judges: HashMap::new() }
    }

    pub fn stage(&mut self, mapped: Mapped, done: &mut Upload, results: &mut Results) -> Result<(), Failure> {
        let Mapped { raw, keys, mut transformed, positions, replaces } = mapped;
        let mut verdicts: Vec<Verdict> = keys
            .iter()
            .map(|keys| Verdict {
                issues: keys.fault.iter().map(|fault| Issue::error(fault.code())).collect(),
                ..Verdict::default()
            })
            .collect();
        self.take_over(&mut transformed, &positions, &raw, &mut verdicts)?;
        let ranges = self.judge(&mut transformed, &positions, &raw, &mut verdicts)?;

        let body_of = |made: &Made| {
            let range: &Range<usize> = &ranges[made.batch][made.place];
            &transformed.produced[made.batch].records.bytes[range.clone()]
        };
        let statuses: Vec<(SourceStatus, Option<Code>)> = verdicts.iter().map(Verdict::status).collect();
        let records: Vec<SourceRecord> = verdicts
            .iter()
            .zip(&statuses)
            .enumerate()
            .map(|(position, (verdict, (status, code)))| {
                let mapped = *status == SourceStatus::Mapped;
                SourceRecord {
                    line: raw.lines[position],
                    offset: raw.offsets.get(position).copied(),
                    given: keys[position].fault.is_none(),
                    key: keys[position].own,
                    lookups: keys[position].lookups.clone(),
                    body: raw.record(position),
                    status: *status,
                    code: code.as_deref().unwrap_or_default(),
                    products: verdict
                        .made
                        .iter()
                        .filter(|_| mapped)
                        .map(|made| Product {
                            entity_type: &transformed.produced[made.batch].entity_type,
                            id: made.id,
                            body: body_of(made),
                        })
                        .collect(),
                    replaces: replaces.get(position).copied(),
                }
            })
            .collect();
        let (area, Self { source, upload, seen, .. }) = (&self.desk.area, &*self);
        let effects = area.stage_sources(&source.name, &source.lookups, *upload, seen, &records)?;
        drop(records);

        let changes = effects.iter().filter(|effect| effect.changes()).count() as u64;
        done.note_change(self.desk, changes > 0)?;
        done.changes += changes;

        let mut listed = vec![];
        for (position, (mut verdict, effect)) in verdicts.into_iter().zip(effects).enumerate() {
            match effect {
                Effect::DuplicateKey => verdict.issues.push(Issue::error("DUPLICATE_KEY")),
                Effect::DuplicateReferenceId => verdict.issues.push(Issue::error("DUPLICATE_REFERENCE_ID")),
                Effect::New | Effect::Replaced | Effect::Unchanged => {}
            }
            let result = verdict.result(raw.lines[position], &transformed);
            done.tally(&result);
            results.add(&result);
            // What comes to the same when it is run again was listed before.
            if replaces.is_empty() || effect.changes() {
                list(&result, &self.source.name, None, &mut listed);
            }
        }
        self.log(&transformed, &positions, &raw)?;
        finish_batch(self.desk, &listed, results)
    }

    /// Takes over what the mapper said of each record.
    fn take_over(
        &self,
        transformed: &mut Transformed,
        positions: &[usize],
        raw: &RawBatch,
        verdicts: &mut [Verdict],
    ) -> Result<(), Failure> {
        let place = |position: Option<u32>| Place {
            upload: self.upload,
            stream: &self.source.name,
            line: position.map(|position| raw.lines[positions[position as usize]]),
        };
        let who = (self.mapper.title(), &self.mapper.digest);
        quarantine(&self.desk.area, who, &transformed.poisoned, &transformed.undeclared, place)?;
        for (code, skipped) in &transformed.skipped {
            for position in skipped {
                verdicts[positions[*position as usize]].skipped = Some(code.clone());
            }
        }
        for (position, issue) in transformed.issues.drain(..) {
            verdicts[positions[position as usize]].issues.push(issue);
        }
        for poisoned in &transformed.poisoned {
            verdicts[positions[poisoned.position as usize]].broken = Some(poisoned.failure.cause.code());
        }
        Ok(())
    }

    /// Lets the domain plugins judge what the mapper made; where each record stands in its batch.
    fn judge(
        &mut self,
        transformed: &mut Transformed,
        positions: &[usize],
        raw: &RawBatch,
        verdicts: &mut [Verdict],
    ) -> Result<Vec<Vec<Range<usize>>>, Failure> {
        let mut ranges = vec![];
        for (batch, produced) in transformed.produced.iter().enumerate() {
            ranges.push(record_ranges(&produced.records.ends));
            let origin = |place: usize| positions[produced.origins[place] as usize];
            let desk = self.desk;
            let judge = self.judges.entry(produced.entity_type.clone()).or_insert_with(|| {
                let plugin = desk.plugins.of_entity_type(&produced.entity_type)?;
                let covered = desk.migration.covers(&plugin.description.domain);
                covered.then(|| (plugin.clone(), plugin.instance(desk.context(), None, &desk.usage)))
            });
            let Some((plugin, judge)) = judge else {
                (0..produced.origins.len()).for_each(|place| verdicts[origin(place)].uncovered = true);
                continue;
            };
            let validated = judge.validate(&produced.entity_type, &produced.records)?;
            for (place, id) in validated.ids.iter().enumerate() {
                match *id {
                    Some(id) if is_derived(id) => verdicts[origin(place)].made.push(Made { batch, place, id }),
                    Some(_) => verdicts[origin(place)].issues.push(Issue::error("REFERENCE_ID_NOT_DERIVED")),
                    None => {}
                }
            }
            for (place, mut issue) in validated.issues {
                // The field is the made record's, not the source record's: say so.
                issue.field = issue.field.within(&produced.entity_type);
                verdicts[origin(place as usize)].issues.push(issue);
            }
            for poisoned in &validated.poisoned {
                verdicts[origin(poisoned.position as usize)].broken = Some(poisoned.failure.cause.code());
            }
            let place = |position: Option<u32>| Place {
                upload: self.upload,
                stream: &self.source.name,
                line: position.map(|position| raw.lines[origin(position as usize)]),
            };
            let who = (plugin.title(), &plugin.digest);
            quarantine(&self.desk.area, who, &validated.poisoned, &validated.undeclared, place)?;
            let place = |position: u32| ("line", raw.lines[origin(position as usize)].into());
            let speaker = Speaker { domain: Some(&plugin.description.domain), upload: self.upload, place };
            keep_logged(desk, &validated.logged, &speaker)?;
        }
        for verdict in verdicts.iter_mut() {
            let silent = verdict.made.is_empty()
                && verdict.skipped.is_none()
                && verdict.broken.is_none()
                && !verdict.uncovered
                && !verdict.issues.iter().any(Issue::stops);
            if silent {
                verdict.issues.push(Issue::error("NOT_ACCOUNTED_FOR"));
            }
        }
        Ok(ranges)
    }

    fn log(&self, transformed: &Transformed, positions: &[usize], raw: &RawBatch) -> Result<(), Failure> {
        let place = |position: u32| ("line", raw.lines[positions[position as usize]].into());
        let speaker = Speaker { domain: None, upload: self.upload, place };
        Ok(keep_logged(self.desk, &transformed.logged, &speaker)?)
    }
}

/// Whether a reference id is one that a mapper may give: derived from a key (version 5), or drawn (4, 7). Sixteen
/// bytes of anything else could be sixteen bytes of a record, and ids are shown where records are not.
fn is_derived(id: [u8; 16]) -> bool {
    let id = Uuid::from_bytes(id);
    id.get_variant() == uuid::Variant::RFC4122 && matches!(id.get_version_num(), 4 | 5 | 7)
}

impl Verdict {
    fn status(&self) -> (SourceStatus, Option<Code>) {
        if let Some(code) = self.broken {
            return (SourceStatus::Quarantined, Some(code.into()));
        }
        if let Some(issue) = self.issues.iter().find(|issue| issue.stops()) {
            return (SourceStatus::Rejected, Some(issue.code.clone()));
        }
        match &self.skipped {
            _ if !self.made.is_empty() => (SourceStatus::Mapped, None),
            Some(code) => (SourceStatus::Skipped, Some(code.clone())),
            None => (SourceStatus::Skipped, Some("DOMAIN_NOT_COVERED".into())),
        }
    }

    fn result(self, line: u64, transformed: &Transformed) -> RecordResult {
        let outcome = match self.status() {
            (SourceStatus::Mapped, _) => Outcome::Mapped(
                self.made
                    .iter()
                    .map(|made| Produced {
                        entity_type: transformed.produced[made.batch].entity_type.clone(),
                        reference_id: Uuid::from_bytes(made.id),
                    })
                    .collect(),
            ),
            (SourceStatus::Skipped, code) => Outcome::Skipped(code.unwrap_or(UNDECLARED_CODE)),
            (SourceStatus::Rejected, _) => Outcome::Rejected(None),
            (SourceStatus::Quarantined, code) => Outcome::Quarantined(code.unwrap_or(UNDECLARED_CODE)),
        };
        RecordResult { line, outcome, issues: self.issues }
    }
}

fn record_ranges(ends: &[u32]) -> Vec<Range<usize>> {
    let starts = std::iter::once(0).chain(ends.iter().copied());
    starts.zip(ends).map(|(start, end)| start as usize..*end as usize).collect()
}
