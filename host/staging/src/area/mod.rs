//! One migration's staging area: opening, finding and reading.

pub(crate) mod append;
pub(crate) mod batches;
pub(crate) mod direct;
mod generated;
pub(crate) mod originals;
pub(crate) mod refused;
pub(crate) mod transaction;
pub(crate) mod upload_entries;
pub(crate) mod withdraw;

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, RwLock, RwLockReadGuard, RwLockWriteGuard};

use cap_std::fs::Dir;

use crate::file_system::sync_dir;
use crate::index::Index;
use crate::journal::block::{Block, BlockHeader};
use crate::journal::{BlockRef, Journal};
use crate::streams::cache::BlockCache;
use crate::streams::registry::{NAMES_STREAM, OWN_KEY, StreamIndexes, StreamRegistry, TOMBSTONES_STREAM, next_number};
use crate::streams::{EntryReader, StreamState};
use crate::{Key, StagingError, hash};
use refused::is_keyless;
use sluice_keys::Sealer;

/// Name of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamName<'a> {
    /// Source records of a table.
    Source(&'a str),
    /// Domain records of an entity type.
    Records(&'a str),
    /// Batches of a source.
    Batches(&'a str),
    /// Records of an entity type that were uploaded without a mapper and refused.
    Refused(&'a str),
    /// Keys that refused records of a source probably have.
    ProbableKeys(&'a str),
    /// Form in which the records of a source were uploaded.
    Originals(&'a str),
}

impl StreamName<'_> {
    /// Returns the full name, such as `source/client`.
    pub(crate) fn text(&self) -> String {
        match self {
            StreamName::Source(name) => format!("source/{name}"),
            StreamName::Records(name) => format!("records/{name}"),
            StreamName::Batches(name) => format!("batches/{name}"),
            StreamName::Refused(name) => format!("refused/{name}"),
            StreamName::ProbableKeys(name) => format!("probable-keys/{name}"),
            StreamName::Originals(name) => format!("originals/{name}"),
        }
    }
}

/// Folder of the journal's segments in a migration's directory.
pub(crate) const JOURNAL: &str = "journal";

/// File of the ledger of calls to a platform in a migration's directory.
pub const LEDGER: &str = "ledger.db";

/// A migration's staging area.
pub struct StagingArea {
    /// The migration's directory.
    pub(crate) dir: Dir,
    /// Path of the directory, for other parts that open their own files in it.
    pub(crate) path: PathBuf,
    /// Sealer under the migration's own key. Data is sealed before it is written to the directory.
    pub(crate) sealer: Arc<Sealer>,
    /// Journal, streams and indexes.
    pub(crate) inner: RwLock<AreaState>,
    /// Lock for reading and appending lists of lines.
    pub(crate) lists: Mutex<()>,
    /// Number of bytes of the journal beyond which nothing is staged.
    max_bytes: AtomicU64,
}

/// Journal, streams and indexes of a staging area.
pub(crate) struct AreaState {
    /// The journal.
    pub journal: Journal,
    /// Streams by number.
    pub streams: Vec<StreamState>,
    /// Numbers of the streams by name.
    pub registry: StreamRegistry,
    /// Open indexes by stream number. Shorter than `streams` if the last streams have none.
    pub indexes: Vec<StreamIndexes>,
    /// Blocks that were read for single records.
    pub cache: BlockCache,
    /// Directory of the indexes.
    pub index_dir: Dir,
    /// Sealer under the migration's own key.
    pub sealer: Arc<Sealer>,
    /// True after a failed write.
    pub failed: bool,
    /// True once the records are being erased.
    pub erased: bool,
}

impl StagingArea {
    /// Opens the area in this directory, which has this path. Creates it if it is new, and truncates uncommitted bytes.
    /// `acknowledged` is the version that the area is known to have reached. An area that ends before it is damaged.
    pub fn open(
        dir: Dir,
        path: PathBuf,
        sealer: impl Into<Arc<Sealer>>,
        acknowledged: u64,
    ) -> Result<Self, StagingError> {
        let sealer = sealer.into();
        dir.create_dir_all("index")?;
        if !dir.try_exists(JOURNAL)? {
            dir.create_dir(JOURNAL)?;
            sync_dir(&dir)?;
        }
        let mut streams: Vec<StreamState> = vec![];
        let mut registry = StreamRegistry::default();
        let recover = |header: &BlockHeader, reference, read: &dyn Fn() -> Result<Block, StagingError>| {
            recover(&mut streams, &mut registry, header, reference, read)
        };
        let journal = Journal::open(dir.open_dir(JOURNAL)?, sealer.clone(), acknowledged, recover)?;
        let index_dir = dir.open_dir("index")?;
        let cache = BlockCache::default();
        let indexes = vec![];
        let (failed, erased) = (false, false);
        let inner =
            AreaState { journal, streams, registry, indexes, cache, index_dir, sealer: sealer.clone(), failed, erased };
        Ok(Self {
            dir,
            path,
            sealer,
            inner: RwLock::new(inner),
            lists: Mutex::default(),
            max_bytes: AtomicU64::new(u64::MAX),
        })
    }

    /// Returns the number of bytes of the journal.
    pub fn bytes(&self) -> Result<u64, StagingError> {
        Ok(self.read_inner()?.journal.bytes())
    }

    /// Sets the number of bytes of the journal beyond which nothing is staged. One batch may exceed it.
    pub fn set_max_bytes(&self, bytes: u64) {
        self.max_bytes.store(bytes, Ordering::Relaxed);
    }

    /// Fails if the journal has reached its maximum.
    pub(crate) fn check_room(&self) -> Result<(), StagingError> {
        let most = self.max_bytes.load(Ordering::Relaxed);
        if most != u64::MAX && self.bytes()? >= most { Err(StagingError::QuotaReached) } else { Ok(()) }
    }

    /// Closes the area before its records are erased. Readers that are at work fail from now on.
    pub(crate) fn close(&self) {
        // A panic of another thread does not prevent the erasure.
        self.inner.write().unwrap_or_else(std::sync::PoisonError::into_inner).erased = true;
    }

    /// Locks the state for reading.
    pub(crate) fn read_inner(&self) -> Result<RwLockReadGuard<'_, AreaState>, StagingError> {
        let inner = self.inner.read().map_err(|_| StagingError::Closed)?;
        inner.usable().map(|()| inner)
    }

    /// Locks the state for writing.
    pub(crate) fn write_inner(&self) -> Result<RwLockWriteGuard<'_, AreaState>, StagingError> {
        let inner = self.inner.write().map_err(|_| StagingError::Closed)?;
        inner.usable().map(|()| inner)
    }

    /// Returns the number of live entries of a stream.
    pub fn count(&self, stream: StreamName) -> Result<u64, StagingError> {
        let inner = self.read_inner()?;
        Ok(inner.number(stream).map_or(0, |number| inner.streams[number as usize].live()))
    }

    /// Returns the number of live entries of a stream from an ordinal on.
    pub fn count_from(&self, stream: StreamName, from: u64) -> Result<u64, StagingError> {
        let inner = self.read_inner()?;
        Ok(inner.number(stream).map_or(0, |number| inner.streams[number as usize].live_from(from)))
    }

    /// Returns true if an entry of a stream was neither replaced nor deleted.
    pub fn lives(&self, stream: StreamName, ordinal: u64) -> Result<bool, StagingError> {
        let inner = self.read_inner()?;
        let stream = inner.number(stream).map(|number| &inner.streams[number as usize]);
        Ok(stream.is_some_and(|stream| ordinal < stream.length && stream.lives(ordinal)))
    }

    /// Returns the length of a stream: the ordinal after the last one.
    pub fn length(&self, stream: StreamName) -> Result<u64, StagingError> {
        let inner = self.read_inner()?;
        Ok(inner.number(stream).map_or(0, |number| inner.streams[number as usize].length))
    }

    /// Returns the version, which grows with every change. Equal versions mean equal contents.
    pub fn version(&self) -> Result<u64, StagingError> {
        Ok(self.read_inner()?.journal.version())
    }

    /// Returns the version up to which everything is known to be on disk. Nothing after it was ever acknowledged.
    pub fn durable(&self) -> Result<u64, StagingError> {
        Ok(self.read_inner()?.journal.durable())
    }

    /// Returns the names of the sources that have a stream.
    pub fn sources(&self) -> Result<Vec<String>, StagingError> {
        let inner = self.read_inner()?;
        let names = inner.streams.iter().filter_map(|stream| stream.name.strip_prefix("source/"));
        Ok(names.map(str::to_owned).collect())
    }

    /// Returns the name of the source with this stream number.
    pub fn source_of(&self, number: u16) -> Result<Option<String>, StagingError> {
        let inner = self.read_inner()?;
        let name = inner.streams.get(number as usize).and_then(|stream| stream.name.strip_prefix("source/"));
        Ok(name.map(str::to_owned))
    }

    /// Returns a reader of a stream's live entries, from an ordinal up to the stream's present length.
    pub fn reader(&self, stream: StreamName, from: u64) -> Result<EntryReader<'_>, StagingError> {
        let inner = self.read_inner()?;
        let number = inner.number(stream);
        let end = number.map_or(0, |number| inner.streams[number as usize].length);
        drop(inner);
        Ok(EntryReader::new(self, number, from, end))
    }

    /// Returns for each reference id whether it is staged.
    pub fn contains(&self, entity_type: &str, ids: &[Key]) -> Result<Vec<bool>, StagingError> {
        let Some(number) = self.prepare(StreamName::Records(entity_type), &[])? else {
            return Ok(vec![false; ids.len()]);
        };
        let inner = self.read_inner()?;
        ids.iter().map(|id| Ok(inner.latest(number, *id)?.is_some())).collect()
    }

    /// Returns the ordinals of all entries of a stream that ever had this key, deleted ones included, ascending.
    pub fn versions(&self, stream: StreamName, key: Key) -> Result<Vec<u64>, StagingError> {
        let Some(number) = self.prepare(stream, &[])? else { return Ok(vec![]) };
        let mut versions = self.read_inner()?.versions(number, key)?;
        versions.sort_unstable();
        Ok(versions)
    }

    /// Returns the ordinal of the live entry of a stream with this key.
    pub(crate) fn latest(&self, stream: StreamName, key: Key) -> Result<Option<u64>, StagingError> {
        let Some(number) = self.prepare(stream, &[])? else { return Ok(None) };
        self.read_inner()?.latest(number, key)
    }

    /// Returns the path of the ledger of calls to a platform. The ledger is not sealed, because it contains no data of a
    /// record.
    pub fn ledger(&self) -> Result<PathBuf, StagingError> {
        drop(self.read_inner()?);
        Ok(self.path.join(LEDGER))
    }

    /// Returns the staged record with this reference id.
    pub fn read(&self, entity_type: &str, id: Key) -> Result<Option<Vec<u8>>, StagingError> {
        let Some(number) = self.prepare(StreamName::Records(entity_type), &[])? else { return Ok(None) };
        let inner = self.read_inner()?;
        let Some(ordinal) = inner.latest(number, id)? else { return Ok(None) };
        inner.body(number, ordinal).map(Some)
    }

    /// Passes the records whose field (`None`: the identifying key) has this key to `found`, until it returns false. They are
    /// those of the time when the stream was `limit` entries long. A record that was replaced later is passed as it was, so
    /// the result never changes. One record is in memory at a time.
    pub fn find(
        &self,
        stream: StreamName,
        field: Option<&str>,
        key: Key,
        limit: u64,
        found: &mut dyn FnMut(Vec<u8>) -> bool,
    ) -> Result<(), StagingError> {
        let fields: Vec<String> = field.iter().map(|&field| field.to_owned()).collect();
        let Some(number) = self.prepare(stream, &fields)? else { return Ok(()) };
        let inner = self.read_inner()?;
        let state = &inner.streams[number as usize];
        let ordinals = inner.index(number, field.unwrap_or(OWN_KEY)).find(key)?;
        for ordinal in ordinals.into_iter().filter(|ordinal| *ordinal < limit) {
            if (state.lives(ordinal) || inner.lived(number, ordinal, limit)?) && !found(inner.body(number, ordinal)?) {
                break;
            }
        }
        Ok(())
    }

    /// Makes everything appended so far durable.
    pub fn sync(&self) -> Result<(), StagingError> {
        let (tail, version) = {
            let inner = self.read_inner()?;
            (inner.journal.tail(), inner.journal.version())
        };
        let Some(tail) = tail else { return Ok(()) };
        if let Err(error) = tail.sync_data() {
            // After a failed fsync the content on disk is unknown. Opening the area again reads it from disk.
            self.inner.write().map_err(|_| StagingError::Closed)?.failed = true;
            return Err(error.into());
        }
        self.read_inner()?.journal.note_durable(version);
        Ok(())
    }

    /// Opens a stream's index by its own key and its indexes by these fields. Returns the stream's number, if it exists.
    fn prepare(&self, stream: StreamName, fields: &[String]) -> Result<Option<u16>, StagingError> {
        let number = {
            let inner = self.read_inner()?;
            let Some(number) = inner.number(stream) else { return Ok(None) };
            let open = |field: &str| inner.open(number, field).is_some();
            if open(OWN_KEY) && fields.iter().all(|field| open(field)) {
                return Ok(Some(number));
            }
            number
        };
        let mut inner = self.write_inner()?;
        inner.open_index(number, OWN_KEY)?;
        for field in fields {
            inner.open_index(number, field)?;
        }
        Ok(Some(number))
    }
}

impl AreaState {
    /// Fails if the area is closed.
    fn usable(&self) -> Result<(), StagingError> {
        match (self.erased, self.failed) {
            (true, _) => Err(StagingError::Erased),
            (_, true) => Err(StagingError::Closed),
            _ => Ok(()),
        }
    }

    /// Returns the number of a stream, if it is registered.
    pub fn number(&self, stream: StreamName) -> Option<u16> {
        self.registry.get(stream)
    }

    fn index(&self, stream: u16, field: &str) -> &Index {
        self.open(stream, field).expect("the caller has opened it")
    }

    fn open(&self, stream: u16, field: &str) -> Option<&Index> {
        self.indexes.get(stream as usize)?.get(field)
    }

    /// Returns the ordinal of the last live entry with this key.
    pub fn latest(&self, stream: u16, key: Key) -> Result<Option<u64>, StagingError> {
        let state = &self.streams[stream as usize];
        self.index(stream, OWN_KEY).last(key, |ordinal| state.lives(ordinal))
    }

    /// Returns the ordinals of all entries that ever had this key.
    pub fn versions(&self, stream: u16, key: Key) -> Result<Vec<u64>, StagingError> {
        self.index(stream, OWN_KEY).find(key)
    }

    /// Returns true if an entry that is deleted now was live when its stream was `limit` entries long: the next entry with
    /// its key came after that.
    fn lived(&self, stream: u16, ordinal: u64, limit: u64) -> Result<bool, StagingError> {
        let (block, place) = self.cached_block(stream, ordinal)?;
        let damaged = StagingError::Damaged { what: "an entry", segment: 0, offset: ordinal };
        let key = block.entry(place).ok_or(damaged)?.entry.key;
        let next = self.index(stream, OWN_KEY).find(key)?.into_iter().filter(|other| *other > ordinal).min();
        Ok(next.is_some_and(|next| next >= limit))
    }

    fn body(&self, stream: u16, ordinal: u64) -> Result<Vec<u8>, StagingError> {
        let (block, place) = self.cached_block(stream, ordinal)?;
        let damaged = StagingError::Damaged { what: "an entry", segment: 0, offset: ordinal };
        Ok(block.entry(place).ok_or(damaged)?.entry.body.to_vec())
    }

    /// Opens an index and adds the entries that its sorted runs do not cover.
    pub fn open_index(&mut self, stream: u16, field: &str) -> Result<(), StagingError> {
        if self.open(stream, field).is_some() {
            return Ok(());
        }
        let file = format!("{stream:05}-{:032x}", u128::from_be_bytes(hash(&[field.as_bytes()])));
        let mut index = Index::open(&self.index_dir, &self.sealer, &file, self.streams[stream as usize].length)?;
        let state = &self.streams[stream as usize];
        let mut next = index.covered();
        while next < state.length {
            let (block, place) = self.cached_block(stream, next)?;
            for place in place..block.count {
                let damaged = StagingError::Damaged { what: "an entry", segment: 0, offset: next };
                let stored = block.entry(place).ok_or(damaged)?;
                // A record without a key is found by no other field either.
                let key = match field {
                    OWN_KEY => Some(stored.entry.key),
                    _ if is_keyless(&stored.entry, stored.detail_bytes) => None,
                    field => transaction::field_key(stored.entry.body, field),
                };
                if let Some(key) = key.filter(|key| *key != [0; 16]) {
                    index.insert(key, next);
                }
                next += 1;
            }
            index.flush(&self.index_dir, next)?;
        }
        if self.indexes.len() <= stream as usize {
            self.indexes.resize_with(stream as usize + 1, StreamIndexes::default);
        }
        self.indexes[stream as usize].add(field, index);
        Ok(())
    }
}

/// Applies one committed block to the streams and their registry.
pub(crate) fn recover(
    streams: &mut Vec<StreamState>,
    registry: &mut StreamRegistry,
    header: &BlockHeader,
    reference: BlockRef,
    read: &dyn Fn() -> Result<Block, StagingError>,
) -> Result<(), StagingError> {
    let damaged = |what| StagingError::Damaged { what, segment: reference.segment, offset: reference.offset };
    match header.stream {
        NAMES_STREAM => {
            if header.first != streams.len() as u64 {
                return Err(damaged("a stream's name"));
            }
            let number = next_number(streams.len())?;
            let name = String::from_utf8(read()?.payload).map_err(|_| damaged("a stream's name"))?;
            registry.insert(&name, number);
            streams.push(StreamState { name, ..StreamState::default() });
        }
        TOMBSTONES_STREAM => {
            for tombstone in read()?.payload.chunks_exact(transaction::TOMBSTONE_BYTES) {
                let (stream, ordinal) = transaction::decode_tombstone(tombstone);
                streams.get_mut(stream as usize).ok_or_else(|| damaged("a removal"))?.dead.set(ordinal);
            }
        }
        stream => {
            let stream = streams.get_mut(stream as usize).ok_or_else(|| damaged("a stream"))?;
            // An intact block of another place is not this one.
            if reference.first != stream.length {
                return Err(damaged("a stream"));
            }
            stream.add(reference);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::UploadEntries;

    /// A stream whose number would be a reserved one is refused, both when it is registered and when it is read.
    #[test]
    fn reserved_stream_numbers_are_refused() {
        let held = tempfile::tempdir().unwrap();
        let dir = Dir::open_ambient_dir(held.path(), cap_std::ambient_authority()).unwrap();
        let area = StagingArea::open(dir, held.path().into(), Sealer::new(&[7; 32]), 0).unwrap();
        let full = || (0..TOMBSTONES_STREAM).map(|_| StreamState::default()).collect::<Vec<_>>();
        area.inner.write().unwrap().streams = full();
        let staged = area.stage_records("things", &mut UploadEntries::new(1), &[]);
        assert!(matches!(staged, Err(StagingError::TooManyStreams { streams: 65_534 })), "{staged:?}");

        let (mut streams, mut registry) = (full(), StreamRegistry::default());
        let (stream, first, count, payload_bytes, payload_crc) = (NAMES_STREAM, 65_534, 1, 0, 0);
        let header = BlockHeader { stream, count, payload_bytes, first, commits: true, durable: 0, payload_crc };
        let reference = BlockRef { stream, first, count, payload_bytes, payload_crc, segment: 0, offset: 0 };
        let read = || Ok(Block { count: 1, payload: b"records/things".to_vec() });
        let recovered = recover(&mut streams, &mut registry, &header, reference, &read);
        assert!(matches!(recovered, Err(StagingError::TooManyStreams { streams: 65_534 })), "{recovered:?}");
    }
}
