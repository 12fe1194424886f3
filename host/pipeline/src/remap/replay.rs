//! Replay: source records pass replayed through the plugins that mapped and validated them, and the results are compared
//! byte by byte.
//!
//! A mapper sees a batch, so a batch is replayed: the same records in the same order, with the lookups of that time.

use std::sync::Arc;

use hashbrown::HashMap;
use uuid::Uuid;

use crate::lookups::LoadedSources;
use crate::{Interrupt, MigrationContext, PipelineError};
use sluice_contract::Batch;
use sluice_model::{Digest, Name, Progress, SafeValue};
use sluice_plugin_host::{MapperOutput, MapperPlugin, ProducedBatch};
use sluice_staging::{Key, Origin, SourceBatch, SourceStatus, StagedEntry, StreamName, hash};

/// Maximum number of different records whose reference ids are reported.
const MAX_EXAMPLES: usize = 20;

/// Result of the replay of one record.
#[derive(Clone, Debug)]
pub struct ReplayResult {
    /// Digest of the mapper.
    pub mapper: Digest,
    /// True if the mapper produced the same bytes.
    pub mapped_same: bool,
    /// Digest of the domain plugin: the one of the import, or the present one if the record is not imported.
    pub domain_plugin: Digest,
    /// True if the domain plugin finds no error, returns the same reference id and plans one step, and the target, if
    /// it has the record, has the same one.
    pub validated_same: bool,
}

/// Result of the replay of a batch.
struct BatchReplay {
    transformed: MapperOutput,
    mapper: Digest,
}

impl BatchReplay {
    /// Returns the records of one entity type that the mapper produced from a member of the batch.
    fn produced<'a>(&'a self, position: u32, entity_type: &'a str) -> impl Iterator<Item = &'a [u8]> {
        let batches = self.transformed.produced.iter().filter(move |batch| batch.entity_type == *entity_type);
        batches.flat_map(move |ProducedBatch { records, origins, .. }| {
            let of = origins.iter().enumerate().filter(move |(_, origin)| **origin == position);
            of.map(move |(place, _)| {
                let start = if place == 0 { 0 } else { records.ends[place - 1] as usize };
                &records.bytes[start..records.ends[place] as usize]
            })
        })
    }
}

/// Maps a batch replayed. Returns none if its mapper is not known.
fn replay_batch(
    context: &MigrationContext,
    source: &str,
    batch: &SourceBatch,
) -> Result<Option<BatchReplay>, PipelineError> {
    let Some(mapper) = mapper_of(context, batch.upload)? else { return Ok(None) };
    let mut records = Batch { bytes: vec![], ends: vec![] };
    for member in &batch.members {
        if let Some((_, body)) = context.area.entry(StreamName::Source(source), member.ordinal)? {
            records.bytes.extend_from_slice(&body);
        }
        records.ends.push(records.bytes.len() as u32);
    }
    let lookup = LoadedSources::as_of(context.area.clone(), mapper.clone(), batch.seen.clone());
    let transformed =
        mapper.instance(context.plugin_context(), Arc::new(lookup), &context.usage).transform(source, &records)?;
    Ok(Some(BatchReplay { transformed, mapper: mapper.digest }))
}

/// Returns the mapper of an upload.
fn mapper_of(context: &MigrationContext, upload: u32) -> Result<Option<Arc<MapperPlugin>>, PipelineError> {
    match context.store.upload_mapper(context.migration.reference_id, upload)? {
        Some(digest) => Ok(context.mapper(digest)?),
        None => Ok(None),
    }
}

/// Replays one record. Returns none if no mapper produced it.
pub fn replay(context: &MigrationContext, entity_type: &Name, id: Key) -> Result<Option<ReplayResult>, PipelineError> {
    let Some((record, body)) = context.area.record(entity_type, id)? else { return Ok(None) };
    let Origin::Source { stream, ordinal } = record.origin else { return Ok(None) };
    let Some(source) = context.area.source_of(stream)? else { return Ok(None) };
    let Some(batch) = context.area.batch_of(&source, ordinal)? else { return Ok(None) };
    let Some(replayed) = replay_batch(context, &source, &batch)? else { return Ok(None) };
    let position = batch.members.iter().position(|member| member.ordinal == ordinal).unwrap_or_default() as u32;
    let mapped_same = replayed.produced(position, entity_type).any(|produced| produced == body);
    let (domain_plugin, validated_same) = validate_again(context, entity_type, id, &body)?;
    Ok(Some(ReplayResult { mapper: replayed.mapper, mapped_same, domain_plugin, validated_same }))
}

