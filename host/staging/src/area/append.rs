//! Staging and deleting records: replacement of older versions, and refusal of duplicates.

use hashbrown::HashSet;

use crate::area::batches::{BatchMember, SourceLengths};
use crate::area::transaction::{EntryMetadata, Transaction};
use crate::journal::block::{Origin, SourceStatus, StreamEntry};
use crate::journal::detail::MAX_PRODUCTS;
use crate::streams::registry::OWN_KEY;
use crate::{EntryDetail, Key, ProductRef, StagedEntry, StagingArea, StagingError, StreamName, hash};

/// A record that a mapper made from a source record.
#[derive(Clone, Debug)]
pub struct Product<'a> {
    /// Entity type.
    pub entity_type: &'a str,
    /// Reference id.
    pub id: Key,
    /// The record.
    pub body: &'a [u8],
}

/// A source record with its result.
#[derive(Clone, Debug)]
pub struct SourceRecord<'a> {
    /// Line in the upload, from 1.
    pub line: u64,
    /// Offset of its first byte in the upload. `None` if it is mapped again and was not uploaded just now.
    pub offset: Option<u64>,
    /// True if it was passed to the mapper.
    pub given: bool,
    /// Hash of its identifying key. `None` if the key could not be read.
    pub key: Option<Key>,
    /// Hashes of the further fields by which it can be looked up, in the order of the source's description.
    pub lookups: Vec<Option<Key>>,
    /// The record, as it was uploaded.
    pub body: &'a [u8],
    /// Result of the record.
    pub status: SourceStatus,
    /// Code of the reason, unless it was mapped.
    pub code: &'a str,
    /// Records made from it.
    pub products: Vec<Product<'a>>,
    /// Ordinal and key of the entry that it replaces, if the record is mapped again.
    pub replaces: Option<(u64, Key)>,
    /// Numbers of the uploads with the same mapper. An equal record of another upload is staged anew, so that it names the
    /// mapper that has confirmed it. None keeps every equal record.
    pub same_mapper: Option<&'a HashSet<u32>>,
}

impl SourceRecord<'_> {
    /// Returns true if an equal record of this upload stays as it is.
    fn keeps(&self, upload: u32) -> bool {
        self.same_mapper.is_none_or(|uploads| uploads.contains(&upload))
    }
}

/// A domain record that was not made by a mapper.
#[derive(Clone, Debug)]
pub struct DirectRecord<'a> {
    /// Origin of the record.
    pub origin: Origin,
    /// Reference id.
    pub id: Key,
    /// The record.
    pub body: &'a [u8],
}

/// Effect of staging one record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// The record is new.
    New,
    /// The record replaced an older version.
    Replaced,
    /// The same record is staged already.
    Unchanged,
    /// Another record of the same upload has this key. The first one is kept.
    DuplicateKey,
    /// A record made from another source record has one of its reference ids. None of its products is staged.
    DuplicateReferenceId,
}

impl Effect {
    /// Returns true if the staging area has changed. A refused record changes it as well: it is kept once, as rejected.
    pub fn changes(self) -> bool {
        !matches!(self, Effect::Unchanged)
    }
}

