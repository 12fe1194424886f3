//! Staging and deleting records that came without a mapper. The rules are those of source records: a later record with
//! the same id replaces the earlier one, and the second one of the same upload is refused.

use crate::area::append::{Effect, ID_IN_USE, StagingEffects};
use crate::area::refused::refused_key;
use crate::area::transaction::Transaction;
use crate::journal::block::{Origin, SourceStatus, StreamEntry};
use crate::streams::registry::OWN_KEY;
use crate::{EntryDetail, Key, StagingArea, StagingError, StreamName, UploadEntries, hash};

/// A domain record that was not made by a mapper.
#[derive(Clone, Debug)]
pub struct DirectRecord<'a> {
    /// Origin of the record.
    pub origin: Origin,
    /// Reference id. `None` if a refused record has no readable one.
    pub id: Option<Key>,
    /// The record.
    pub body: &'a [u8],
    /// Result and code of a record that is refused. `None` if it is staged.
    pub refused: Option<(SourceStatus, &'a str)>,
    /// Notes about the record, which are returned when it is superseded. Empty if there are none.
    pub notes: &'a [u8],
}

impl<'a> DirectRecord<'a> {
    /// Returns a record that is staged.
    pub fn staged(origin: Origin, id: Key, body: &'a [u8]) -> Self {
        Self { origin, id: Some(id), body, refused: None, notes: b"" }
    }
}

/// The streams of an entity type.
pub(super) struct DirectPlace<'a> {
    /// Name of the entity type.
    pub entity_type: &'a str,
    /// Number of the stream of its staged records.
    pub staged: u16,
    /// Number of the stream of its refused records, if there are any.
    pub refused: Option<u16>,
}

impl Transaction<'_> {
    /// Stages a record, or keeps it as refused, and returns the effect.
    pub(super) fn stage_direct(
        &mut self,
        place: &mut DirectPlace,
        entries: &mut UploadEntries,
        record: &DirectRecord,
    ) -> Result<Effect, StagingError> {
        let DirectRecord { origin, body, notes, .. } = *record;
        let (hashed, upload) = (hash(&[body]), entries.number());
        let line = if let Origin::Line(line) = origin { line } else { 0 };
        let refused_status = record.refused.map_or(0, |(status, _)| status as u8);
        let entry = StreamEntry { key: [0; 16], hash: hashed, origin, upload, status: refused_status, notes, body };
        let Some(id) = record.id else {
            return self.refuse_without_id(place, entries, entry, record.refused.map_or("", |(_, code)| code));
        };
        // An earlier record with this id, staged or refused.
        let (mut existing, mut any) = (None, false);
        for stream in [Some(place.staged), place.refused].into_iter().flatten() {
            let Some(ordinal) = self.latest(stream, id)? else { continue };
            let meta = self.meta(stream, ordinal)?;
            if entries.has_passed(stream, ordinal, &meta) {
                if let Some((SourceStatus::Rejected, code)) = record.refused {
                    // It is refused for its own errors.
                    return self.refuse_without_id(place, entries, entry, code);
                }
                let first = entries.line_of(stream, ordinal, &meta);
                let refused = self.refused_stream(place)?;
                let (_, new) = self.keep_refused(refused, entries, entry, ID_IN_USE)?;
                return Ok(Effect::DuplicateReferenceId { first, new });
            }
            let same_place = (stream == place.staged) == record.refused.is_none();
            let same_code = meta.detail.code().unwrap_or_default() == record.refused.map_or("", |(_, code)| code);
            if same_place && same_code && meta.hash == hashed && meta.status == refused_status {
                entries.pass_unchanged(stream, ordinal, &meta, line);
                existing = Some(ordinal);
                continue;
            }
            // A refused record takes the place of the earlier version, unless a mapper made that one.
            if stream == place.staged && record.refused.is_some() && matches!(meta.origin, Origin::Source { .. }) {
                continue;
            }
            self.supersede(stream, ordinal, &meta);
            any = true;
        }
        if existing.is_some() {
            return Ok(if any { Effect::Replaced } else { Effect::Unchanged });
        }
        let (stream, detail) = match record.refused {
            None => (place.staged, EntryDetail::None),
            Some((_, code)) => (self.refused_stream(place)?, EntryDetail::Code(code.to_owned())),
        };
        self.add(stream, StreamEntry { key: id, ..entry }, detail)?;
        Ok(if any { Effect::Replaced } else { Effect::New })
    }

    /// Keeps a refused record without a reference id of its own.
    fn refuse_without_id(
        &mut self,
        place: &mut DirectPlace,
        entries: &mut UploadEntries,
        entry: StreamEntry,
        code: &str,
    ) -> Result<Effect, StagingError> {
        let stream = self.refused_stream(place)?;
        let first = refused_key(entry.hash, code.as_bytes(), entry.origin);
        let (key, existing) = self.place_refused(stream, entries, first)?;
        if let (Some(ordinal), Origin::Line(line)) = (existing, entry.origin) {
            let meta = self.meta(stream, ordinal)?;
            entries.pass_unchanged(stream, ordinal, &meta, line);
            return Ok(Effect::Unchanged);
        }
        self.add(stream, StreamEntry { key, ..entry }, EntryDetail::Code(code.to_owned()))?;
        Ok(Effect::New)
    }

    /// Returns the stream of the refused records. Registers it with the first one.
    fn refused_stream(&mut self, place: &mut DirectPlace) -> Result<u16, StagingError> {
        let stream = match place.refused {
            Some(stream) => stream,
            None => self.stream(StreamName::Refused(place.entity_type))?,
        };
        place.refused = Some(stream);
        Ok(stream)
    }
}

impl StagingArea {
    /// Stages domain records, and keeps the refused ones beside them.
    pub fn stage_records(
        &self,
        entity_type: &str,
        entries: &mut UploadEntries,
        records: &[DirectRecord],
    ) -> Result<StagingEffects, StagingError> {
        self.check_room()?;
        self.transaction(|transaction| {
            let staged = transaction.stream(StreamName::Records(entity_type))?;
            let refused = transaction.live_stream(StreamName::Refused(entity_type))?;
            let mut place = DirectPlace { entity_type, staged, refused };
            let effects = records.iter().map(|record| transaction.stage_direct(&mut place, entries, record));
            let effects = effects.collect::<Result<_, _>>()?;
            Ok(StagingEffects { effects, superseded: transaction.take_superseded() })
        })
    }

    /// Deletes records, staged or refused. Returns for each whether there was one, as an effect.
    pub fn delete_records(&self, entity_type: &str, ids: &[Key]) -> Result<DeletedRecords, StagingError> {
        self.transaction(|transaction| {
            let mut streams = vec![];
            for name in [StreamName::Records(entity_type), StreamName::Refused(entity_type)] {
                if let Some(stream) = transaction.inner.number(name) {
                    transaction.inner.open_index(stream, OWN_KEY)?;
                    streams.push(stream);
                }
            }
            let mut found = Vec::with_capacity(ids.len());
            for id in ids {
                let mut any = false;
                for &stream in &streams {
                    if let Some(ordinal) = transaction.latest(stream, *id)? {
                        let meta = transaction.meta(stream, ordinal)?;
                        transaction.supersede(stream, ordinal, &meta);
                        any = true;
                    }
                }
                found.push(any);
            }
            Ok(DeletedRecords { found, superseded: transaction.take_superseded() })
        })
    }
}

/// Result of deleting records.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct DeletedRecords {
    /// For each id, true if there was a record.
    pub found: Vec<bool>,
    /// Deleted entries with issues.
    pub superseded: Vec<crate::SupersededEntry>,
}
