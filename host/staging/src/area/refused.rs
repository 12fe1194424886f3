//! Refused records without a key of their own. They are kept so that they are counted and can be corrected.

use crate::area::transaction::Transaction;
use crate::journal::block::{Origin, SourceStatus, StreamEntry};
use crate::streams::registry::OWN_KEY;
use crate::{EntryDetail, Key, StagingError, StreamName, UploadEntries, hash};

/// Bytes of a refused record's key that say what was refused. The rest numbers equal records of one upload.
const CONTENT_BYTES: usize = 12;

impl Transaction<'_> {
    /// Returns the number of a stream with live entries, and opens its index. Returns `None` for any other stream.
    pub(crate) fn live_stream(&mut self, name: StreamName) -> Result<Option<u16>, StagingError> {
        let Some(number) = self.inner.number(name) else { return Ok(None) };
        if self.inner.streams[number as usize].live() == 0 {
            return Ok(None);
        }
        self.inner.open_index(number, OWN_KEY)?;
        Ok(Some(number))
    }

    /// Returns the key of a refused record, and the entry of an earlier upload with this key. `first` is the key of the
    /// first such record in the upload. Equal records of one upload get different keys, the same in each upload.
    pub(crate) fn place_refused(
        &mut self,
        stream: u16,
        entries: &mut UploadEntries,
        first: Key,
    ) -> Result<(Key, Option<u64>), StagingError> {
        let mut repeats = entries.repeats(stream, first);
        if repeats == 0 {
            let latest = self.latest(stream, first)?;
            let passed = match latest {
                Some(ordinal) => entries.has_passed(stream, ordinal, &self.meta(stream, ordinal)?),
                None => false,
            };
            if !passed {
                return Ok((first, latest));
            }
            repeats = 1;
        }
        repeats += 1;
        entries.note_repeats(stream, first, repeats);
        let key = repeated_key(first, repeats);
        Ok((key, self.latest(stream, key)?))
    }

    /// Keeps a record without a key of its own, as rejected with this code. Returns its ordinal, and true if it was not
    /// kept before.
    pub(crate) fn keep_refused(
        &mut self,
        stream: u16,
        entries: &mut UploadEntries,
        entry: StreamEntry,
        code: &str,
    ) -> Result<(u64, bool), StagingError> {
        let first = refused_key(entry.hash, code.as_bytes(), entry.origin);
        let (key, existing) = self.place_refused(stream, entries, first)?;
        if let (Some(ordinal), Origin::Line(line)) = (existing, entry.origin) {
            let meta = self.meta(stream, ordinal)?;
            entries.pass_unchanged(stream, ordinal, &meta, line);
            return Ok((ordinal, false));
        }
        let entry = StreamEntry { key, status: SourceStatus::Rejected as u8, ..entry };
        Ok((self.add(stream, entry, EntryDetail::Code(code.to_owned()))?, true))
    }
}

/// Returns the key of a rejected record without a key of its own: a hash of its body and the reason, or of its line if
/// the body was too long to be kept. The same record is found by it when it is uploaded again.
pub(crate) fn refused_key(body: Key, code: &[u8], origin: Origin) -> Key {
    let line = match origin {
        Origin::Line(line) if body == hash(&[]) => line,
        _ => 0,
    };
    hash(&[b"refused\0", &body, &line.to_le_bytes(), code])
}

/// Returns the key of a refused record that is the same as others of its upload: the second, the third and so on.
fn repeated_key(first: Key, repeats: u64) -> Key {
    let (content, number) = first.split_at(CONTENT_BYTES);
    let number = u32::from_le_bytes(number.try_into().expect("4 bytes"));
    let [low, second, third, fourth, ..] = (repeats - 1).to_le_bytes();
    let number = number ^ u32::from_le_bytes([low, second, third, fourth]);
    let mut key = first;
    key[..CONTENT_BYTES].copy_from_slice(content);
    key[CONTENT_BYTES..].copy_from_slice(&number.to_le_bytes());
    key
}

/// Returns true if an entry was rejected because it has no key, or because another record has its key.
pub(crate) fn is_keyless(entry: &StreamEntry, code: &[u8]) -> bool {
    // Earlier versions wrote zeros for all such records.
    let rejected = || [SourceStatus::Rejected as u8, SourceStatus::Skipped as u8].contains(&entry.status);
    let content = |key: Key| key.first_chunk::<CONTENT_BYTES>().copied();
    entry.key == [0; 16] || (rejected() && content(entry.key) == content(refused_key(entry.hash, code, entry.origin)))
}