impl Transaction<'_> {
    pub(crate) fn stage_direct(
        &mut self,
        stream: u16,
        upload: u32,
        record: &DirectRecord,
    ) -> Result<Effect, StagingError> {
        let hashed = hash(&[record.body]);
        let existing = self.latest(stream, record.id)?;
        if let Some(ordinal) = existing {
            if self.meta(stream, ordinal)?.hash == hashed {
                return Ok(Effect::Unchanged);
            }
            self.delete(stream, ordinal);
        }
        let (key, origin, body) = (record.id, record.origin, record.body);
        self.add(stream, StreamEntry { key, hash: hashed, origin, upload, status: 0, body }, EntryDetail::None)?;
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
        // A record without a key gets one from its content, so that it is kept once however often it is uploaded.
        let key = record.key.unwrap_or_else(|| refused_key(hashed, record.code.as_bytes(), Origin::Line(record.line)));
        let latest = self.latest(stream, key)?;
        let existing = record.replaces.map(|(ordinal, _)| ordinal).or(latest);
        let mut confirmed = false;
        let mut products = vec![];
        for product in &record.products {
            products.push((self.stream(StreamName::Records(product.entity_type))?, product, hash(&[product.body])));
        }
        let mut entry = StreamEntry {
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
                if record.keeps(meta.upload) {
                    return Ok((Effect::Unchanged, old));
                }
                confirmed = true;
            }
            if record.replaces.is_none() && meta.upload == upload {
                return self.refuse_duplicate(stream, entry);
            }
            self.delete(stream, old);
            for &ProductRef { stream: product_stream, id } in meta.detail.products() {
                if let Some(ordinal) = self.latest(product_stream, id)?
                    && self.meta(product_stream, ordinal)?.origin == (Origin::Source { stream, ordinal: old })
                {
                    self.delete(product_stream, ordinal);
                }
            }
            // A record that is mapped again under another key can meet an entry with that key. The first one is kept.
            if latest.is_some_and(|latest| latest != old) {
                return self.refuse_duplicate(stream, entry);
            }
        }
        let replaced = self.replaced_records(&products)?;
        let detail = if replaced.is_none() {
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
        let Some(replaced) = replaced else { return Ok((Effect::DuplicateReferenceId, ordinal)) };
        for ((product_stream, product, hash), direct) in products.into_iter().zip(replaced) {
            if let Some(direct) = direct {
                self.delete(product_stream, direct);
            }
            let (origin, body) = (Origin::Source { stream, ordinal }, product.body);
            let entry = StreamEntry { key: product.id, hash, origin, upload, status: 0, body };
            self.add(product_stream, entry, EntryDetail::None)?;
        }
        let effect = match existing {
            // The record has the same contents and the same result.
            _ if confirmed => Effect::Unchanged,
            Some(_) => Effect::Replaced,
            None => Effect::New,
        };
        Ok((effect, ordinal))
    }

    /// Keeps a record with the key of another record, as rejected.
    fn refuse_duplicate(&mut self, stream: u16, entry: StreamEntry) -> Result<(Effect, u64), StagingError> {
        const CODE: &str = "DUPLICATE_KEY";
        let key = refused_key(entry.hash, CODE.as_bytes(), entry.origin);
        let ordinal = match self.latest(stream, key)? {
            Some(ordinal) => ordinal,
            None => {
                let entry = StreamEntry { key, status: SourceStatus::Rejected as u8, ..entry };
                self.add(stream, entry, EntryDetail::Code(CODE.to_owned()))?
            }
        };
        Ok((Effect::DuplicateKey, ordinal))
    }

    /// Returns true if the record has the same result as before, and all records made from it are still staged.
    fn same_outcome(
        &self,
        record: &SourceRecord,
        products: &[(u16, &Product, Key)],
        meta: &EntryMetadata,
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

    /// Returns for each product the directly uploaded record with its reference id, which the product replaces. Returns
    /// `None` if a record made from another source record has one of the ids, or two products have the same id.
    fn replaced_records(&self, products: &[(u16, &Product, Key)]) -> Result<Option<Vec<Option<u64>>>, StagingError> {
        let (mut own, mut replaced) = (HashSet::new(), Vec::with_capacity(products.len()));
        for (stream, product, _) in products {
            if products.len() > 1 && !own.insert((*stream, product.id)) {
                return Ok(None);
            }
            let latest = self.latest(*stream, product.id)?;
            if let Some(ordinal) = latest
                && matches!(self.meta(*stream, ordinal)?.origin, Origin::Source { .. })
            {
                return Ok(None);
            }
            replaced.push(latest);
        }
        Ok(Some(replaced))
    }
}

impl StagingArea {
    /// Stages domain records. Returns the effect of each, in order.
    pub fn stage_records(
        &self,
        entity_type: &str,
        upload: u32,
        records: &[DirectRecord],
    ) -> Result<Vec<Effect>, StagingError> {
        self.transaction(|transaction| {
            let stream = transaction.stream(StreamName::Records(entity_type))?;
            records.iter().map(|record| transaction.stage_direct(stream, upload, record)).collect()
        })
    }

