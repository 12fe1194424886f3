//! Adding to a staging area: a group of entries, and the deaths of those that they replace.

use hashbrown::HashSet;

use super::super::block::{BlockBuilder, Entry, SourceStatus, write_block};
use super::super::journal::Group;
use super::*;
use crate::framing;

pub(super) const DEATH_BYTES: usize = 10;

/// Nesting that matters when a key is read again: the record was checked when it was uploaded.
const ANY_DEPTH: usize = usize::MAX - 1;

/// A record made from a source record.
#[derive(Clone, Debug)]
pub struct Product<'a> {
    /// Its entity type.
    pub entity_type: &'a str,
    /// Its reference id.
    pub id: Key,
    /// The record.
    pub body: &'a [u8],
}

/// A source record and what came of it.
#[derive(Clone, Debug)]
pub struct SourceRecord<'a> {
    /// Its line in the upload.
    pub line: u64,
    /// Hash of its identifying key; none where it could not be read.
    pub key: Option<Key>,
    /// Hashes of the further fields it can be looked up by, in the order of the source's description.
    pub lookups: Vec<Option<Key>>,
    /// The record as it was uploaded.
    pub body: &'a [u8],
    /// What came of it.
    pub status: SourceStatus,
    /// Why, unless it was mapped.
    pub code: &'a str,
    /// What was made of it.
    pub products: Vec<Product<'a>>,
}

/// A record in the platform's own shape.
#[derive(Clone, Debug)]
pub struct DirectRecord<'a> {
    /// Where it came from.
    pub origin: Origin,
    /// Its reference id.
    pub id: Key,
    /// The record.
    pub body: &'a [u8],
}

/// What an addition came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It was not there before.
    New,
    /// It took the place of an older version.
    Replaced,
    /// The very same is there already.
    Unchanged,
    /// Another record of the same upload has this key: the first stays.
    DuplicateKey,
    /// A record made from another source record has one of its reference ids: nothing of it is staged.
    DuplicateReferenceId,
}

impl Effect {
    /// Whether the staging area is not what it was.
    pub fn changes(self) -> bool {
        matches!(self, Effect::New | Effect::Replaced)
    }
}

/// The hash by which a record is found under the text of one of its fields.
pub(crate) fn field_key(record: &[u8], field: &str) -> Option<Key> {
    let mut key = None;
    let _ = framing::scan_object(record, ANY_DEPTH, |name, value| {
        if name == field {
            key = framing::scalar_text(value).map(|text| hash(&[text.as_bytes()]));
        }
    });
    key
}

/// What is known of an entry without its body.
struct Meta {
    hash: Key,
    origin: Origin,
    upload: u32,
    status: u8,
    extra: Vec<u8>,
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
struct Change<'a> {
    inner: &'a mut Inner,
    group: Group,
    pending: Vec<Pending>,
    deaths: Vec<u8>,
}

impl<'a> Change<'a> {
    fn new(inner: &'a mut Inner) -> Self {
        Self { inner, group: Group::default(), pending: vec![], deaths: vec![] }
    }

    fn stream(&mut self, name: StreamName) -> Result<u16, StagingError> {
        let text = name.text();
        if let Some(&number) = self.inner.numbers.get(&text) {
            self.inner.open_index(number, OWN_KEY)?;
            return Ok(number);
        }
        let number = self.inner.streams.len() as u16;
        let at = self.group.bytes.len();
        let header = write_block(NAMES, 1, u64::from(number), &[text.as_bytes()], &mut self.group.bytes);
        self.group.note(at, header);
        self.inner.numbers.insert(text.clone(), number);
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
    fn latest(&self, stream: u16, key: Key) -> Result<Option<u64>, StagingError> {
        self.inner.latest(stream, key)
    }

    fn meta(&self, stream: u16, ordinal: u64) -> Result<Meta, StagingError> {
        if let Some(pending) = self.pending.iter().find(|pending| pending.stream == stream)
            && ordinal >= pending.base
        {
            let meta = &pending.metas[(ordinal - pending.base) as usize];
            return Ok(Meta { extra: meta.extra.clone(), ..*meta });
        }
        let (block, place) = self.inner.cached_block(stream, ordinal)?;
        let damaged = StagingError::Damaged { what: "an entry", segment: 0, offset: ordinal };
        let entry = block.entry(place).ok_or(damaged)?;
        let Entry { hash, origin, upload, status, .. } = entry;
        Ok(Meta { hash, origin, upload, status, extra: entry.extra.to_vec() })
    }

    fn add(&mut self, stream: u16, entry: Entry) -> Result<u64, StagingError> {
        let pending = self.pending(stream);
        let ordinal = pending.next();
        let Entry { hash, origin, upload, status, .. } = entry;
        pending.metas.push(Meta { hash, origin, upload, status, extra: entry.extra.to_vec() });
        pending.builder.push(&entry);
        let full = pending.builder.is_full();
        if entry.key != [0; 16] {
            self.index_mut(stream, OWN_KEY).insert(entry.key, ordinal);
        }
        if full {
            self.close_block(stream);
        }
        Ok(ordinal)
    }

    fn index_mut(&mut self, stream: u16, field: &str) -> &mut Index {
        self.inner.indexes.get_mut(&(stream, field.to_owned())).expect("opened with its stream")
    }

    fn close_block(&mut self, stream: u16) {
        let at = self.group.bytes.len();
        let place = self.pending.iter().position(|pending| pending.stream == stream).expect("it has entries");
        let pending = &mut self.pending[place];
        if pending.builder.is_empty() {
            return;
        }
        let header = pending.builder.write(stream, pending.first_in_block, &mut self.group.bytes);
        pending.first_in_block = pending.next();
        self.group.note(at, header);
    }

    fn bury(&mut self, stream: u16, ordinal: u64) {
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
            let header = write_block(DEATHS, count, 0, &[&self.deaths], &mut self.group.bytes);
            self.group.note(at, header);
        }
        if self.group.is_empty() {
            return Ok(());
        }
        for (stream, block) in self.inner.journal.append(&mut self.group)? {
            if let Some(held) = self.inner.streams.get_mut(stream as usize) {
                held.add(block);
            }
        }
        for ((stream, _), index) in &mut self.inner.indexes {
            if streams.contains(stream) {
                index.settle(&self.inner.index_dir, self.inner.streams[*stream as usize].length)?;
            }
        }
        Ok(())
    }

