//! Generated records: a domain plugin makes them from imported ones, and makes them again when those change.

use crate::area::append::Effect;
use crate::area::direct::{DirectPlace, DirectRecord};
use crate::area::upload_entries::UploadEntries;
use crate::streams::registry::OWN_KEY;
use crate::{Key, Origin, StagingArea, StagingError, StreamName};

impl StagingArea {
    /// Stages generated records. Returns for each the ordinal of the same record if it was staged before, or none. A
    /// record that a client or a mapper has staged under the same reference id stays.
    pub fn stage_generated(
        &self,
        entity_type: &str,
        records: &[(Key, &[u8])],
    ) -> Result<Vec<Option<u64>>, StagingError> {
        self.transaction(|transaction| {
            let stream = transaction.stream(StreamName::Records(entity_type))?;
            let mut place = DirectPlace { entity_type, staged: stream, refused: None };
            let mut entries = UploadEntries::replacing(0);
            let mut before = Vec::with_capacity(records.len());
            for &(id, body) in records {
                if let Some(ordinal) = transaction.latest(stream, id)?
                    && transaction.meta(stream, ordinal)?.origin != Origin::Generated
                {
                    before.push(None);
                    continue;
                }
                let record = DirectRecord::staged(Origin::Generated, id, body);
                let effect = transaction.stage_direct(&mut place, &mut entries, &record)?;
                before.push(if effect == Effect::Unchanged { transaction.latest(stream, id)? } else { None });
            }
            Ok(before)
        })
    }

    /// Deletes generated records by their ordinals. Records that were replaced meanwhile stay.
    pub fn delete_generated(&self, entity_type: &str, entries: &[(u64, Key)]) -> Result<(), StagingError> {
        self.transaction(|transaction| {
            let Some(stream) = transaction.inner.number(StreamName::Records(entity_type)) else { return Ok(()) };
            transaction.inner.open_index(stream, OWN_KEY)?;
            for (ordinal, id) in entries {
                if transaction.latest(stream, *id)? == Some(*ordinal) {
                    transaction.delete(stream, *ordinal);
                }
            }
            Ok(())
        })
    }
}
