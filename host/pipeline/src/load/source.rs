//! Loading of a source table: records are framed, mapped, validated by the domain plugins, and staged.
//!
//! Mapping and staging run at the same time, a batch apart, in the order of the upload.

use std::ops::Range;
use std::sync::Arc;

use hashbrown::{HashMap, HashSet};
use tokio::runtime::Handle;
use uuid::Uuid;

use crate::load::UploadSummary;
use crate::load::issue_notes::notes_of;
use crate::load::probable_keys::probable_keys;
use crate::load::record_lines::{RecordLines, fault_issue};
use crate::load::record_stream::{FrameEvent, RecordStream, frame};
use crate::load::results::ResultWriter;
use crate::load::stage_records::{finish_batch, list};
use crate::lookups::{KEY_SEPARATOR, LoadedSources};
use crate::parallel::producer_consumer;
use crate::plugin_log::{PluginLogOrigin, write_plugin_log};
use crate::quarantine::{QuarantinePosition, quarantine};
use crate::{MigrationContext, PipelineError};
use sluice_contract::{Batch, CanonicalIds, SourceTable};
use sluice_framing::{Fault, RawBatch, repeats_a_field, scalar_text, scan_object};
use sluice_model::{Code, Issue, Name, ProducedRecord, RecordOutcome, RecordResult, UNDECLARED_CODE};
use sluice_plugin_host::{DomainInstance, DomainPlugin, MapperInstance, MapperOutput, MapperPlugin};
use sluice_staging::{
    Effect, Key, Product, SourceLengths, SourceRecord, SourceStatus, StagingEffects, UploadEntries, UploadedForm, hash,
};

/// Loads a stream of source records through the migration's mapper, and writes a result for each in order.
pub fn load_source(
    context: &MigrationContext,
    mapper: &Arc<MapperPlugin>,
    source: &SourceTable,
    upload: u32,
    stream: RecordStream,
    results: &mut ResultWriter,
) -> Result<UploadSummary, PipelineError> {
    let lookup = LoadedSources::new(context.area.clone(), mapper.clone())?;
    let mut stager = SourceStager::new(context, mapper, source, upload, lookup.seen().clone())?;
    let mut instance = mapper.instance(context.plugin_context(), Arc::new(lookup), &context.usage);
    let mut summary = UploadSummary::default();
    let runtime = Handle::current();
    let totals = producer_consumer(
        |send| {
            frame(&runtime, stream, &context.config.upload, true, |framed| {
                let mapped = match framed {
                    FrameEvent::Batch(raw, uploaded) => {
                        Some(MappedBatch { uploaded, ..map(context, &mut instance, source, raw)? })
                    }
                    FrameEvent::Pause => None,
                };
                // If staging has failed, the stream is read to its end all the same. The error is reported then.
                send(mapped);
                Ok(())
            })
        },
        |mapped| match mapped {
            Some(mapped) => stager.stage(mapped, &mut summary, results),
            None => Ok(results.flush(&context.area, true)?),
        },
    );
    summary.set_input(results.after(&context.area, totals)?);
    summary.confirmed = stager.confirmed();
    Ok(summary)
}

/// A batch between mapping and staging.
pub(crate) struct MappedBatch {
    raw: RawBatch,
    keys: Vec<RecordKeys>,
    transformed: MapperOutput,
    /// Position in `raw` of each record that was passed to the mapper.
    positions: Vec<usize>,
    /// Form in which the records were uploaded, if it is to be kept.
    pub uploaded: Option<UploadedForm>,
    /// In a run that maps records again: the ordinal and the key of the staged entry that each record replaces.
    pub replaces: Vec<(u64, Key)>,
}

/// Keys of a record, or the fault for which it cannot be read.
struct RecordKeys {
    own: Option<Key>,
    lookups: Vec<Option<Key>>,
    fault: Option<Fault>,
}

