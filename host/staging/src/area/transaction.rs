//! A transaction: entries and tombstones that are collected and written in one write.

use crate::area::AreaState;
use crate::index::Index;
use crate::journal::BlockGroup;
use crate::journal::block::{BlockBuilder, Origin, StoredEntry, StreamEntry, write_block};
use crate::number::{length_u32, to_index};
use crate::streams::StreamState;
use crate::streams::registry::{NAMES_STREAM, OWN_KEY, StreamIndexes, TOMBSTONES_STREAM, next_number};
use crate::{EntryDetail, Key, SourceStatus, StagingArea, StagingError, StreamName, hash};
use sluice_keys::Sealer;

/// Bytes of a tombstone: stream 2 · ordinal 8.
pub(crate) const TOMBSTONE_BYTES: usize = 10;

/// Maximum nesting when a record's field is read again. The record's nesting was checked when it was uploaded.
const ANY_DEPTH: usize = usize::MAX - 1;

/// Returns the hash of the text of one of the record's fields, by which the record is found.
pub(crate) fn field_key(record: &[u8], field: &str) -> Option<Key> {
    let mut key = None;
    let _ = sluice_framing::scan_object(record, ANY_DEPTH, |name, value| {
        if name == field {
            key = sluice_framing::scalar_text(value).map(|text| hash(&[text.as_bytes()]));
        }
    });
    key
}

/// An entry without its key and body.
pub(crate) struct EntryMetadata {
    /// Hash of the body.
    pub hash: Key,
    /// Origin of the entry.
    pub origin: Origin,
    /// Number of the upload.
    pub upload: u32,
    /// A `SourceStatus`, or 0.
    pub status: u8,
    /// Data that the stream keeps beside the body.
    pub detail: EntryDetail,
    /// Notes of the caller about the record.
    pub notes: Vec<u8>,
}

impl EntryMetadata {
    /// Returns the metadata of an entry that was read from a block.
    pub fn new(stored: &StoredEntry) -> Self {
        let StreamEntry { hash, origin, upload, status, notes, .. } = stored.entry;
        Self { hash, origin, upload, status, detail: stored.detail(), notes: notes.to_vec() }
    }
}

/// An entry with issues that was replaced or deleted, so that its issues no longer count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SupersededEntry {
    /// Name of its source or entity type.
    pub stream: String,
    /// Number of its upload.
    pub upload: u32,
    /// Line in its upload.
    pub line: u64,
    /// Result of the record. `None` if it is a domain record that was staged.
    pub status: Option<SourceStatus>,
    /// Code of a record that was skipped, rejected or quarantined; else empty.
    pub code: String,
    /// Notes of the caller about the record.
    pub notes: Vec<u8>,
}

/// Entries of one stream that the transaction adds.
struct PendingEntries {
    stream: u16,
    /// Ordinal of the first added entry.
    base: u64,
    metas: Vec<EntryMetadata>,
    builder: BlockBuilder,
    /// Ordinal of the first entry of the block that is being built.
    first_in_block: u64,
}

impl PendingEntries {
    /// Returns the ordinal of the next entry.
    fn next(&self) -> u64 {
        self.base + self.metas.len() as u64
    }
}

/// A transaction. Indexes and bitmaps change as it grows. If it cannot be written, the area is closed, and opening the
/// area again discards the transaction.
pub(crate) struct Transaction<'a> {
    /// State of the area.
    pub inner: &'a mut AreaState,
    sealer: &'a Sealer,
    group: BlockGroup,
    pending: Vec<PendingEntries>,
    tombstones: Vec<u8>,
    /// Entries with issues that the transaction deletes.
    superseded: Vec<SupersededEntry>,
}

impl<'a> Transaction<'a> {
    fn new(inner: &'a mut AreaState, sealer: &'a Sealer) -> Self {
        Self { inner, sealer, group: BlockGroup::default(), pending: vec![], tombstones: vec![], superseded: vec![] }
    }

    /// Returns the number of a stream and opens the stream's index. Registers the stream if it is new.
    pub(crate) fn stream(&mut self, name: StreamName) -> Result<u16, StagingError> {
        if let Some(number) = self.inner.registry.get(name) {
            self.inner.open_index(number, OWN_KEY)?;
            return Ok(number);
        }
        let (number, text) = (next_number(self.inner.streams.len())?, name.text());
        let at = self.group.bytes.len();
        let place = (NAMES_STREAM, 1, u64::from(number));
        let header = write_block(self.sealer, place, &[text.as_bytes()], &mut self.group.bytes)?;
        self.group.push(at, header);
        self.inner.registry.insert(&text, number);
        self.inner.streams.push(StreamState { name: text, ..StreamState::default() });
        self.inner.open_index(number, OWN_KEY)?;
        Ok(number)
    }

    fn pending(&mut self, stream: u16) -> &mut PendingEntries {
        let place = match self.pending.iter().position(|pending| pending.stream == stream) {
            Some(place) => place,
            None => {
                let base = self.inner.streams[stream as usize].length;
                let builder = BlockBuilder::default();
                self.pending.push(PendingEntries { stream, base, metas: vec![], builder, first_in_block: base });
                self.pending.len() - 1
            }
        };
        &mut self.pending[place]
    }

    /// Returns the ordinal of the live entry with this key. Includes entries of this transaction.
    pub(crate) fn latest(&self, stream: u16, key: Key) -> Result<Option<u64>, StagingError> {
        self.inner.latest(stream, key)
    }

