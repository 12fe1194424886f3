//! Staged records with those that go with them, as a platform's plugin plans them.

use uuid::Uuid;

use super::{Desk, Failure, Stop};
use sluice_contract::{Batch, Kind};
use sluice_framing::scalar_text;
use sluice_model::Progress;
use sluice_staging::{StagedBatch, StagedEntry, StreamName};
use sluice_target::{Path, visit};

/// Records planned at once: what goes with one can be hundreds.
const RECORDS: usize = 100;

/// Where the records of one entity type stand that go with others: by the record they go with, 40 bytes each.
struct Companions {
    entity_type: String,
    /// The record they go with, their own id, their ordinal.
    places: Vec<([u8; 16], [u8; 16], u64)>,
}

impl Companions {
    fn read(desk: &Desk, entity_type: &str, field: &str, progress: &Progress) -> Result<Self, Stop> {
        let (mut places, field) = (vec![], Path::new(field));
        let mut reader = desk.area.reader(StreamName::Records(entity_type), 0)?;
        let (mut staged, limits) = (StagedBatch::default(), &desk.config.upload);
        while reader.next_batch(&mut staged, limits.batch_records, limits.batch_bytes)? {
            if progress.is_cancelled() {
                return Err(Stop::Cancelled);
            }
            for (position, entry) in staged.entries.iter().enumerate() {
                let body = String::from_utf8_lossy(staged.body(position));
                let mut of = None;
                visit(&body, &field, &mut |raw| of = scalar_text(raw).and_then(|id| id.parse::<Uuid>().ok()));
                places.extend(of.map(|of| (of.into_bytes(), entry.key, entry.ordinal)));
            }
        }
        places.sort_unstable();
        Ok(Self { entity_type: entity_type.into(), places })
    }

    fn of(&self, id: [u8; 16]) -> impl Iterator<Item = u64> {
        let from = self.places.partition_point(|(of, ..)| *of < id);
        self.places[from..].iter().take_while(move |(of, ..)| *of == id).map(|(.., ordinal)| *ordinal)
    }
}

/// What takes a batch: the entries of its records, and the records put together.
type Each<'a> = dyn FnMut(&[StagedEntry], Batch) -> Result<(), Stop> + 'a;

/// Gives a kind's records batch by batch, each as one object with those that go with it.
pub fn bundles(desk: &Desk, kind: &Kind, progress: &Progress, each: &mut Each) -> Result<(), Stop> {
    let companions =
        kind.companions.iter().map(|(entity_type, field)| Companions::read(desk, entity_type, field, progress));
    let companions: Vec<Companions> = companions.collect::<Result<_, _>>()?;
    let mut reader = desk.area.reader(StreamName::Records(&kind.entity_type), 0)?;
    let mut staged = StagedBatch::default();
    while reader.next_batch(&mut staged, RECORDS, desk.config.upload.batch_bytes)? {
        if progress.is_cancelled() {
            return Err(Stop::Cancelled);
        }
        let mut batch = Batch { bytes: vec![], ends: vec![] };
        for (position, entry) in staged.entries.iter().enumerate() {
            bundle(desk, staged.body(position), entry, &companions, &mut batch)?;
        }
        each(&staged.entries, batch)?;
    }
    Ok(())
}

/// Every record is JSON that was accepted, so that put together they are.
fn bundle(
    desk: &Desk,
    body: &[u8],
    entry: &StagedEntry,
    companions: &[Companions],
    batch: &mut Batch,
) -> Result<(), Failure> {
    let bytes = &mut batch.bytes;
    bytes.extend_from_slice(b"{\"record\":");
    bytes.extend_from_slice(body);
    for companion in companions {
        bytes.extend_from_slice(format!(",\"{}\":[", companion.entity_type).as_bytes());
        let mut first = true;
        for ordinal in companion.of(entry.key) {
            let Some((_, body)) = desk.area.entry(StreamName::Records(&companion.entity_type), ordinal)? else {
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
