//! One migration's staging area: opening it, and finding and reading what is in it.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, RwLock, RwLockReadGuard, RwLockWriteGuard};

use cap_std::fs::Dir;

use super::append::is_keyless;
use super::block::{Block, Header};
use super::change;
use super::index::Index;
use super::journal::{BlockRef, Journal};
use super::numbers::{Indexes, Numbers, OWN_KEY};
use super::received::sync_dir;
use super::streams::{Cache, EntryReader, Stream};
use super::{Key, StagingError, hash};
use sluice_keys::Sealer;

/// What a stream holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamName<'a> {
    /// Source records of a table.
    Source(&'a str),
    /// Domain records of an entity type.
    Records(&'a str),
    /// What the batches of a source were.
    Batches(&'a str),
}

impl StreamName<'_> {
    pub(super) fn text(&self) -> String {
        match self {
            StreamName::Source(name) => format!("source/{name}"),
            StreamName::Records(name) => format!("records/{name}"),
            StreamName::Batches(name) => format!("batches/{name}"),
        }
    }
}

/// The folder of a migration's directory that the journal's segments are in.
pub(super) const JOURNAL: &str = "journal";

/// The file in it with the calls to a platform.
pub const LEDGER: &str = "ledger.db";

/// Stream of the names of the other streams, in the order of their numbers.
pub(super) const NAMES: u16 = u16::MAX;
/// Stream of the ordinals that died.
pub(super) const DEATHS: u16 = u16::MAX - 1;

/// A migration's staging area.
pub struct StagingArea {
    pub(super) dir: Dir,
    /// The directory's path, for parts that open files of their own in it.
    pub(super) path: PathBuf,
    /// Under the migration's own key: what leaves memory for the directory is sealed first.
    pub(super) sealer: Arc<Sealer>,
    pub(super) inner: RwLock<Inner>,
    /// Held while a list of lines is read or grows.
    pub(super) lists: Mutex<()>,
}

/// What changes.
pub(super) struct Inner {
    pub journal: Journal,
    pub streams: Vec<Stream>,
    pub numbers: Numbers,
    /// In the order of the streams, as far as any are open.
    pub indexes: Vec<Indexes>,
    pub cache: Cache,
    pub index_dir: Dir,
    pub sealer: Arc<Sealer>,
    pub poisoned: bool,
    pub erased: bool,
}

impl StagingArea {
    /// Opens the area in this directory, which has this path, new or not, and drops what was never committed.
    /// `acknowledged` is the version that it is known to have reached; one that does not is damaged.
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
        let mut streams: Vec<Stream> = vec![];
        let mut numbers = Numbers::default();
        let recover = |header: &Header, reference, read: &dyn Fn() -> Result<Block, StagingError>| {
            recover(&mut streams, &mut numbers, header, reference, read)
        };
        let journal = Journal::open(dir.open_dir(JOURNAL)?, sealer.clone(), acknowledged, recover)?;
        let index_dir = dir.open_dir("index")?;
        let cache = Cache::default();
        let indexes = vec![];
        let (poisoned, erased) = (false, false);
        let inner =
            Inner { journal, streams, numbers, indexes, cache, index_dir, sealer: sealer.clone(), poisoned, erased };
        Ok(Self { dir, path, sealer, inner: RwLock::new(inner), lists: Mutex::default() })
    }

    /// Reads and writes nothing from now on: the records are about to be erased, and whoever still reads breaks off.
    pub(super) fn close(&self) {
        // A panic while it was held is no reason to keep what is to be erased.
        self.inner.write().unwrap_or_else(std::sync::PoisonError::into_inner).erased = true;
    }

    pub(super) fn read_inner(&self) -> Result<RwLockReadGuard<'_, Inner>, StagingError> {
        let inner = self.inner.read().map_err(|_| StagingError::Poisoned)?;
        inner.usable().map(|()| inner)
    }

    pub(super) fn write_inner(&self) -> Result<RwLockWriteGuard<'_, Inner>, StagingError> {
        let inner = self.inner.write().map_err(|_| StagingError::Poisoned)?;
        inner.usable().map(|()| inner)
    }

    /// How many live entries a stream holds.
    pub fn count(&self, stream: StreamName) -> Result<u64, StagingError> {
        let inner = self.read_inner()?;
        Ok(inner.number(stream).map_or(0, |number| inner.streams[number as usize].live()))
    }

    /// One past the last ordinal of a stream.
    pub fn length(&self, stream: StreamName) -> Result<u64, StagingError> {
        let inner = self.read_inner()?;
        Ok(inner.number(stream).map_or(0, |number| inner.streams[number as usize].length))
    }

    /// Grows with every change: two equal versions are the same contents.
    pub fn version(&self) -> Result<u64, StagingError> {
        Ok(self.read_inner()?.journal.version())
    }

    /// The version up to which everything is known to be on disk: no more than that was ever acknowledged.
    pub fn durable(&self) -> Result<u64, StagingError> {
        Ok(self.read_inner()?.journal.durable())
    }

    /// Names of the sources that have entries.
    pub fn sources(&self) -> Result<Vec<String>, StagingError> {
        let inner = self.read_inner()?;
        let names = inner.streams.iter().filter_map(|stream| stream.name.strip_prefix("source/"));
        Ok(names.map(str::to_owned).collect())
    }

    /// The name of the source with this stream number.
    pub fn source_of(&self, number: u16) -> Result<Option<String>, StagingError> {
        let inner = self.read_inner()?;
        let name = inner.streams.get(number as usize).and_then(|stream| stream.name.strip_prefix("source/"));
        Ok(name.map(str::to_owned))
    }

    /// Reads a stream's live entries from an ordinal on, up to what it holds now.
    pub fn reader(&self, stream: StreamName, from: u64) -> Result<EntryReader<'_>, StagingError> {
        let inner = self.read_inner()?;
        let number = inner.number(stream);
        let end = number.map_or(0, |number| inner.streams[number as usize].length);
        drop(inner);
        Ok(EntryReader::new(self, number, from, end))
    }

    /// Which of these reference ids are staged.
    pub fn contains(&self, entity_type: &str, ids: &[Key]) -> Result<Vec<bool>, StagingError> {
        let Some(number) = self.prepare(StreamName::Records(entity_type), &[])? else {
            return Ok(vec![false; ids.len()]);
        };
        let inner = self.read_inner()?;
        ids.iter().map(|id| Ok(inner.latest(number, *id)?.is_some())).collect()
    }

    /// Ordinals of all entries of a stream that ever had this key, dead ones too, ascending.
    pub fn versions(&self, stream: StreamName, key: Key) -> Result<Vec<u64>, StagingError> {
        let Some(number) = self.prepare(stream, &[])? else { return Ok(vec![]) };
        let mut versions = self.read_inner()?.index(number, OWN_KEY).find(key)?;
        versions.sort_unstable();
        Ok(versions)
    }

    /// The live entry of a stream with this key.
    pub(super) fn latest(&self, stream: StreamName, key: Key) -> Result<Option<u64>, StagingError> {
        let Some(number) = self.prepare(stream, &[])? else { return Ok(None) };
        self.read_inner()?.latest(number, key)
    }

    /// Where the ledger of calls to a platform stands: not sealed, as there is nothing of a record in it.
    pub fn ledger(&self) -> Result<PathBuf, StagingError> {
        drop(self.read_inner()?);
        Ok(self.path.join(LEDGER))
    }

    /// The staged record with this reference id.
    pub fn read(&self, entity_type: &str, id: Key) -> Result<Option<Vec<u8>>, StagingError> {
        let Some(number) = self.prepare(StreamName::Records(entity_type), &[])? else { return Ok(None) };
        let inner = self.read_inner()?;
        let Some(ordinal) = inner.latest(number, id)? else { return Ok(None) };
        inner.body(number, ordinal).map(Some)
    }

    /// Records whose field (`None`: the identifying key) has this key, as they stood when the stream had come to `limit`:
    /// what was replaced since is found as it was, whenever this is asked.
    pub fn find(
        &self,
        stream: StreamName,
        field: Option<&str>,
        key: Key,
        limit: u64,
    ) -> Result<Vec<Vec<u8>>, StagingError> {
        let fields: Vec<String> = field.iter().map(|&field| field.to_owned()).collect();
        let Some(number) = self.prepare(stream, &fields)? else { return Ok(vec![]) };
        let inner = self.read_inner()?;
        let held = &inner.streams[number as usize];
        let ordinals = inner.index(number, field.unwrap_or(OWN_KEY)).find(key)?;
        let mut found = vec![];
        for ordinal in ordinals.into_iter().filter(|ordinal| *ordinal < limit) {
            if held.lives(ordinal) || inner.lived(number, ordinal, limit)? {
                found.push(inner.body(number, ordinal)?);
            }
        }
        Ok(found)
    }

    /// Makes everything appended so far durable.
    pub fn sync(&self) -> Result<(), StagingError> {
        let (tail, version) = {
            let inner = self.read_inner()?;
            (inner.journal.tail(), inner.journal.version())
        };
        let Some(tail) = tail else { return Ok(()) };
        if let Err(error) = tail.sync_data() {
            // After a failed fsync nobody knows what is on disk: only opening again, from disk, will tell.
            self.inner.write().map_err(|_| StagingError::Poisoned)?.poisoned = true;
            return Err(error.into());
        }
        self.read_inner()?.journal.note_durable(version);
        Ok(())
    }

    /// Opens the stream's indexes, by its own key and by these fields, if it exists.
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