    /// Returns the metadata of an entry. Includes entries of this transaction.
    pub(crate) fn meta(&self, stream: u16, ordinal: u64) -> Result<EntryMetadata, StagingError> {
        if let Some(pending) = self.pending.iter().find(|pending| pending.stream == stream)
            && ordinal >= pending.base
        {
            let meta = &pending.metas[to_index(ordinal - pending.base)];
            return Ok(EntryMetadata { detail: meta.detail.clone(), notes: meta.notes.clone(), ..*meta });
        }
        let (block, place) = self.inner.cached_block(stream, ordinal)?;
        let damaged = StagingError::Damaged { what: "an entry", segment: 0, offset: ordinal };
        Ok(EntryMetadata::new(&block.entry(place).ok_or(damaged)?))
    }

    /// Adds an entry and returns its ordinal.
    pub(crate) fn add(&mut self, stream: u16, entry: StreamEntry, detail: EntryDetail) -> Result<u64, StagingError> {
        let pending = self.pending(stream);
        let ordinal = pending.next();
        let StreamEntry { hash, origin, upload, status, notes, .. } = entry;
        pending.builder.push(&entry, &detail)?;
        pending.metas.push(EntryMetadata { hash, origin, upload, status, detail, notes: notes.to_vec() });
        let full = pending.builder.is_full();
        if entry.key != [0; 16] {
            self.index_mut(stream, OWN_KEY).insert(entry.key, ordinal);
        }
        if full {
            self.close_block(stream)?;
        }
        Ok(ordinal)
    }

    /// Returns an open index of a stream.
    pub(crate) fn index_mut(&mut self, stream: u16, field: &str) -> &mut Index {
        let of_stream = self.inner.indexes.get_mut(stream as usize);
        of_stream.and_then(|indexes| indexes.get_mut(field)).expect("opened with its stream")
    }

    /// Writes the stream's unfinished block to the group.
    fn close_block(&mut self, stream: u16) -> Result<(), StagingError> {
        let at = self.group.bytes.len();
        let place = self.pending.iter().position(|pending| pending.stream == stream).expect("it has entries");
        let pending = &mut self.pending[place];
        if pending.builder.is_empty() {
            return Ok(());
        }
        let header = pending.builder.write(self.sealer, stream, pending.first_in_block, &mut self.group.bytes)?;
        pending.first_in_block = pending.next();
        self.group.push(at, header);
        Ok(())
    }

    /// Deletes an entry by a tombstone.
    pub(crate) fn delete(&mut self, stream: u16, ordinal: u64) {
        self.inner.streams[stream as usize].dead.set(ordinal);
        self.tombstones.extend_from_slice(&stream.to_le_bytes());
        self.tombstones.extend_from_slice(&ordinal.to_le_bytes());
    }

    /// Deletes an entry with this metadata. Its issues no longer count.
    pub(crate) fn supersede(&mut self, stream: u16, ordinal: u64, meta: &EntryMetadata) {
        self.delete(stream, ordinal);
        let status = SourceStatus::from_u8(meta.status);
        let refused = matches!(status, Some(SourceStatus::Rejected | SourceStatus::Quarantined));
        if let Origin::Line(line) = meta.origin
            && (refused || !meta.notes.is_empty())
        {
            let code = meta.detail.code().unwrap_or_default().to_owned();
            let notes = meta.notes.clone();
            let (_, name) = self.inner.streams[stream as usize].name.split_once('/').unwrap_or_default();
            let (name, upload) = (name.to_owned(), meta.upload);
            self.superseded.push(SupersededEntry { stream: name, upload, line, status, code, notes });
        }
    }

    /// Takes the entries with issues that the transaction has deleted so far.
    pub(crate) fn take_superseded(&mut self) -> Vec<SupersededEntry> {
        std::mem::take(&mut self.superseded)
    }

    /// Writes the transaction in one write.
    fn commit(mut self) -> Result<(), StagingError> {
        let streams: Vec<u16> = self.pending.iter().map(|pending| pending.stream).collect();
        for stream in &streams {
            self.close_block(*stream)?;
        }
        if !self.tombstones.is_empty() {
            let at = self.group.bytes.len();
            let count = length_u32(self.tombstones.len() / TOMBSTONE_BYTES, "a list of tombstones")?;
            let header =
                write_block(self.sealer, (TOMBSTONES_STREAM, count, 0), &[&self.tombstones], &mut self.group.bytes)?;
            self.group.push(at, header);
        }
        if self.group.is_empty() {
            return Ok(());
        }
        for block in self.inner.journal.append(&mut self.group)? {
            if let Some(state) = self.inner.streams.get_mut(block.stream as usize) {
                state.add(block);
            }
        }
        for stream in streams {
            let length = self.inner.streams[stream as usize].length;
            for index in self.inner.indexes.get_mut(stream as usize).into_iter().flat_map(StreamIndexes::iter_mut) {
                index.flush(&self.inner.index_dir, length)?;
            }
        }
        Ok(())
    }
}

impl StagingArea {
    /// Runs and commits a transaction. If it fails or cannot be written, the area is closed.
    pub(crate) fn transaction<T>(
        &self,
        run: impl FnOnce(&mut Transaction) -> Result<T, StagingError>,
    ) -> Result<T, StagingError> {
        let mut inner = self.write_inner()?;
        let mut transaction = Transaction::new(&mut inner, &self.sealer);
        let result = run(&mut transaction).and_then(|value| transaction.commit().map(|()| value));
        inner.failed = result.is_err();
        result
    }
}

/// Decodes a tombstone: the stream's number and the ordinal.
pub(crate) fn decode_tombstone(bytes: &[u8]) -> (u16, u64) {
    let ordinal = u64::from_le_bytes(bytes[2..TOMBSTONE_BYTES].try_into().expect("8 bytes"));
    (u16::from_le_bytes([bytes[0], bytes[1]]), ordinal)
}
