//! Staging of source records and of the records made from them: replacement of older versions, and refusal of
//! duplicates.

use hashbrown::HashSet;

use crate::area::batches::{BatchMember, SourceLengths};
use crate::area::refused::{is_keyless, refused_key};
use crate::area::transaction::{EntryMetadata, Transaction};
use crate::journal::block::{Origin, SourceStatus, StreamEntry};
use crate::journal::detail::MAX_PRODUCTS;
use crate::{
    EntryDetail, Key, ProductRef, StagedEntry, StagingArea, StagingError, StreamName, SupersededEntry, UploadEntries,
    UploadedForm, hash,
};

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
    /// Hash of the key that a record without a readable key probably has. A later record with this key replaces it.
    pub probable_key: Option<Key>,
    /// Hashes of the further fields by which it can be looked up, in the order of the source's description.
    pub lookups: Vec<Option<Key>>,
    /// The record, as it was uploaded.
    pub body: &'a [u8],
    /// Result of the record.
    pub status: SourceStatus,
    /// Code of the reason, unless it was mapped.
    pub code: &'a str,
    /// Notes about the record, which are returned when it is superseded. Empty if there are none.
    pub notes: &'a [u8],
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

/// Code of a record whose reference id, or that of a record made from it, another record has.
pub(crate) const ID_IN_USE: &str = "DUPLICATE_REFERENCE_ID";

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
    DuplicateKey {
        /// Line of the first one, if it is known.
        first: Option<u64>,
        /// True if the refused record was not kept before.
        new: bool,
    },
    /// Another record has its reference id, or the id of a record made from it. The first one is kept, and nothing of
    /// this one is staged.
    DuplicateReferenceId {
        /// Line of the first one, if it is a record of the same upload and its line is known.
        first: Option<u64>,
        /// True if the refused record was not kept before.
        new: bool,
    },
}

/// Effects of staging records.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct StagingEffects {
    /// Effect of each record, in order.
    pub effects: Vec<Effect>,
    /// Entries with issues that were replaced or deleted.
    pub superseded: Vec<SupersededEntry>,
}

impl Effect {
    /// Returns true if the staging area has changed. A refused record changes it as well: it is kept once, as rejected.
    pub fn changes(self) -> bool {
        use Effect::{DuplicateKey, DuplicateReferenceId, Unchanged};
        !matches!(self, Unchanged | DuplicateKey { new: false, .. } | DuplicateReferenceId { new: false, .. })
    }
}