impl Inner {
    fn usable(&self) -> Result<(), StagingError> {
        match (self.erased, self.poisoned) {
            (true, _) => Err(StagingError::Erased),
            (_, true) => Err(StagingError::Poisoned),
            _ => Ok(()),
        }
    }

    pub fn number(&self, stream: StreamName) -> Option<u16> {
        self.numbers.get(stream)
    }

    fn index(&self, stream: u16, field: &str) -> &Index {
        self.open(stream, field).expect("opened by whoever asks")
    }

    fn open(&self, stream: u16, field: &str) -> Option<&Index> {
        self.indexes.get(stream as usize)?.get(field)
    }

    /// The live entry with this key that came last.
    pub fn latest(&self, stream: u16, key: Key) -> Result<Option<u64>, StagingError> {
        let held = &self.streams[stream as usize];
        self.index(stream, OWN_KEY).last(key, |ordinal| held.lives(ordinal))
    }

    /// Whether an entry that is dead now lived when its stream had come to `limit`: one with its key came only then.
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

    /// Opens an index and tells it what its runs do not cover.
    pub fn open_index(&mut self, stream: u16, field: &str) -> Result<(), StagingError> {
        if self.open(stream, field).is_some() {
            return Ok(());
        }
        let file = format!("{stream:05}-{:032x}", u128::from_be_bytes(hash(&[field.as_bytes()])));
        let mut index = Index::open(&self.index_dir, &self.sealer, &file, self.streams[stream as usize].length)?;
        let held = &self.streams[stream as usize];
        let mut next = index.covered();
        while next < held.length {
            let (block, place) = self.cached_block(stream, next)?;
            for place in place..block.count {
                let damaged = StagingError::Damaged { what: "an entry", segment: 0, offset: next };
                let stored = block.entry(place).ok_or(damaged)?;
                // What was refused for want of a key of its own is found by nothing else.
                let key = match field {
                    OWN_KEY => Some(stored.entry.key),
                    _ if is_keyless(&stored.entry, stored.detail_bytes) => None,
                    field => change::field_key(stored.entry.body, field),
                };
                if let Some(key) = key.filter(|key| *key != [0; 16]) {
                    index.insert(key, next);
                }
                next += 1;
            }
            index.settle(&self.index_dir, next)?;
        }
        if self.indexes.len() <= stream as usize {
            self.indexes.resize_with(stream as usize + 1, Indexes::default);
        }
        self.indexes[stream as usize].add(field, index);
        Ok(())
    }
}