/// Reads the records' keys, and passes the readable records to the mapper.
pub(crate) fn map(
    context: &MigrationContext,
    instance: &mut MapperInstance,
    source: &SourceTable,
    raw: RawBatch,
) -> Result<MappedBatch, PipelineError> {
    let mut keys: Vec<RecordKeys> = Vec::with_capacity(raw.len());
    let mut faults = raw.faults.iter().peekable();
    for (position, record) in raw.records().enumerate() {
        let framed = faults.next_if(|(of, _)| *of as usize == position).map(|(_, fault)| *fault);
        keys.push(match framed {
            Some(fault) => RecordKeys { own: None, lookups: vec![], fault: Some(fault) },
            None => read_keys(record, source, context.config.upload.max_depth),
        });
    }
    let positions: Vec<usize> = (0..raw.len()).filter(|position| keys[*position].fault.is_none()).collect();
    let mut raw = raw;
    let transformed = if positions.len() == raw.len() {
        // Usually every record is readable. Then the batch is passed without a copy.
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
    Ok(MappedBatch { raw, keys, transformed, positions, uploaded: None, replaces: vec![] })
}

/// Reads a record's identifying key and its lookup fields.
fn read_keys(record: &[u8], source: &SourceTable, max_depth: usize) -> RecordKeys {
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
        return RecordKeys { own: None, lookups: vec![], fault };
    }
    RecordKeys { own: whole.map(|parts| hash(&[parts.join(KEY_SEPARATOR).as_bytes()])), lookups, fault }
}

/// A record that the mapper made, validated by its domain plugin.
struct MapperRecord {
    batch: usize,
    place: usize,
    id: [u8; 16],
}

/// Findings about a source record after mapping and validation.
#[derive(Default)]
struct RecordVerdict {
    made: Vec<MapperRecord>,
    issues: Vec<Issue>,
    skipped: Option<Code>,
    failure: Option<&'static str>,
    /// True if the record was mapped only to domains that the migration does not cover.
    uncovered: bool,
}

/// Validates and stages the mapper's output for the records of one source.
pub(crate) struct SourceStager<'a> {
    context: &'a MigrationContext,
    mapper: &'a MapperPlugin,
    source: &'a SourceTable,
    /// Entries of the upload.
    entries: UploadEntries,
    /// Length of each source's stream as the mapper saw it.
    seen: SourceLengths,
    /// Numbers of the uploads with the same mapper.
    same_mapper: HashSet<u32>,
    /// A domain plugin for each entity type, instantiated at its first use; none if the migration does not cover it.
    validators: HashMap<Name, Option<Validator>>,
}

/// A domain plugin that validates the records of an entity type.
struct Validator {
    plugin: Arc<DomainPlugin>,
    instance: DomainInstance,
    /// Fields of the entity type that hold ids.
    ids: CanonicalIds,
}

impl<'a> SourceStager<'a> {
    /// Creates a stager for the records of one source under this upload number.
    pub fn new(
        context: &'a MigrationContext,
        mapper: &'a MapperPlugin,
        source: &'a SourceTable,
        upload: u32,
        seen: SourceLengths,
    ) -> Result<Self, PipelineError> {
        let uploads = context.store.uploads(context.migration.reference_id)?.into_iter();
        let same_mapper = uploads.filter(|upload| upload.mapper == Some(mapper.digest)).map(|upload| upload.number);
        let (same_mapper, entries) = (same_mapper.chain([upload]).collect(), UploadEntries::new(upload));
        Ok(Self { context, mapper, source, entries, seen, same_mapper, validators: HashMap::new() })
    }

    /// Returns the numbers of earlier uploads whose records this upload contained unchanged.
    pub fn confirmed(&self) -> Vec<u32> {
        self.entries.confirmed().collect()
    }