impl Transaction<'_> {
    fn stage_source(
        &mut self,
        place: &SourcePlace,
        entries: &mut UploadEntries,
        record: &SourceRecord,
    ) -> Result<(Effect, u64), StagingError> {
        let (stream, upload) = (place.stream, entries.number());
        let (hashed, origin) = (hash(&[record.body]), Origin::Line(record.line));
        let (key, latest) = match record.key {
            Some(key) => (key, self.latest(stream, key)?),
            // A record without a key gets one from its content, so that it is kept once however often it is uploaded.
            None => self.place_refused(stream, entries, refused_key(hashed, record.code.as_bytes(), origin))?,
        };
        let existing = record.replaces.map(|(ordinal, _)| ordinal).or(latest);
        let mut confirmed = false;
        let mut products = vec![];
        for product in &record.products {
            products.push((self.stream(StreamName::Records(product.entity_type))?, product, hash(&[product.body])));
        }
        let (status, notes, body) = (record.status as u8, record.notes, record.body);
        let mut entry = StreamEntry { key, hash: hashed, origin, upload, status, notes, body };
        if let Some(old) = existing {
            let meta = self.meta(stream, old)?;
            if record.replaces.is_none() && entries.has_passed(stream, old, &meta) {
                if record.status == SourceStatus::Rejected {
                    // It is refused for its own errors.
                    let (ordinal, new) = self.keep_refused(stream, entries, entry, record.code)?;
                    return Ok((if new { Effect::New } else { Effect::Unchanged }, ordinal));
                }
                let first = entries.line_of(stream, old, &meta);
                return self.refuse_duplicate(stream, entries, entry, first);
            }
            let same_key = record.replaces.is_none_or(|(_, old)| old == key);
            if same_key && meta.hash == hashed && self.same_outcome(record, &products, &meta)? {
                if record.keeps(meta.upload) {
                    if record.replaces.is_none() {
                        entries.pass_unchanged(stream, old, &meta, record.line);
                    }
                    return Ok((Effect::Unchanged, old));
                }
                confirmed = true;
            }
            let refused_before = meta.status == SourceStatus::Rejected as u8 && meta.detail.code() == Some(ID_IN_USE);
            if same_key
                && meta.hash == hashed
                && refused_before
                && let Err(first) = self.replaced_records(entries, stream, &products)?
            {
                entries.pass_unchanged(stream, old, &meta, record.line);
                return Ok((Effect::DuplicateReferenceId { first, new: false }, old));
            }
            // The issues of a confirmed record still count.
            if confirmed {
                self.delete(stream, old);
            } else {
                self.supersede(stream, old, &meta);
            }
            for &ProductRef { stream: product_stream, id } in meta.detail.products() {
                if let Some(ordinal) = self.latest(product_stream, id)?
                    && self.meta(product_stream, ordinal)?.origin == (Origin::Source { stream, ordinal: old })
                {
                    self.delete(product_stream, ordinal);
                }
            }
            // A record that is mapped again under another key can meet an entry with that key. The first one is kept.
            if latest.is_some_and(|latest| latest != old) {
                return self.refuse_duplicate(stream, entries, entry, None);
            }
        }
        if let (Some(probable), Some(key)) = (place.probable_keys, record.key) {
            self.replace_refused(stream, probable, entries, key)?;
        }
        let replaced = self.replaced_records(entries, stream, &products)?;
        let detail = if replaced.is_err() {
            entry.status = SourceStatus::Rejected as u8;
            EntryDetail::Code(ID_IN_USE.to_owned())
        } else if record.status == SourceStatus::Mapped {
            EntryDetail::Products(
                products.iter().map(|&(stream, Product { id, .. }, _)| ProductRef { stream, id: *id }).collect(),
            )
        } else {
            EntryDetail::Code(record.code.to_owned())
        };
        let ordinal = self.add(stream, entry, detail)?;
        for (field, key) in place.fields.iter().zip(&record.lookups) {
            if let Some(key) = key {
                self.index_mut(stream, field).insert(*key, ordinal);
            }
        }
        if let Some(key) = record.probable_key {
            self.note_probable_key(place, entries, key, ordinal)?;
        }
        let replaced = match replaced {
            Ok(replaced) => replaced,
            Err(first) => return Ok((Effect::DuplicateReferenceId { first, new: true }, ordinal)),
        };
        for ((product_stream, product, hash), direct) in products.into_iter().zip(replaced) {
            if let Some(direct) = direct {
                let meta = self.meta(product_stream, direct)?;
                self.supersede(product_stream, direct, &meta);
            }
            let (origin, body) = (Origin::Source { stream, ordinal }, product.body);
            let entry = StreamEntry { key: product.id, hash, origin, upload, status: 0, notes: b"", body };
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
    fn refuse_duplicate(
        &mut self,
        stream: u16,
        entries: &mut UploadEntries,
        entry: StreamEntry,
        first: Option<u64>,
    ) -> Result<(Effect, u64), StagingError> {
        let (ordinal, new) = self.keep_refused(stream, entries, entry, "DUPLICATE_KEY")?;
        Ok((Effect::DuplicateKey { first, new }, ordinal))
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

    /// Returns for each product the directly uploaded record with its reference id, which the product replaces. If a
    /// record made from another source record has one of the ids, returns that record's line in the same upload as the
    /// error, if it is one of the same upload. Two products with the same id are an error without a line.
    fn replaced_records(
        &self,
        entries: &UploadEntries,
        stream: u16,
        products: &[(u16, &Product, Key)],
    ) -> Result<Result<Vec<Option<u64>>, Option<u64>>, StagingError> {
        let (mut own, mut replaced) = (HashSet::new(), Vec::with_capacity(products.len()));
        for (product_stream, product, _) in products {
            if products.len() > 1 && !own.insert((*product_stream, product.id)) {
                return Ok(Err(None));
            }
            let latest = self.latest(*product_stream, product.id)?;
            if let Some(ordinal) = latest
                && let Origin::Source { stream: of, ordinal } = self.meta(*product_stream, ordinal)?.origin
            {
                let other = if of == stream { Some(self.meta(stream, ordinal)?) } else { None };
                let other = other.filter(|other| entries.has_passed(stream, ordinal, other));
                return Ok(Err(other.and_then(|other| entries.line_of(stream, ordinal, &other))));
            }
            replaced.push(latest);
        }
        Ok(Ok(replaced))
    }
}

/// The streams of a source to which records are staged.
struct SourcePlace<'a> {
    /// Name of the source.
    source: &'a str,
    /// Number of its stream.
    stream: u16,
    /// Fields by which its records can be looked up.
    fields: &'a [String],
    /// Number of the stream of probable keys, if refused records with such keys are staged.
    probable_keys: Option<u16>,
}

impl Transaction<'_> {
    /// Notes the key that a refused record probably has.
    fn note_probable_key(
        &mut self,
        place: &SourcePlace,
        entries: &UploadEntries,
        key: Key,
        ordinal: u64,
    ) -> Result<(), StagingError> {
        let probable = self.stream(StreamName::ProbableKeys(place.source))?;
        let origin = Origin::Source { stream: place.stream, ordinal };
        let (hash, upload) = ([0; 16], entries.number());
        let entry = StreamEntry { key, hash, origin, upload, status: 0, notes: b"", body: b"" };
        self.add(probable, entry, EntryDetail::None).map(drop)
    }

    /// Deletes the refused records of earlier uploads that probably have this key.
    fn replace_refused(
        &mut self,
        stream: u16,
        probable: u16,
        entries: &UploadEntries,
        key: Key,
    ) -> Result<(), StagingError> {
        while let Some(pointer) = self.latest(probable, key)? {
            if let Origin::Source { ordinal, .. } = self.meta(probable, pointer)?.origin
                && self.inner.streams[stream as usize].lives(ordinal)
            {
                let meta = self.meta(stream, ordinal)?;
                if entries.has_passed(stream, ordinal, &meta) {
                    return Ok(());
                }
                self.supersede(stream, ordinal, &meta);
            }
            self.delete(probable, pointer);
        }
        Ok(())
    }
}