    /// Stages source records and the records made from them. Returns the effect of each, in order.
    ///
    /// `fields` are the fields by which the records can be looked up, besides their key. `seen` has the length of each
    /// source that the mapper could look up when it was given the records as one batch.
    pub fn stage_sources(
        &self,
        source: &str,
        fields: &[String],
        upload: u32,
        seen: &SourceLengths,
        records: &[SourceRecord],
    ) -> Result<Vec<Effect>, StagingError> {
        // Checked before the transaction, because a failed transaction closes the area.
        if records.iter().any(|record| record.products.len() > MAX_PRODUCTS) {
            return Err(StagingError::TooLarge { part: "the list of records made from a source record" });
        }
        self.transaction(|transaction| {
            let stream = transaction.stream(StreamName::Source(source))?;
            // Indexes by other fields are not updated. They catch up when they are opened again.
            transaction.inner.indexes[stream as usize].retain_fields(fields);
            for field in fields {
                transaction.inner.open_index(stream, field)?;
            }
            let first = transaction.inner.streams[stream as usize].length;
            let (mut effects, mut members) = (Vec::with_capacity(records.len()), vec![]);
            for record in records {
                let (effect, ordinal) = transaction.stage_source(stream, fields, upload, record)?;
                if record.given {
                    members.push(BatchMember { ordinal, offset: record.offset });
                }
                effects.push(effect);
            }
            if members.iter().any(|member| member.ordinal >= first) {
                transaction.add_batch(source, upload, seen, first, &members)?;
            }
            Ok(effects)
        })
    }

    /// Returns the entity type and the reference id of each record made from a source record.
    pub fn products(&self, entry: &StagedEntry) -> Result<Vec<(String, Key)>, StagingError> {
        let inner = self.read_inner()?;
        let name = |stream: u16| inner.streams.get(stream as usize)?.name.strip_prefix("records/");
        let products = entry.detail.products().iter();
        Ok(products.filter_map(|product| Some((name(product.stream)?.to_owned(), product.id))).collect())
    }

    /// Deletes records. Returns for each whether it was staged.
    pub fn delete_records(&self, entity_type: &str, ids: &[Key]) -> Result<Vec<bool>, StagingError> {
        self.transaction(|transaction| {
            let Some(stream) = transaction.inner.number(StreamName::Records(entity_type)) else {
                return Ok(vec![false; ids.len()]);
            };
            transaction.inner.open_index(stream, OWN_KEY)?;
            let mut deleted = vec![];
            for id in ids {
                let found = transaction.latest(stream, *id)?;
                found.iter().for_each(|ordinal| transaction.delete(stream, *ordinal));
                deleted.push(found.is_some());
            }
            Ok(deleted)
        })
    }
}

/// Returns the key of a rejected record without a key of its own: a hash of its body and the reason, or of its line if
/// the body was too long to be kept. The same record is found by it when it is uploaded again.
fn refused_key(body: Key, code: &[u8], origin: Origin) -> Key {
    let line = match origin {
        Origin::Line(line) if body == hash(&[]) => line,
        _ => 0,
    };
    hash(&[b"refused\0", &body, &line.to_le_bytes(), code])
}

/// Returns true if an entry of a source was rejected because it has no key, or because another record has its key.
pub(crate) fn is_keyless(entry: &StreamEntry, code: &[u8]) -> bool {
    // Earlier versions wrote zeros for all such records.
    let rejected = || entry.status == SourceStatus::Rejected as u8;
    entry.key == [0; 16] || (rejected() && entry.key == refused_key(entry.hash, code, entry.origin))
}

impl StagedEntry {
    /// Returns true if it is a source record that was rejected because it has no key, or because another record has its
    /// key.
    pub fn is_keyless(&self) -> bool {
        let Self { key, hash, origin, upload, status, .. } = *self;
        let code = self.code().unwrap_or_default().as_bytes();
        is_keyless(&StreamEntry { key, hash, origin, upload, status, body: &[] }, code)
    }

    /// Returns the code of a source record that was skipped, rejected or quarantined.
    pub fn code(&self) -> Option<&str> {
        self.detail.code()
    }

    /// Returns the line in its upload, from 1; 0 if it has none.
    pub fn line(&self) -> u64 {
        if let Origin::Line(line) = self.origin { line } else { 0 }
    }

    /// Returns the result, if it is a source record.
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
        SourceRecord { line: 1, offset, given, key, lookups, body, status, code, products, replaces, same_mapper: None }
    }

    /// A record that is mapped again replaces its own entry, whatever its key is now. Two records that get the same key
    /// are told apart.
    #[test]
    fn replaced_by_place() {
        let held = tempfile::tempdir().unwrap();
        let dir = cap_std::fs::Dir::open_ambient_dir(held.path(), cap_std::ambient_authority()).unwrap();
        let area = StagingArea::open(dir, held.path().into(), Sealer::new(&[7; 32]), 0).unwrap();
        let stage = |upload, records: &[SourceRecord]| {
            area.stage_sources("table", &[], upload, &SourceLengths::new(), records).unwrap()
        };
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
