//! Runs a mapper for its author, on the author's own machine and records: in the sandbox, and with everything said
//! that servers keep beside quarantined records.

use std::sync::Arc;

use super::mapper::MapperPlugin;
use super::usage::Usage;
use sluice_contract::PluginError;
use sluice_contract::SourceLookup;
use sluice_contract::output_validation::unpack;
use sluice_contract::wire::{Batch, Context};
use sluice_model::{Code, Issue, Name};

/// What became of records. Positions are those of the records that were passed in.
#[derive(Default)]
pub struct Rehearsed {
    /// Records that were made, in order: entity type, position and body.
    pub made: Vec<(Name, u32, Vec<u8>)>,
    /// What is wrong with which record.
    pub issues: Vec<(u32, Issue)>,
    /// What was skipped, and why.
    pub skipped: Vec<(u32, Code)>,
    /// Records that broke the mapper, or of which it said what it has not declared: a code, and its own words.
    pub said: Vec<(Option<u32>, String, String)>,
}

/// Maps records of a source, so many at a time.
pub fn rehearse(
    plugin: &Arc<MapperPlugin>,
    context: Context,
    source: &str,
    records: &[&[u8]],
    batch_records: usize,
    lookup: Arc<dyn SourceLookup>,
) -> Result<Rehearsed, PluginError> {
    let mut instance = plugin.instance(context, lookup, &Usage::default());
    let mut rehearsed = Rehearsed::default();
    for (index, records) in records.chunks(batch_records).enumerate() {
        let start = (index * batch_records) as u32;
        let mut batch = Batch { bytes: vec![], ends: vec![] };
        for record in records {
            batch.bytes.extend_from_slice(record);
            batch.ends.push(batch.bytes.len() as u32);
        }
        let found = instance.transform(source, &batch)?;
        for produced in &found.produced {
            let bodies = unpack(&produced.records).unwrap_or_default();
            let made = bodies.iter().zip(&produced.origins);
            let made = made.map(|(body, origin)| (produced.entity_type.clone(), start + origin, body.to_vec()));
            rehearsed.made.extend(made);
        }
        rehearsed.issues.extend(found.issues.into_iter().map(|(position, issue)| (start + position, issue)));
        for (code, positions) in found.skipped {
            rehearsed.skipped.extend(positions.iter().map(|position| (start + position, code.clone())));
        }
        let broke = found.poisoned.iter().map(|poisoned| {
            let (code, message) = (poisoned.failure.cause.code(), poisoned.failure.message.for_quarantine());
            (Some(start + poisoned.position), code.to_owned(), message.to_owned())
        });
        let undeclared = found.undeclared.iter().map(|said| {
            let position = said.position.map(|position| start + position);
            (position, said.code.to_string(), said.text.for_quarantine().to_owned())
        });
        rehearsed.said.extend(broke.chain(undeclared));
    }
    Ok(rehearsed)
}
