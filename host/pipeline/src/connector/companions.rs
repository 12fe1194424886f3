//! Staged records together with their companions: records of other entity types that the platform's plugin plans with
//! them.

use uuid::Uuid;

use crate::{Interrupt, MigrationContext, PipelineError};
use sluice_contract::{Batch, PlatformKind};
use sluice_framing::scalar_text;
use sluice_model::Progress;
use sluice_staging::{StagedBatch, StagedEntry, StreamName};
use sluice_target::{RecordPath, visit};

/// Number of records planned at once. Each can have hundreds of companions.
const RECORDS_PER_BATCH: usize = 100;

/// Index of the companions of one entity type, by the record that they belong to. An entry takes 40 bytes.
struct Companions {
    entity_type: String,
    /// Reference id of the record that it belongs to, its own id, and its ordinal.
    entries: Vec<([u8; 16], [u8; 16], u64)>,
}

impl Companions {
    fn read(
        context: &MigrationContext,
        entity_type: &str,
        field: &str,
        progress: &Progress,
    ) -> Result<Self, Interrupt> {
        let (mut entries, field) = (vec![], RecordPath::new(field));
        let mut reader = context.area.reader(StreamName::Records(entity_type), 0)?;
        let (mut staged, limits) = (StagedBatch::default(), &context.config.upload);
        while reader.next_batch(&mut staged, limits.batch_records, limits.batch_bytes)? {
            if progress.is_cancelled() {
                return Err(Interrupt::Cancelled);
            }
            for (position, entry) in staged.entries.iter().enumerate() {
                let body = String::from_utf8_lossy(staged.body(position));
                let mut of = None;
                visit(&body, &field, &mut |raw| of = scalar_text(raw).and_then(|id| id.parse::<Uuid>().ok()));
                entries.extend(of.map(|of| (of.into_bytes(), entry.key, entry.ordinal)));
            }
        }
        entries.sort_unstable();
        Ok(Self { entity_type: entity_type.into(), entries })
    }

    fn of(&self, id: [u8; 16]) -> impl Iterator<Item = u64> {
        let from = self.entries.partition_point(|(of, ..)| *of < id);
        self.entries[from..].iter().take_while(move |(of, ..)| *of == id).map(|(.., ordinal)| *ordinal)
    }
}

/// A function that takes a batch: the entries of its records, and the bundled records.
type Each<'a> = dyn FnMut(&[StagedEntry], Batch) -> Result<(), Interrupt> + 'a;

/// Calls `each` with a kind's records batch by batch. Each record is one JSON object with its companions.
pub fn for_each_bundle(
    context: &MigrationContext,
    kind: &PlatformKind,
    progress: &Progress,
    each: &mut Each,
) -> Result<(), Interrupt> {
    let companions =
        kind.companions.iter().map(|(entity_type, field)| Companions::read(context, entity_type, field, progress));
    let companions: Vec<Companions> = companions.collect::<Result<_, _>>()?;
    let mut reader = context.area.reader(StreamName::Records(&kind.entity_type), 0)?;
    let mut staged = StagedBatch::default();
    while reader.next_batch(&mut staged, RECORDS_PER_BATCH, context.config.upload.batch_bytes)? {
        if progress.is_cancelled() {
            return Err(Interrupt::Cancelled);
        }
        let mut batch = Batch { bytes: vec![], ends: vec![] };
        for (position, entry) in staged.entries.iter().enumerate() {
            bundle(context, staged.body(position), entry, &companions, &mut batch)?;
        }
        each(&staged.entries, batch)?;
    }
    Ok(())
}

/// Appends a record and its companions to the batch as one JSON object. Every record is valid JSON, so the object is as
/// well.
fn bundle(
    context: &MigrationContext,
    body: &[u8],
    entry: &StagedEntry,
    companions: &[Companions],
    batch: &mut Batch,
) -> Result<(), PipelineError> {
    let bytes = &mut batch.bytes;
    bytes.extend_from_slice(b"{\"record\":");
    bytes.extend_from_slice(body);
    for companion in companions {
        bytes.extend_from_slice(format!(",\"{}\":[", companion.entity_type).as_bytes());
        let mut first = true;
        for ordinal in companion.of(entry.key) {
            let Some((_, body)) = context.area.entry(StreamName::Records(&companion.entity_type), ordinal)? else {
                continue;
            };
            if !std::mem::take(&mut first) {
                bytes.push(b',');
            }
            bytes.extend_from_slice(&body);
        }
        bytes.push(b']');
    }
    bytes.push(b'}');
    batch.ends.push(bytes.len() as u32);
    Ok(())
}
