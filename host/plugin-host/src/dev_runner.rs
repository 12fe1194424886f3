//! Dry run of a mapper for its author, on the author's own machine and records: in the sandbox, with all messages that a
//! server keeps beside quarantined records.

use std::sync::Arc;

use crate::instance::position;
use crate::instance::usage::Usage;
use crate::worlds::mapper::MapperPlugin;
use sluice_contract::PluginError;
use sluice_contract::SourceLookup;
use sluice_contract::output_validation::unpack;
use sluice_contract::wire::{Batch, Context};
use sluice_model::{Code, Issue, Name};

/// Output of a dry run. Positions are those of the records that were passed in.
#[derive(Default)]
pub struct AuthorRun {
    /// Produced records, in order: entity type, position of the origin, and body.
    pub records: Vec<(Name, u32, Vec<u8>)>,
    /// Issues, each with the position of its record.
    pub issues: Vec<(u32, Issue)>,
    /// Positions of skipped records, each with the code of the reason.
    pub skipped: Vec<(u32, Code)>,
    /// Failures, and undeclared texts: position, code, and the mapper's own text.
    pub messages: Vec<(Option<u32>, String, String)>,
}

/// Maps records of a source, `batch_records` at a time.
pub fn run_for_author(
    plugin: &Arc<MapperPlugin>,
    context: Context,
    source: &str,
    records: &[&[u8]],
    batch_records: usize,
    lookup: Arc<dyn SourceLookup>,
) -> Result<AuthorRun, PluginError> {
    let mut instance = plugin.instance(context, lookup, &Usage::default());
    let mut output = AuthorRun::default();
    for (index, records) in records.chunks(batch_records).enumerate() {
        let start = position(index * batch_records);
        let mut batch = Batch { bytes: vec![], ends: vec![] };
        for record in records {
            batch.bytes.extend_from_slice(record);
            batch.ends.push(batch.bytes.len() as u32);
        }
        let mapped = instance.transform(source, &batch)?;
        for produced in &mapped.produced {
            let bodies = unpack(&produced.records).unwrap_or_default();
            let records = bodies.iter().zip(&produced.origins);
            let records = records.map(|(body, origin)| (produced.entity_type.clone(), start + origin, body.to_vec()));
            output.records.extend(records);
        }
        output.issues.extend(mapped.issues.into_iter().map(|(position, issue)| (start + position, issue)));
        for (code, positions) in mapped.skipped {
            output.skipped.extend(positions.iter().map(|position| (start + position, code.clone())));
        }
        let failures = mapped.failed.iter().map(|record| {
            let (code, message) = (record.failure.cause.code(), record.failure.message.for_quarantine());
            (Some(start + record.position), code.to_owned(), message.to_owned())
        });
        let undeclared = mapped.undeclared.iter().map(|text| {
            let position = text.position.map(|position| start + position);
            (position, text.code.to_string(), text.text.for_quarantine().to_owned())
        });
        output.messages.extend(failures.chain(undeclared));
    }
    Ok(output)
}