    /// Validates a mapped batch, stages it, and adds the results of its records.
    pub fn stage(
        &mut self,
        mapped: MappedBatch,
        summary: &mut UploadSummary,
        results: &mut ResultWriter,
    ) -> Result<(), PipelineError> {
        let MappedBatch { raw, keys, mut transformed, positions, uploaded, replaces } = mapped;
        let probable = probable_keys(uploaded.as_ref(), &raw, self.source);
        let mut verdicts: Vec<RecordVerdict> = keys
            .iter()
            .enumerate()
            .map(|(position, keys)| RecordVerdict {
                issues: keys
                    .fault
                    .iter()
                    .filter(|fault| !fault.skips())
                    .map(|fault| fault_issue(*fault, raw.record(position), |name| self.mapper.declared_field(name)))
                    .collect(),
                skipped: keys.fault.filter(|fault| fault.skips()).map(|fault| fault.code().into()),
                ..RecordVerdict::default()
            })
            .collect();
        for (position, notice) in &raw.notices {
            verdicts[*position as usize].issues.push(Issue::warning(notice.code()));
        }
        self.apply_mapper_output(&mut transformed, &positions, &raw, &mut verdicts)?;
        let ranges = self.validate(&mut transformed, &positions, &raw, &mut verdicts)?;

        let body_of = |made: &MapperRecord| {
            let range: &Range<usize> = &ranges[made.batch][made.place];
            &transformed.produced[made.batch].records.bytes[range.clone()]
        };
        let statuses: Vec<(SourceStatus, Option<Code>)> = verdicts.iter().map(RecordVerdict::status).collect();
        let notes: Vec<Vec<u8>> = verdicts
            .iter()
            .zip(&statuses)
            .map(|(verdict, (_, code))| notes_of(code.as_ref(), &verdict.issues))
            .collect();
        let (area, Self { source, entries, seen, same_mapper, .. }) = (&self.context.area, &mut *self);
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
                    probable_key: probable.get(&position).copied(),
                    lookups: keys[position].lookups.clone(),
                    body: raw.record(position),
                    status: *status,
                    code: code.as_deref().unwrap_or_default(),
                    notes: &notes[position],
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
                    same_mapper: Some(same_mapper),
                }
            })
            .collect();
        let StagingEffects { effects, superseded } =
            area.stage_sources(&source.name, &source.lookups, entries, seen, &records, uploaded.as_ref())?;
        drop(records);

        let changes = effects.iter().filter(|effect| effect.changes()).count() as u64;
        summary.note_change(self.context, changes > 0)?;
        summary.changes += changes;

        let mut listed = vec![];
        for (position, (mut verdict, effect)) in verdicts.into_iter().zip(effects).enumerate() {
            match effect {
                Effect::DuplicateKey { first, .. } => verdict.issues.push(Issue::duplicate("DUPLICATE_KEY", first)),
                Effect::DuplicateReferenceId { first, .. } => {
                    verdict.issues.push(Issue::duplicate("DUPLICATE_REFERENCE_ID", first));
                }
                Effect::New | Effect::Replaced | Effect::Unchanged => {}
            }
            let result = verdict.result(RecordLines::of(&raw, position), &transformed);
            summary.tally(&result);
            results.add(&result);
            // The issues of an unchanged record were listed when it was staged.
            if effect.changes() {
                list(&result, &self.source.name, self.entries.number(), None, &mut listed);
            }
        }
        self.log(&transformed, &positions, &raw)?;
        finish_batch(self.context, &listed, superseded, results)
    }

    /// Applies the mapper's findings to the verdict of each record.
    fn apply_mapper_output(
        &self,
        transformed: &mut MapperOutput,
        positions: &[usize],
        raw: &RawBatch,
        verdicts: &mut [RecordVerdict],
    ) -> Result<(), PipelineError> {
        let place = |position: Option<u32>| QuarantinePosition {
            upload: self.entries.number(),
            stream: &self.source.name,
            line: position.map(|position| raw.lines[positions[position as usize]]),
        };
        let who = (self.mapper.title(), &self.mapper.digest);
        quarantine(&self.context.area, who, &transformed.failed, &transformed.undeclared, place)?;
        for (code, skipped) in &transformed.skipped {
            for position in skipped {
                verdicts[positions[*position as usize]].skipped = Some(code.clone());
            }
        }
        for (position, issue) in transformed.issues.drain(..) {
            verdicts[positions[position as usize]].issues.push(issue);
        }
        for failed in &transformed.failed {
            verdicts[positions[failed.position as usize]].failure = Some(failed.failure.cause.code());
        }
        Ok(())
    }

    /// Validates the mapper's output with the domain plugins. Returns the position of each record in its batch.
    fn validate(
        &mut self,
        transformed: &mut MapperOutput,
        positions: &[usize],
        raw: &RawBatch,
        verdicts: &mut [RecordVerdict],
    ) -> Result<Vec<Vec<Range<usize>>>, PipelineError> {
        let mut ranges = vec![];
        for (batch, produced) in transformed.produced.iter_mut().enumerate() {
            ranges.push(record_ranges(&produced.records.ends));
            let origin = |place: usize| positions[produced.origins[place] as usize];
            let context = self.context;
            let validate = self.validators.entry(produced.entity_type.clone()).or_insert_with(|| {
                let plugin = context.plugins.of_entity_type(&produced.entity_type)?;
                let covered = context.migration.covers(&plugin.description.domain);
                covered.then(|| Validator {
                    plugin: plugin.clone(),
                    instance: plugin.instance(context.plugin_context(), None, &context.usage),
                    ids: plugin.entity_type(&produced.entity_type).map(CanonicalIds::new).unwrap_or_default(),
                })
            });
            let Some(Validator { plugin, instance: validate, ids }) = validate else {
                (0..produced.origins.len()).for_each(|place| verdicts[origin(place)].uncovered = true);
                continue;
            };
            ids.canonicalise_all(&mut produced.records.bytes, &produced.records.ends);
            let validated = validate.validate(&produced.entity_type, &produced.records)?;
            for (place, id) in validated.ids.iter().enumerate() {
                match *id {
                    Some(id) if is_derived(id) => verdicts[origin(place)].made.push(MapperRecord { batch, place, id }),
                    Some(_) => verdicts[origin(place)].issues.push(Issue::error("REFERENCE_ID_NOT_DERIVED")),
                    None => {}
                }
            }
            for (place, mut issue) in validated.issues {
                // The field belongs to the record that was made, not to the source record, so its path begins with the
                // entity type.
                issue.field = issue.field.within(&produced.entity_type);
                verdicts[origin(place as usize)].issues.push(issue);
            }
            for failed in &validated.failed {
                verdicts[origin(failed.position as usize)].failure = Some(failed.failure.cause.code());
            }
            let place = |position: Option<u32>| QuarantinePosition {
                upload: self.entries.number(),
                stream: &self.source.name,
                line: position.map(|position| raw.lines[origin(position as usize)]),
            };
            let who = (plugin.title(), &plugin.digest);
            quarantine(&self.context.area, who, &validated.failed, &validated.undeclared, place)?;
            let place = |position: u32| ("line", raw.lines[origin(position as usize)].into());
            let log_origin =
                PluginLogOrigin { domain: Some(&plugin.description.domain), upload: self.entries.number(), place };
            write_plugin_log(context, &validated.logged, &log_origin)?;
        }
        for verdict in verdicts.iter_mut() {
            let unaccounted = verdict.made.is_empty()
                && verdict.skipped.is_none()
                && verdict.failure.is_none()
                && !verdict.uncovered
                && !verdict.issues.iter().any(Issue::is_error);
            if unaccounted {
                verdict.issues.push(Issue::error("NOT_ACCOUNTED_FOR"));
            }
        }
        Ok(ranges)
    }

    fn log(&self, transformed: &MapperOutput, positions: &[usize], raw: &RawBatch) -> Result<(), PipelineError> {
        let place = |position: u32| ("line", raw.lines[positions[position as usize]].into());
        let log_origin = PluginLogOrigin { domain: None, upload: self.entries.number(), place };
        Ok(write_plugin_log(self.context, &transformed.logged, &log_origin)?)
    }
}