impl StagingArea {
    /// Stages source records and the records made from them.
    ///
    /// `fields` are the fields by which the records can be looked up, besides their key. `seen` has the length of each
    /// source that the mapper could look up when it was given the records as one batch. `uploaded` has the form in which
    /// the records were uploaded, if it cannot be told from their bodies.
    pub fn stage_sources(
        &self,
        source: &str,
        fields: &[String],
        entries: &mut UploadEntries,
        seen: &SourceLengths,
        records: &[SourceRecord],
        uploaded: Option<&UploadedForm>,
    ) -> Result<StagingEffects, StagingError> {
        // Checked before the transaction, because a failed transaction closes the area.
        self.check_room()?;
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
            let probable_keys = transaction.live_stream(StreamName::ProbableKeys(source))?;
            let place = SourcePlace { source, stream, fields, probable_keys };
            let (mut effects, mut members, mut forms) = (Vec::with_capacity(records.len()), vec![], vec![]);
            for (position, record) in records.iter().enumerate() {
                let (effect, ordinal) = transaction.stage_source(&place, entries, record)?;
                if let Some(form) = uploaded.and_then(|uploaded| uploaded.forms.get(position))
                    && ordinal >= first
                {
                    forms.push((ordinal, form));
                }
                if record.given {
                    members.push(BatchMember { ordinal, offset: record.offset });
                }
                effects.push(effect);
            }
            if members.iter().any(|member| member.ordinal >= first) {
                transaction.add_batch(source, entries.number(), seen, first, &members)?;
            }
            if let Some(uploaded) = uploaded {
                transaction.add_originals(source, entries.number(), &uploaded.format, &forms)?;
            }
            Ok(StagingEffects { effects, superseded: transaction.take_superseded() })
        })
    }

    /// Returns the entity type and the reference id of each record made from a source record.
    pub fn products(&self, entry: &StagedEntry) -> Result<Vec<(String, Key)>, StagingError> {
        let inner = self.read_inner()?;
        let name = |stream: u16| inner.streams.get(stream as usize)?.name.strip_prefix("records/");
        let products = entry.detail.products().iter();
        Ok(products.filter_map(|product| Some((name(product.stream)?.to_owned(), product.id))).collect())
    }
}