    fn stage_direct(&mut self, stream: u16, upload: u32, record: &DirectRecord) -> Result<Effect, StagingError> {
        let hashed = hash(&[record.body]);
        let existing = self.latest(stream, record.id)?;
        if let Some(ordinal) = existing {
            if self.meta(stream, ordinal)?.hash == hashed {
                return Ok(Effect::Unchanged);
            }
            self.bury(stream, ordinal);
        }
        let (key, origin, body) = (record.id, record.origin, record.body);
        self.add(stream, Entry { key, hash: hashed, origin, upload, status: 0, body, extra: &[] })?;
        Ok(if existing.is_some() { Effect::Replaced } else { Effect::New })
    }

    fn stage_source(
        &mut self,
        stream: u16,
        fields: &[String],
        upload: u32,
        record: &SourceRecord,
    ) -> Result<Effect, StagingError> {
        let hashed = hash(&[record.body]);
        let existing = match record.key {
            Some(key) => self.latest(stream, key)?,
            None => None,
        };
        let mut products = vec![];
        for product in &record.products {
            products.push((self.stream(StreamName::Records(product.entity_type))?, product, hash(&[product.body])));
        }
        let mut entry = Entry {
            key: record.key.unwrap_or_default(),
            hash: hashed,
            origin: Origin::Line(record.line),
            upload,
            status: record.status as u8,
            body: record.body,
            extra: &[],
        };
        let mut old_products = vec![];
        if let Some(old) = existing {
            let meta = self.meta(stream, old)?;
            if meta.status == SourceStatus::Mapped as u8 {
                old_products = decode_products(&meta.extra);
            }
            if meta.hash == hashed && self.same_outcome(record, &products, &meta, &old_products)? {
                return Ok(Effect::Unchanged);
            }
            if meta.upload == upload {
                let refused =
                    Entry { key: [0; 16], status: SourceStatus::Rejected as u8, extra: b"DUPLICATE_KEY", ..entry };
                self.add(stream, refused)?;
                return Ok(Effect::DuplicateKey);
            }
            self.bury(stream, old);
            for &(product_stream, id) in &old_products {
                if let Some(ordinal) = self.latest(product_stream, id)?
                    && self.meta(product_stream, ordinal)?.origin == (Origin::Source { stream, ordinal: old })
                {
                    self.bury(product_stream, ordinal);
                }
            }
        }
        let conflict = self.conflicts(&products)?;
        let listed = encode_products(&products);
        if conflict {
            entry.status = SourceStatus::Rejected as u8;
            entry.extra = b"DUPLICATE_REFERENCE_ID";
        } else if record.status == SourceStatus::Mapped {
            entry.extra = &listed;
        } else {
            entry.extra = record.code.as_bytes();
        }
        let ordinal = self.add(stream, entry)?;
        for (field, key) in fields.iter().zip(&record.lookups) {
            if let Some(key) = key {
                self.index_mut(stream, field).insert(*key, ordinal);
            }
        }
        if conflict {
            return Ok(Effect::DuplicateReferenceId);
        }
        for (product_stream, product, hash) in products {
            if let Some(direct) = self.latest(product_stream, product.id)? {
                self.bury(product_stream, direct);
            }
            let (origin, body) = (Origin::Source { stream, ordinal }, product.body);
            self.add(product_stream, Entry { key: product.id, hash, origin, upload, status: 0, body, extra: &[] })?;
        }
        Ok(if existing.is_some() { Effect::Replaced } else { Effect::New })
    }

