//! A change in the making: entries and deaths, gathered, and written in one write.

use super::area::{DEATHS, Inner, NAMES};
use super::block::{BlockBuilder, Entry, Origin, write_block};
use super::index::Index;
use super::journal::Group;
use super::numbers::{Indexes, OWN_KEY};
use super::streams::Stream;
use super::{EntryDetail, Key, StagingArea, StagingError, StreamName, hash};
use sluice_framing as framing;
use sluice_keys::Sealer;

pub(super) const DEATH_BYTES: usize = 10;

/// Nesting that matters when a key is read again: the record was checked when it was uploaded.
const ANY_DEPTH: usize = usize::MAX - 1;

/// The hash by which a record is found under the text of one of its fields.
pub(super) fn field_key(record: &[u8], field: &str) -> Option<Key> {
    let mut key = None;
    let _ = framing::scan_object(record, ANY_DEPTH, |name, value| {
        if name == field {
            key = framing::scalar_text(value).map(|text| hash(&[text.as_bytes()]));
        }
    });
    key
}

/// What is known of an entry without its body.
pub(super) struct Meta {
    pub hash: Key,
    pub origin: Origin,
    pub upload: u32,
    pub status: u8,
    pub detail: EntryDetail,
}

/// Entries of one stream that are being added.
struct Pending {
    stream: u16,
    base: u64,
    metas: Vec<Meta>,
    builder: BlockBuilder,
    first_in_block: u64,
}

impl Pending {
    fn next(&self) -> u64 {
        self.base + self.metas.len() as u64
    }
}

/// A change in the making. Indexes and marks are changed as it grows; if it cannot be written, the area
/// is closed, and opening it again forgets it.
pub(super) struct Change<'a> {
    pub inner: &'a mut Inner,
    sealer: &'a Sealer,
    group: Group,
    pending: Vec<Pending>,
    deaths: Vec<u8>,
}

impl<'a> Change<'a> {
    fn new(inner: &'a mut Inner, sealer: &'a Sealer) -> Self {
        Self { inner, sealer, group: Group::default(), pending: vec![], deaths: vec![] }
    }

    pub(super) fn stream(&mut self, name: StreamName) -> Result<u16, StagingError> {
        if let Some(number) = self.inner.numbers.get(name) {
            self.inner.open_index(number, OWN_KEY)?;
            return Ok(number);
        }
        let (number, text) = (self.inner.streams.len() as u16, name.text());
        let at = self.group.bytes.len();
        let place = (NAMES, 1, u64::from(number));
        let header = write_block(self.sealer, place, &[text.as_bytes()], &mut self.group.bytes);
        self.group.note(at, header);
        self.inner.numbers.insert(&text, number);
        self.inner.streams.push(Stream { name: text, ..Stream::default() });
        self.inner.open_index(number, OWN_KEY)?;
        Ok(number)
    }

    fn pending(&mut self, stream: u16) -> &mut Pending {
        let place = match self.pending.iter().position(|pending| pending.stream == stream) {
            Some(place) => place,
            None => {
                let base = self.inner.streams[stream as usize].length;
                let builder = BlockBuilder::default();
                self.pending.push(Pending { stream, base, metas: vec![], builder, first_in_block: base });
                self.pending.len() - 1
            }
        };
        &mut self.pending[place]
    }

    /// The live entry with this key, pending ones included.
    pub(super) fn latest(&self, stream: u16, key: Key) -> Result<Option<u64>, StagingError> {
        self.inner.latest(stream, key)
    }

    pub(super) fn meta(&self, stream: u16, ordinal: u64) -> Result<Meta, StagingError> {
        if let Some(pending) = self.pending.iter().find(|pending| pending.stream == stream)
            && ordinal >= pending.base
        {
            let meta = &pending.metas[(ordinal - pending.base) as usize];
            return Ok(Meta { detail: meta.detail.clone(), ..*meta });
        }
        let (block, place) = self.inner.cached_block(stream, ordinal)?;
        let damaged = StagingError::Damaged { what: "an entry", segment: 0, offset: ordinal };
        let stored = block.entry(place).ok_or(damaged)?;
        let Entry { hash, origin, upload, status, .. } = stored.entry;
        Ok(Meta { hash, origin, upload, status, detail: stored.detail() })
    }