/// Returns true if a mapper may give this reference id: one derived from a key (version 5), or a random one (4, 7). Any
/// other 16 bytes could come from a record, and ids are shown where records are not.
fn is_derived(id: [u8; 16]) -> bool {
    let id = Uuid::from_bytes(id);
    id.get_variant() == uuid::Variant::RFC4122 && matches!(id.get_version_num(), 4 | 5 | 7)
}

impl RecordVerdict {
    fn status(&self) -> (SourceStatus, Option<Code>) {
        if let Some(code) = self.failure {
            return (SourceStatus::Quarantined, Some(code.into()));
        }
        if let Some(issue) = self.issues.iter().find(|issue| issue.is_error()) {
            return (SourceStatus::Rejected, Some(issue.code.clone()));
        }
        match &self.skipped {
            _ if !self.made.is_empty() => (SourceStatus::Mapped, None),
            Some(code) => (SourceStatus::Skipped, Some(code.clone())),
            None => (SourceStatus::Skipped, Some("DOMAIN_NOT_COVERED".into())),
        }
    }

    fn result(self, lines: RecordLines, transformed: &MapperOutput) -> RecordResult {
        let outcome = match self.status() {
            (SourceStatus::Mapped, _) => RecordOutcome::Mapped(
                self.made
                    .iter()
                    .map(|made| ProducedRecord {
                        entity_type: transformed.produced[made.batch].entity_type.clone(),
                        reference_id: Uuid::from_bytes(made.id),
                    })
                    .collect(),
            ),
            (SourceStatus::Skipped, code) => RecordOutcome::Skipped(code.unwrap_or(UNDECLARED_CODE)),
            (SourceStatus::Rejected, _) => RecordOutcome::Rejected(None),
            (SourceStatus::Quarantined, code) => RecordOutcome::Quarantined(code.unwrap_or(UNDECLARED_CODE)),
        };
        lines.result(outcome, self.issues)
    }
}

fn record_ranges(ends: &[u32]) -> Vec<Range<usize>> {
    let starts = std::iter::once(0).chain(ends.iter().copied());
    starts.zip(ends).map(|(start, end)| start as usize..*end as usize).collect()
}