    /// Whether the record came to exactly what it came to before, and all of that is still there.
    fn same_outcome(
        &self,
        record: &SourceRecord,
        products: &[(u16, &Product, Key)],
        meta: &Meta,
        old: &[(u16, Key)],
    ) -> Result<bool, StagingError> {
        if record.status as u8 != meta.status {
            return Ok(false);
        }
        if record.status != SourceStatus::Mapped {
            return Ok(meta.extra == record.code.as_bytes());
        }
        if products.len() != old.len() {
            return Ok(false);
        }
        for ((stream, product, hash), old) in products.iter().zip(old) {
            let Some(ordinal) = self.latest(*stream, product.id)? else { return Ok(false) };
            if (*stream, product.id) != *old || self.meta(*stream, ordinal)?.hash != *hash {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether another source record, or this one twice, made a record with one of these reference ids.
    fn conflicts(&self, products: &[(u16, &Product, Key)]) -> Result<bool, StagingError> {
        let mut own = HashSet::new();
        for (stream, product, _) in products {
            if products.len() > 1 && !own.insert((*stream, product.id)) {
                return Ok(true);
            }
            if let Some(ordinal) = self.latest(*stream, product.id)?
                && matches!(self.meta(*stream, ordinal)?.origin, Origin::Source { .. })
            {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

impl StagingArea {
    /// Adds records in the platform's own shape; what became of each, in order.
    pub fn stage_records(
        &self,
        entity_type: &str,
        upload: u32,
        records: &[DirectRecord],
    ) -> Result<Vec<Effect>, StagingError> {
        self.change(|change| {
            let stream = change.stream(StreamName::Records(entity_type))?;
            records.iter().map(|record| change.stage_direct(stream, upload, record)).collect()
        })
    }

    /// Adds source records with what was made of them; what became of each, in order. `fields` are those
    /// that the records can be looked up by, beside their key.
    pub fn stage_sources(
        &self,
        source: &str,
        fields: &[String],
        upload: u32,
        records: &[SourceRecord],
    ) -> Result<Vec<Effect>, StagingError> {
        self.change(|change| {
            let stream = change.stream(StreamName::Source(source))?;
            // Indexes by other fields would miss what is added now; they catch up when they are next opened.
            change.inner.indexes.retain(|(of, field), _| *of != stream || field == OWN_KEY || fields.contains(field));
            for field in fields {
                change.inner.open_index(stream, field)?;
            }
            records.iter().map(|record| change.stage_source(stream, fields, upload, record)).collect()
        })
    }

    /// Removes records; which of them were there.
    pub fn delete_records(&self, entity_type: &str, ids: &[Key]) -> Result<Vec<bool>, StagingError> {
        self.change(|change| {
            let Some(stream) = change.inner.number(StreamName::Records(entity_type)) else {
                return Ok(vec![false; ids.len()]);
            };
            change.inner.open_index(stream, OWN_KEY)?;
            let mut deleted = vec![];
            for id in ids {
                let found = change.latest(stream, *id)?;
                found.iter().for_each(|ordinal| change.bury(stream, *ordinal));
                deleted.push(found.is_some());
            }
            Ok(deleted)
        })
    }

    fn change<T>(&self, make: impl FnOnce(&mut Change) -> Result<T, StagingError>) -> Result<T, StagingError> {
        let mut inner = self.inner.write().map_err(|_| StagingError::Poisoned)?;
        if inner.poisoned {
            return Err(StagingError::Poisoned);
        }
        let mut change = Change::new(&mut inner);
        let made = make(&mut change).and_then(|made| change.commit().map(|()| made));
        inner.poisoned = made.is_err();
        made
    }
}

fn encode_products(products: &[(u16, &Product, Key)]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(products.len() * PRODUCT_BYTES);
    for (stream, product, _) in products {
        bytes.extend_from_slice(&stream.to_le_bytes());
        bytes.extend_from_slice(&product.id);
    }
    bytes
}

const PRODUCT_BYTES: usize = 18;

fn decode_products(extra: &[u8]) -> Vec<(u16, Key)> {
    let products = extra.chunks_exact(PRODUCT_BYTES);
    products
        .map(|product| {
            (u16::from_le_bytes([product[0], product[1]]), product[2..].try_into().expect("an id has 16 bytes"))
        })
        .collect()
}

pub(super) fn decode_death(bytes: &[u8]) -> (u16, u64) {
    let ordinal = u64::from_le_bytes(bytes[2..DEATH_BYTES].try_into().expect("8 bytes"));
    (u16::from_le_bytes([bytes[0], bytes[1]]), ordinal)
}
