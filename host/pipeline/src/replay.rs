//! Replay: source records through exactly the plugins that mapped and judged them, and whether the same bytes come out.
//!
//! A mapper sees a batch, so a batch is replayed: the same records in the same order, with what could be looked up then.

use std::sync::Arc;

use hashbrown::HashMap;
use uuid::Uuid;

use super::lookups::LoadedSources;
use super::{Desk, Failure, Stop};
use sluice_contract::Batch;
use sluice_model::{Digest, Figure, Name, Progress};
use sluice_plugin_host::{MapperPlugin, ProducedBatch, Transformed};
use sluice_staging::{Key, Origin, SourceBatch, SourceStatus, StagedEntry, StreamName, hash};

/// Reference ids of records that came out otherwise which are told.
const TOLD: usize = 20;

/// A record that was mapped again.
#[derive(Clone, Debug)]
pub struct Replayed {
    /// The mapper's digest.
    pub mapper: Digest,
    /// Whether it made the very same bytes.
    pub mapped_same: bool,
    /// The domain plugin's digest: that of the import, or, before one, of the plugin that judges.
    pub domain_plugin: Digest,
    /// Whether it has no error to tell of the record, gives it the same reference id and plans one step for it, and the
    /// target, where it has the record, has it so.
    pub judged_same: bool,
}

/// What a batch came to when it was mapped again.
struct Again {
    transformed: Transformed,
    mapper: Digest,
}