/// Validates and plans a record alone, with the plugin that validated it before.
fn validate_again(
    context: &MigrationContext,
    entity_type: &Name,
    id: Key,
    body: &[u8],
) -> Result<(Digest, bool), PipelineError> {
    let Some(now) = context.plugins.of_entity_type(entity_type) else { return Ok((Digest::default(), false)) };
    let described = now.entity_type(entity_type).expect("it is of this plugin");
    let imported_row = context.target.imported_row(described, id)?;
    let imported_row = imported_row.filter(|imported_row| imported_row.migration == context.migration.reference_id);
    let plugin = match &imported_row {
        Some(imported_row) if imported_row.provenance.domain_plugin != now.digest => {
            context.plugins.earlier_domain(imported_row.provenance.domain_plugin)?
        }
        _ => now.clone(),
    };
    let batch = Batch { bytes: body.to_vec(), ends: vec![body.len() as u32] };
    let mut instance = plugin.instance(context.plugin_context(), None, &context.usage);
    let validated = instance.validate(entity_type, &batch)?;
    let sound = validated.ids == [Some(id)] && !validated.issues.iter().any(|(_, issue)| issue.is_error());
    let planned = instance.plan(entity_type, &batch)?;
    let planned_same = planned.items.len() == 1 && planned.failed.is_empty();
    let stored_same = imported_row.is_none_or(|imported_row| imported_row.hash == hash(&[body]));
    Ok((plugin.digest, sound && planned_same && stored_same))
}

/// Replays every staged record that a mapper produced. Returns true if all are the same, and the figures.
pub fn replay_all(context: &MigrationContext, progress: &Progress) -> Result<(bool, SafeValue), Interrupt> {
    let mut sources: Vec<String> = context.area.sources()?;
    sources.dedup();
    for source in &sources {
        progress.expect(context.area.count(StreamName::Source(source))?);
    }
    let mut found = ReplayTotals::default();
    for source in &sources {
        let mut records = context.area.count(StreamName::Source(source))?;
        for number in 0..context.area.batches(source)? {
            if progress.is_cancelled() {
                return Err(Interrupt::Cancelled);
            }
            if let Some(batch) = context.area.batch(source, number)? {
                let read = found.compare(context, source, &batch)?.min(records);
                records -= read;
                progress.advance(read);
            }
        }
        // No mapper got these records: they had no key, or were no JSON.
        progress.advance(records);
    }
    let different = found.different.len() as u64 + found.more;
    let ids = found.different.into_iter().map(|(entity_type, id)| {
        SafeValue::table([("entityType", SafeValue::from(entity_type)), ("referenceId", id.into())])
    });
    let result = SafeValue::table([
        ("numberOfRecords", SafeValue::from(found.same + different)),
        ("same", found.same.into()),
        ("different", different.into()),
        ("notReplayable", found.unknown.into()),
        ("examples", SafeValue::list(ids)),
    ]);
    Ok((different == 0 && found.unknown == 0, result))
}

#[derive(Default)]
struct ReplayTotals {
    same: u64,
    different: Vec<(Name, Uuid)>,
    /// Number of different records beyond the reported ones.
    more: u64,
    /// Number of records whose mapper this server does not have any more.
    unknown: u64,
    names: HashMap<String, Name>,
}

impl ReplayTotals {
    /// Maps a batch again, and compares the staged records with the result. Returns the number of source records that
    /// are still staged as they came with the batch.
    fn compare(&mut self, context: &MigrationContext, source: &str, batch: &SourceBatch) -> Result<u64, PipelineError> {
        let (mut staged, mut read) = (vec![], 0);
        for (position, member) in batch.members.iter().enumerate() {
            let Some((entry, _)) = context.area.entry(StreamName::Source(source), member.ordinal)? else { continue };
            // An unchanged record is compared with the batch that it first came with.
            let lives = context.area.lives(StreamName::Source(source), member.ordinal)?;
            read += u64::from(lives && entry.upload == batch.upload);
            if entry.upload == batch.upload && entry.status == SourceStatus::Mapped as u8 {
                staged.extend(self.products(context, &entry)?.into_iter().map(|product| (position as u32, product)));
            }
        }
        if staged.is_empty() {
            return Ok(read);
        }
        let Some(replayed) = replay_batch(context, source, batch)? else {
            self.unknown += staged.len() as u64;
            return Ok(read);
        };
        for (position, (entity_type, id, hashed)) in staged {
            if replayed.produced(position, &entity_type).any(|produced| hash(&[produced]) == hashed) {
                self.same += 1;
            } else if self.different.len() < MAX_EXAMPLES {
                self.different.push((entity_type, Uuid::from_bytes(id)));
            } else {
                self.more += 1;
            }
        }
        Ok(read)
    }

    /// Returns the staged records that were produced from a source record.
    fn products(
        &mut self,
        context: &MigrationContext,
        entry: &StagedEntry,
    ) -> Result<Vec<(Name, Key, Key)>, PipelineError> {
        let mut products = vec![];
        for (entity_type, id) in context.area.products(entry)? {
            let Some((record, _)) = context.area.record(&entity_type, id)? else { continue };
            let from = matches!(record.origin, Origin::Source { ordinal, .. } if ordinal == entry.ordinal);
            if from {
                let described = || context.plugins.of_entity_type(&entity_type)?.entity_type(&entity_type);
                let Some(name) = described().map(|described| described.name.clone()) else { continue };
                products.push((self.names.entry(entity_type.clone()).or_insert(name).clone(), id, record.hash));
            }
        }
        Ok(products)
    }
}