/// Takes one committed block into account.
pub(super) fn recover(
    streams: &mut Vec<Stream>,
    numbers: &mut Numbers,
    header: &Header,
    reference: BlockRef,
    read: &dyn Fn() -> Result<Block, StagingError>,
) -> Result<(), StagingError> {
    let damaged = |what| StagingError::Damaged { what, segment: reference.segment, offset: reference.offset };
    match header.stream {
        NAMES => {
            if header.first != streams.len() as u64 {
                return Err(damaged("a stream's name"));
            }
            let name = String::from_utf8(read()?.payload).map_err(|_| damaged("a stream's name"))?;
            numbers.insert(&name, streams.len() as u16);
            streams.push(Stream { name, ..Stream::default() });
        }
        DEATHS => {
            for death in read()?.payload.chunks_exact(change::DEATH_BYTES) {
                let (stream, ordinal) = change::decode_death(death);
                streams.get_mut(stream as usize).ok_or_else(|| damaged("a removal"))?.dead.set(ordinal);
            }
        }
        stream => {
            let stream = streams.get_mut(stream as usize).ok_or_else(|| damaged("a stream"))?;
            // A block that is sealed to another place is not taken for this one, whole as it may be.
            if reference.first != stream.length {
                return Err(damaged("a stream"));
            }
            stream.add(reference);
        }
    }
    Ok(())
}