impl Again {
    /// What the mapper made of a member, of one entity type.
    fn made<'a>(&'a self, position: u32, entity_type: &'a str) -> impl Iterator<Item = &'a [u8]> {
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

/// Maps a batch again; none where its mapper is not known.
fn map_again(desk: &Desk, source: &str, batch: &SourceBatch) -> Result<Option<Again>, Failure> {
    let Some(mapper) = mapper_of(desk, batch.upload)? else { return Ok(None) };
    let mut records = Batch { bytes: vec![], ends: vec![] };
    for member in &batch.members {
        if let Some((_, body)) = desk.area.entry(StreamName::Source(source), member.ordinal)? {
            records.bytes.extend_from_slice(&body);
        }
        records.ends.push(records.bytes.len() as u32);
    }
    let lookup = LoadedSources::as_of(desk.area.clone(), mapper.clone(), batch.seen.clone());
    let transformed = mapper.instance(desk.context(), Arc::new(lookup), &desk.usage).transform(source, &records)?;
    Ok(Some(Again { transformed, mapper: mapper.digest }))
}

/// The mapper that worked on an upload.
fn mapper_of(desk: &Desk, upload: u32) -> Result<Option<Arc<MapperPlugin>>, Failure> {
    match desk.store.upload_mapper(desk.migration.reference_id, upload)? {
        Some(digest) => Ok(desk.mapper(digest)?),
        None => Ok(None),
    }
}

/// Runs one record again; none where it was not made by a mapper.
pub fn replay(desk: &Desk, entity_type: &Name, id: Key) -> Result<Option<Replayed>, Failure> {
    let Some((record, body)) = desk.area.record(entity_type, id)? else { return Ok(None) };
    let Origin::Source { stream, ordinal } = record.origin else { return Ok(None) };
    let Some(source) = desk.area.source_of(stream)? else { return Ok(None) };
    let Some(batch) = desk.area.batch_of(&source, ordinal)? else { return Ok(None) };
    let Some(again) = map_again(desk, &source, &batch)? else { return Ok(None) };
    let position = batch.members.iter().position(|member| member.ordinal == ordinal).unwrap_or_default() as u32;
    let mapped_same = again.made(position, entity_type).any(|made| made == body);
    let (domain_plugin, judged_same) = judge_again(desk, entity_type, id, &body)?;
    Ok(Some(Replayed { mapper: again.mapper, mapped_same, domain_plugin, judged_same }))
}

/// Lets the plugin that judged a record judge it again, and plan it, on its own.
fn judge_again(desk: &Desk, entity_type: &Name, id: Key, body: &[u8]) -> Result<(Digest, bool), Failure> {
    let Some(now) = desk.plugins.of_entity_type(entity_type) else { return Ok((Digest::default(), false)) };
    let described = now.entity_type(entity_type).expect("it is of this plugin");
    let arrived = desk.target.arrived(described, id)?;
    let arrived = arrived.filter(|arrived| arrived.migration == desk.migration.reference_id);
    let plugin = match &arrived {
        Some(arrived) if arrived.provenance.domain_plugin != now.digest => {
            desk.plugins.earlier_domain(arrived.provenance.domain_plugin)?
        }
        _ => now.clone(),
    };
    let batch = Batch { bytes: body.to_vec(), ends: vec![body.len() as u32] };
    let mut instance = plugin.instance(desk.context(), None, &desk.usage);
    let judged = instance.validate(entity_type, &batch)?;
    let sound = judged.ids == [Some(id)] && !judged.issues.iter().any(|(_, issue)| issue.stops());
    let planned = instance.plan(entity_type, &batch)?;
    let planned_same = planned.made.len() == 1 && planned.poisoned.is_empty();
    let stored_same = arrived.is_none_or(|arrived| arrived.hash == hash(&[body]));
    Ok((plugin.digest, sound && planned_same && stored_same))
}

/// Runs every staged record again that a mapper made; whether all of them came out the same, and the figures.
pub fn replay_all(desk: &Desk, progress: &Progress) -> Result<(bool, Figure), Stop> {
    let mut sources: Vec<String> = desk.area.sources()?;
    sources.dedup();
    for source in &sources {
        progress.expect(desk.area.count(StreamName::Source(source))?);
    }
    let mut found = Found::default();
    for source in &sources {
        for number in 0..desk.area.batches(source)? {
            if progress.is_cancelled() {
                return Err(Stop::Cancelled);
            }
            if let Some(batch) = desk.area.batch(source, number)? {
                found.compare(desk, source, &batch, progress)?;
            }
        }
    }
    let different = found.different.len() as u64 + found.more;
    let ids = found.different.into_iter().map(|(entity_type, id)| {
        Figure::table([("entityType", Figure::from(entity_type)), ("referenceId", id.into())])
    });
    let result = Figure::table([
        ("numberOfRecords", Figure::from(found.same + different)),
        ("same", found.same.into()),
        ("different", different.into()),
        ("notReplayable", found.unknown.into()),
        ("examples", Figure::list(ids)),
    ]);
    Ok((different == 0 && found.unknown == 0, result))
}

#[derive(Default)]
struct Found {
    same: u64,
    different: Vec<(Name, Uuid)>,
    /// Those beyond the ones that are told.
    more: u64,
    /// Records whose mapper this server does not have any more.
    unknown: u64,
    names: HashMap<String, Name>,
}

impl Found {
    /// Maps a batch again, and compares what is staged of it with what comes out.
    fn compare(&mut self, desk: &Desk, source: &str, batch: &SourceBatch, progress: &Progress) -> Result<(), Failure> {
        let mut staged = vec![];
        for (position, member) in batch.members.iter().enumerate() {
            let Some((entry, _)) = desk.area.entry(StreamName::Source(source), member.ordinal)? else { continue };
            // What was unchanged is compared with the batch that it first came with.
            if entry.upload == batch.upload && entry.status == SourceStatus::Mapped as u8 {
                staged.extend(self.products(desk, &entry)?.into_iter().map(|product| (position as u32, product)));
            }
        }
        progress.advance(batch.members.len() as u64);
        if staged.is_empty() {
            return Ok(());
        }
        let Some(again) = map_again(desk, source, batch)? else {
            self.unknown += staged.len() as u64;
            return Ok(());
        };
        for (position, (entity_type, id, hashed)) in staged {
            if again.made(position, &entity_type).any(|made| hash(&[made]) == hashed) {
                self.same += 1;
            } else if self.different.len() < TOLD {
                self.different.push((entity_type, Uuid::from_bytes(id)));
            } else {
                self.more += 1;
            }
        }
        Ok(())
    }

    /// What is still staged of what was made of a source record.
    fn products(&mut self, desk: &Desk, entry: &StagedEntry) -> Result<Vec<(Name, Key, Key)>, Failure> {
        let mut products = vec![];
        for (entity_type, id) in desk.area.products(entry)? {
            let Some((record, _)) = desk.area.record(&entity_type, id)? else { continue };
            let from = matches!(record.origin, Origin::Source { ordinal, .. } if ordinal == entry.ordinal);
            if from {
                let described = || desk.plugins.of_entity_type(&entity_type)?.entity_type(&entity_type);
                let Some(name) = described().map(|described| described.name.clone()) else { continue };
                products.push((self.names.entry(entity_type.clone()).or_insert(name).clone(), id, record.hash));
            }
        }
        Ok(products)
    }
}
