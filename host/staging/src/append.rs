//! Adding to a staging area: what replaces what, and what may not stand side by side.

use hashbrown::HashSet;

use super::batches::{Member, Seen};
use super::block::{Entry, Origin, SourceStatus};
use super::change::{Change, Meta};
use super::numbers::OWN_KEY;
use super::{EntryDetail, Key, ProductRef, StagedEntry, StagingArea, StagingError, StreamName, hash};

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
    /// Where it began in the upload, in bytes; none where it was not uploaded just now.
    pub offset: Option<u64>,
    /// Whether the mapper was given it.
    pub given: bool,
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
    /// Where it is run again: the entry whose place it takes, and that entry's key.
    pub replaces: Option<(u64, Key)>,
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
    /// Whether the staging area is not what it was: what is refused is kept there as well, once.
    pub fn changes(self) -> bool {
        !matches!(self, Effect::Unchanged)
    }
}

impl Change<'_> {
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
        self.add(stream, Entry { key, hash: hashed, origin, upload, status: 0, body }, EntryDetail::None)?;
        Ok(if existing.is_some() { Effect::Replaced } else { Effect::New })
    }

    fn stage_source(
        &mut self,
        stream: u16,
        fields: &[String],
        upload: u32,
        record: &SourceRecord,
    ) -> Result<(Effect, u64), StagingError> {
        let hashed = hash(&[record.body]);
        // What has no key is known by what it is, so that it is kept once however often it comes.
        let key = record.key.unwrap_or_else(|| refused_key(hashed, record.code.as_bytes(), Origin::Line(record.line)));
        let latest = self.latest(stream, key)?;
        let existing = record.replaces.map(|(ordinal, _)| ordinal).or(latest);
        let mut products = vec![];
        for product in &record.products {
            products.push((self.stream(StreamName::Records(product.entity_type))?, product, hash(&[product.body])));
        }
        let mut entry = Entry {
            key,
            hash: hashed,
            origin: Origin::Line(record.line),
            upload,
            status: record.status as u8,
            body: record.body,
        };
        if let Some(old) = existing {
            let meta = self.meta(stream, old)?;
            let same_key = record.replaces.is_none_or(|(_, old)| old == key);
            if same_key && meta.hash == hashed && self.same_outcome(record, &products, &meta)? {
                return Ok((Effect::Unchanged, old));
            }
            if record.replaces.is_none() && meta.upload == upload {
                return self.refuse_duplicate(stream, entry);
            }
            self.bury(stream, old);
            for &ProductRef { stream: product_stream, id } in meta.detail.products() {
                if let Some(ordinal) = self.latest(product_stream, id)?
                    && self.meta(product_stream, ordinal)?.origin == (Origin::Source { stream, ordinal: old })
                {
                    self.bury(product_stream, ordinal);
                }
            }
            // Run again under another key than before, it may meet one that has this key by now: the first stays.
            if latest.is_some_and(|latest| latest != old) {
                return self.refuse_duplicate(stream, entry);
            }
        }
        let places = self.places(&products)?;
        let detail = if places.is_none() {
            entry.status = SourceStatus::Rejected as u8;
            EntryDetail::Code("DUPLICATE_REFERENCE_ID".to_owned())
        } else if record.status == SourceStatus::Mapped {
            EntryDetail::Products(
                products.iter().map(|&(stream, Product { id, .. }, _)| ProductRef { stream, id: *id }).collect(),
            )
        } else {
            EntryDetail::Code(record.code.to_owned())
        };
        let ordinal = self.add(stream, entry, detail)?;
        for (field, key) in fields.iter().zip(&record.lookups) {
            if let Some(key) = key {
                self.index_mut(stream, field).insert(*key, ordinal);
            }
        }
        let Some(places) = places else { return Ok((Effect::DuplicateReferenceId, ordinal)) };
        for ((product_stream, product, hash), direct) in products.into_iter().zip(places) {
            if let Some(direct) = direct {
                self.bury(product_stream, direct);
            }
            let (origin, body) = (Origin::Source { stream, ordinal }, product.body);
            let entry = Entry { key: product.id, hash, origin, upload, status: 0, body };
            self.add(product_stream, entry, EntryDetail::None)?;
        }
        Ok((if existing.is_some() { Effect::Replaced } else { Effect::New }, ordinal))
    }

    /// Keeps a record whose key another has, as refused.
    fn refuse_duplicate(&mut self, stream: u16, entry: Entry) -> Result<(Effect, u64), StagingError> {
        const CODE: &str = "DUPLICATE_KEY";
        let key = refused_key(entry.hash, CODE.as_bytes(), entry.origin);
        let ordinal = match self.latest(stream, key)? {
            Some(ordinal) => ordinal,
            None => {
                let entry = Entry { key, status: SourceStatus::Rejected as u8, ..entry };
                self.add(stream, entry, EntryDetail::Code(CODE.to_owned()))?
            }
        };
        Ok((Effect::DuplicateKey, ordinal))
    }

    /// Whether the record came to exactly what it came to before, and all of that is still there.
    fn same_outcome(
        &self,
        record: &SourceRecord,
        products: &[(u16, &Product, Key)],
        meta: &Meta,
    ) -> Result<bool, StagingError> {
        if record.status as u8 != meta.status {
            return Ok(false);
        }
        if record.status != SourceStatus::Mapped {
            return Ok(meta.detail.code().unwrap_or_default() == record.code);
        }
        let old = meta.detail.products();
        if products.len() != old.len() {
            return Ok(false);
        }
        for ((stream, product, hash), old) in products.iter().zip(old) {
            let Some(ordinal) = self.latest(*stream, product.id)? else { return Ok(false) };
            if (ProductRef { stream: *stream, id: product.id }) != *old || self.meta(*stream, ordinal)?.hash != *hash {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// What is uploaded directly under each reference id, and gives way; none where another record made one with it.
    fn places(&self, products: &[(u16, &Product, Key)]) -> Result<Option<Vec<Option<u64>>>, StagingError> {
        let (mut own, mut places) = (HashSet::new(), Vec::with_capacity(products.len()));
        for (stream, product, _) in products {
            if products.len() > 1 && !own.insert((*stream, product.id)) {
                return Ok(None);
            }
            let place = self.latest(*stream, product.id)?;
            if let Some(ordinal) = place
                && matches!(self.meta(*stream, ordinal)?.origin, Origin::Source { .. })
            {
                return Ok(None);
            }
            places.push(place);
        }
        Ok(Some(places))
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
    /// that the records can be looked up by, beside their key; `seen` is how far each source had come for the mapper
    /// that was given them, all as one batch.
    pub fn stage_sources(
        &self,
        source: &str,
        fields: &[String],
        upload: u32,
        seen: &Seen,
        records: &[SourceRecord],
    ) -> Result<Vec<Effect>, StagingError> {
        self.change(|change| {
            let stream = change.stream(StreamName::Source(source))?;
            // Indexes by other fields would miss what is added now; they catch up when they are next opened.
            change.inner.indexes[stream as usize].keep(fields);
            for field in fields {
                change.inner.open_index(stream, field)?;
            }
            let first = change.inner.streams[stream as usize].length;
            let (mut effects, mut members) = (Vec::with_capacity(records.len()), vec![]);
            for record in records {
                let (effect, ordinal) = change.stage_source(stream, fields, upload, record)?;
                if record.given {
                    members.push(Member { ordinal, offset: record.offset });
                }
                effects.push(effect);
            }
            if members.iter().any(|member| member.ordinal >= first) {
                change.note_batch(source, upload, seen, first, &members)?;
            }
            Ok(effects)
        })
    }

    /// Entity type and reference id of each record that was made of a mapped source record.
    pub fn products(&self, entry: &StagedEntry) -> Result<Vec<(String, Key)>, StagingError> {
        let inner = self.read_inner()?;
        let name = |stream: u16| inner.streams.get(stream as usize)?.name.strip_prefix("records/");
        let products = entry.detail.products().iter();
        Ok(products.filter_map(|product| Some((name(product.stream)?.to_owned(), product.id))).collect())
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
}

/// What a refused record without a key of its own is found by, should the very same come again: its body and why it
/// was refused; its line, where the body was too long to be kept.
fn refused_key(body: Key, code: &[u8], origin: Origin) -> Key {
    let line = match origin {
        Origin::Line(line) if body == hash(&[]) => line,
        _ => 0,
    };
    hash(&[b"refused\0", &body, &line.to_le_bytes(), code])
}

/// Whether an entry of a source was refused without a key, or because another record has its key.
pub(super) fn is_keyless(entry: &Entry, code: &[u8]) -> bool {
    // Zeros are of an area that was written before such records were told apart.
    let refused = || entry.status == SourceStatus::Rejected as u8;
    entry.key == [0; 16] || (refused() && entry.key == refused_key(entry.hash, code, entry.origin))
}

impl StagedEntry {
    /// Whether it is a source record that was refused without a key, or because another record has its key.
    pub fn is_keyless(&self) -> bool {
        let Self { key, hash, origin, upload, status, .. } = *self;
        let code = self.code().unwrap_or_default().as_bytes();
        is_keyless(&Entry { key, hash, origin, upload, status, body: &[] }, code)
    }

    /// Returns the code of a source record that was skipped, rejected or quarantined.
    pub fn code(&self) -> Option<&str> {
        self.detail.code()
    }

    /// The line of its upload that it stood on; 0 if it came with none.
    pub fn line(&self) -> u64 {
        if let Origin::Line(line) = self.origin { line } else { 0 }
    }

    /// What became of it, where it is a source record.
    pub fn status(&self) -> Option<SourceStatus> {
        SourceStatus::from_u8(self.status)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::StagedBatch;
    use sluice_keys::Sealer;

    fn record(key: Option<u8>, body: &'static str, replaces: Option<(u64, Key)>) -> SourceRecord<'static> {
        let (key, body) = (key.map(|key| [key; 16]), body.as_bytes());
        let (status, code) = (SourceStatus::Rejected, "WRONG");
        let (offset, given, lookups, products) = (None, true, vec![], vec![]);
        SourceRecord { line: 1, offset, given, key, lookups, body, status, code, products, replaces }
    }

    /// Run again, a record takes its own place, whatever its key is now; two that have come to one key are told apart.
    #[test]
    fn replaced_by_place() {
        let held = tempfile::tempdir().unwrap();
        let dir = cap_std::fs::Dir::open_ambient_dir(held.path(), cap_std::ambient_authority()).unwrap();
        let area = StagingArea::open(dir, held.path().into(), Sealer::new(&[7; 32]), 0).unwrap();
        let stage =
            |upload, records: &[SourceRecord]| area.stage_sources("table", &[], upload, &Seen::new(), records).unwrap();
        let entries = || {
            let mut batch = StagedBatch::default();
            area.reader(StreamName::Source("table"), 0).unwrap().next_batch(&mut batch, 100, 1_000).unwrap();
            batch.entries.iter().map(|entry| (entry.ordinal, entry.key, entry.is_keyless())).collect::<Vec<_>>()
        };
        use Effect::*;
        assert_eq!(stage(1, &[record(Some(1), "a", None), record(Some(2), "b", None)]), [New, New]);
        assert_eq!(stage(1, &[record(None, "x", None), record(None, "x", None)]), [New, Unchanged]);
        assert_eq!(stage(2, &[record(None, "x", None), record(None, "y", None)]), [Unchanged, New]);
        let keyless: Vec<bool> = entries().into_iter().map(|(.., keyless)| keyless).collect();
        assert_eq!(keyless, [false, false, true, true]);

        let (one, two) = ([1; 16], [2; 16]);
        assert_eq!(stage(3, &[record(Some(1), "a", Some((0, one)))]), [Unchanged]);
        assert_eq!(stage(3, &[record(Some(9), "a", Some((0, one)))]), [Replaced]);
        assert_eq!(stage(3, &[record(Some(9), "b", Some((1, two)))]), [DuplicateKey]);
        let found = entries();
        assert_eq!(found.len(), 4, "{found:?}");
        assert_eq!(found.iter().filter(|(_, key, keyless)| *key == [9; 16] && !keyless).count(), 1, "{found:?}");
        assert_eq!(found.iter().filter(|(.., keyless)| *keyless).count(), 3, "{found:?}");
    }
}