    pub(super) fn add(&mut self, stream: u16, entry: Entry, detail: EntryDetail) -> Result<u64, StagingError> {
        let pending = self.pending(stream);
        let ordinal = pending.next();
        let Entry { hash, origin, upload, status, .. } = entry;
        pending.builder.push(&entry, &detail);
        pending.metas.push(Meta { hash, origin, upload, status, detail });
        let full = pending.builder.is_full();
        if entry.key != [0; 16] {
            self.index_mut(stream, OWN_KEY).insert(entry.key, ordinal);
        }
        if full {
            self.close_block(stream);
        }
        Ok(ordinal)
    }

    pub(super) fn index_mut(&mut self, stream: u16, field: &str) -> &mut Index {
        let of_stream = self.inner.indexes.get_mut(stream as usize);
        of_stream.and_then(|indexes| indexes.get_mut(field)).expect("opened with its stream")
    }

    fn close_block(&mut self, stream: u16) {
        let at = self.group.bytes.len();
        let place = self.pending.iter().position(|pending| pending.stream == stream).expect("it has entries");
        let pending = &mut self.pending[place];
        if pending.builder.is_empty() {
            return;
        }
        let header = pending.builder.write(self.sealer, stream, pending.first_in_block, &mut self.group.bytes);
        pending.first_in_block = pending.next();
        self.group.note(at, header);
    }

    pub(super) fn bury(&mut self, stream: u16, ordinal: u64) {
        self.inner.streams[stream as usize].dead.set(ordinal);
        self.deaths.extend_from_slice(&stream.to_le_bytes());
        self.deaths.extend_from_slice(&ordinal.to_le_bytes());
    }

    /// Writes everything, in one write.
    fn commit(mut self) -> Result<(), StagingError> {
        let streams: Vec<u16> = self.pending.iter().map(|pending| pending.stream).collect();
        for stream in &streams {
            self.close_block(*stream);
        }
        if !self.deaths.is_empty() {
            let at = self.group.bytes.len();
            let count = (self.deaths.len() / DEATH_BYTES) as u32;
            let header = write_block(self.sealer, (DEATHS, count, 0), &[&self.deaths], &mut self.group.bytes);
            self.group.note(at, header);
        }
        if self.group.is_empty() {
            return Ok(());
        }
        for block in self.inner.journal.append(&mut self.group)? {
            if let Some(held) = self.inner.streams.get_mut(block.stream as usize) {
                held.add(block);
            }
        }
        for stream in streams {
            let length = self.inner.streams[stream as usize].length;
            for index in self.inner.indexes.get_mut(stream as usize).into_iter().flat_map(Indexes::all) {
                index.settle(&self.inner.index_dir, length)?;
            }
        }
        Ok(())
    }
}

impl StagingArea {
    /// Makes a change; if it cannot be written, the area is closed.
    pub(super) fn change<T>(
        &self,
        make: impl FnOnce(&mut Change) -> Result<T, StagingError>,
    ) -> Result<T, StagingError> {
        let mut inner = self.write_inner()?;
        let mut change = Change::new(&mut inner, &self.sealer);
        let made = make(&mut change).and_then(|made| change.commit().map(|()| made));
        inner.poisoned = made.is_err();
        made
    }
}

pub(super) fn decode_death(bytes: &[u8]) -> (u16, u64) {
    let ordinal = u64::from_le_bytes(bytes[2..DEATH_BYTES].try_into().expect("8 bytes"));
    (u16::from_le_bytes([bytes[0], bytes[1]]), ordinal)
}