impl StagedEntry {
    /// Returns true if it is a source record that was rejected because it has no key, or because another record has its
    /// key.
    pub fn is_keyless(&self) -> bool {
        let Self { key, hash, origin, upload, status, .. } = *self;
        let code = self.code().unwrap_or_default().as_bytes();
        is_keyless(&StreamEntry { key, hash, origin, upload, status, notes: &[], body: &[] }, code)
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
        let (line, probable_key, notes, same_mapper) = (1, None, &b""[..], None);
        SourceRecord {
            line,
            offset,
            given,
            key,
            probable_key,
            lookups,
            body,
            status,
            code,
            notes,
            products,
            replaces,
            same_mapper,
        }
    }

    /// A record that is mapped again replaces its own entry, whatever its key is now. Two records that get the same key
    /// are told apart.
    #[test]
    fn replaced_by_place() {
        let held = tempfile::tempdir().unwrap();
        let dir = cap_std::fs::Dir::open_ambient_dir(held.path(), cap_std::ambient_authority()).unwrap();
        let area = StagingArea::open(dir, held.path().into(), Sealer::new(&[7; 32]), 0).unwrap();
        let stage = |upload, records: &[SourceRecord]| {
            let mut entries = UploadEntries::new(upload);
            area.stage_sources("table", &[], &mut entries, &SourceLengths::new(), records, None).unwrap().effects
        };
        let entries = || {
            let mut batch = StagedBatch::default();
            area.reader(StreamName::Source("table"), 0).unwrap().next_batch(&mut batch, 100, 1_000).unwrap();
            batch.entries.iter().map(|entry| (entry.ordinal, entry.key, entry.is_keyless())).collect::<Vec<_>>()
        };
        use Effect::*;
        assert_eq!(stage(1, &[record(Some(1), "a", None), record(Some(2), "b", None)]), [New, New]);
        // Equal records count each time in one upload, and once however often the upload is repeated.
        assert_eq!(stage(2, &[record(None, "x", None), record(None, "x", None)]), [New, New]);
        assert_eq!(stage(3, &[record(None, "x", None), record(None, "y", None)]), [Unchanged, New]);
        let again = [record(None, "x", None), record(None, "x", None), record(None, "x", None)];
        assert_eq!(stage(4, &again), [Unchanged, Unchanged, New]);
        assert_eq!(stage(5, &again), [Unchanged, Unchanged, Unchanged]);
        let keyless: Vec<bool> = entries().into_iter().map(|(.., keyless)| keyless).collect();
        assert_eq!(keyless, [false, false, true, true, true, true]);

        let (one, two) = ([1; 16], [2; 16]);
        assert_eq!(stage(6, &[record(Some(1), "a", Some((0, one)))]), [Unchanged]);
        assert_eq!(stage(6, &[record(Some(9), "a", Some((0, one)))]), [Replaced]);
        assert_eq!(stage(6, &[record(Some(9), "b", Some((1, two)))]), [DuplicateKey { first: None, new: true }]);
        let found = entries();
        assert_eq!(found.len(), 6, "{found:?}");
        assert_eq!(found.iter().filter(|(_, key, keyless)| *key == [9; 16] && !keyless).count(), 1, "{found:?}");
        assert_eq!(found.iter().filter(|(.., keyless)| *keyless).count(), 5, "{found:?}");
    }
}
