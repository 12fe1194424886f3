//! The form in which the records of a source were uploaded: for each batch its format, and for each record how its bytes
//! are found.
//!
//! ```text
//! format length 4 · format · first ordinal 8 · records × (difference of the ordinal · kind 1 · (length · bytes)?)
//! ```
//! Equal kinds of consecutive records are one entry: its kind has the number of further records added to it.

use crate::area::batches::{put, take};
use crate::area::transaction::Transaction;
use crate::journal::block::{Origin, StreamEntry};
use crate::{EntryDetail, StagingArea, StagingError, StreamName};

/// The way in which the bytes of an uploaded record are found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OriginalForm {
    /// The body is the record as it was uploaded.
    Body,
    /// The fields are joined without quotes.
    Plain,
    /// The fields are joined with a quote around each.
    Quoted,
    /// The bytes are kept.
    Bytes(Vec<u8>),
}

/// The form of the records of a batch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UploadedForm {
    /// Format of the upload, as the caller reads it.
    pub format: Vec<u8>,
    /// Form of each record, in order.
    pub forms: Vec<OriginalForm>,
}

/// Number of kinds.
const KINDS: u64 = 4;

impl OriginalForm {
    fn kind(&self) -> u64 {
        match self {
            OriginalForm::Body => 0,
            OriginalForm::Plain => 1,
            OriginalForm::Quoted => 2,
            OriginalForm::Bytes(_) => 3,
        }
    }
}

/// Encodes the forms of these ordinals, ascending.
fn encode(format: &[u8], forms: &[(u64, &OriginalForm)]) -> Option<Vec<u8>> {
    let (first, _) = forms.first()?;
    let mut out = u32::try_from(format.len()).ok()?.to_le_bytes().to_vec();
    out.extend_from_slice(format);
    out.extend_from_slice(&first.to_le_bytes());
    let (mut next, mut rest) = (*first, forms);
    while let Some(((ordinal, form), _)) = rest.split_first() {
        let bytes = matches!(form, OriginalForm::Bytes(_));
        let alike = |(index, (other, of)): (usize, &(u64, &OriginalForm))| {
            *other == ordinal + index as u64 && of.kind() == form.kind() && (index == 0 || !bytes)
        };
        let run = rest.iter().enumerate().take_while(|(index, item)| alike((*index, item))).count();
        put(ordinal - next, &mut out);
        put(form.kind() + KINDS * (run as u64 - 1), &mut out);
        if let OriginalForm::Bytes(bytes) = form {
            put(bytes.len() as u64, &mut out);
            out.extend_from_slice(bytes);
        }
        next = ordinal + run as u64;
        rest = &rest[run..];
    }
    Some(out)
}

/// The decoded forms of a batch.
struct DecodedForms {
    format: Vec<u8>,
    forms: Vec<(u64, OriginalForm)>,
}

fn decode(body: &[u8]) -> Option<DecodedForms> {
    let (length, rest) = body.split_first_chunk::<4>()?;
    let (format, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
    let (first, mut rest) = rest.split_first_chunk::<8>()?;
    let (mut next, mut forms) = (u64::from_le_bytes(*first), vec![]);
    while !rest.is_empty() {
        next += take(&mut rest)?;
        let kind = take(&mut rest)?;
        for _ in 0..=kind / KINDS {
            let form = match kind % KINDS {
                0 => OriginalForm::Body,
                1 => OriginalForm::Plain,
                2 => OriginalForm::Quoted,
                _ => {
                    let length = usize::try_from(take(&mut rest)?).ok()?;
                    let (bytes, after) = rest.split_at_checked(length)?;
                    rest = after;
                    OriginalForm::Bytes(bytes.to_vec())
                }
            };
            forms.push((next, form));
            next += 1;
        }
    }
    Some(DecodedForms { format: format.to_vec(), forms })
}

impl Transaction<'_> {
    /// Keeps the form of the records that became new entries.
    pub(crate) fn add_originals(
        &mut self,
        source: &str,
        upload: u32,
        format: &[u8],
        forms: &[(u64, &OriginalForm)],
    ) -> Result<(), StagingError> {
        let Some(body) = encode(format, forms) else { return Ok(()) };
        let stream = self.stream(StreamName::Originals(source))?;
        let (key, hash, origin) = ([0; 16], [0; 16], Origin::Line(0));
        let entry = StreamEntry { key, hash, origin, upload, status: 0, notes: b"", body: &body };
        self.add(stream, entry, EntryDetail::None).map(drop)
    }
}

/// A reader of the forms of a source's records, by ascending ordinal.
pub struct OriginalReader<'a> {
    area: &'a StagingArea,
    source: &'a str,
    next: u64,
    end: u64,
    current: Option<DecodedForms>,
    /// Number of forms of the current batch that were passed.
    passed: usize,
}

impl StagingArea {
    /// Returns a reader of the forms in which the records of a source were uploaded.
    pub fn originals<'a>(&'a self, source: &'a str) -> Result<OriginalReader<'a>, StagingError> {
        let end = self.length(StreamName::Originals(source))?;
        Ok(OriginalReader { area: self, source, next: 0, end, current: None, passed: 0 })
    }
}

impl OriginalReader<'_> {
    /// Returns the format and the form of an entry. Returns `None` if nothing was kept for it. Each call has a greater
    /// ordinal than the one before.
    pub fn of(&mut self, ordinal: u64) -> Result<Option<(&[u8], &OriginalForm)>, StagingError> {
        loop {
            let last = self.current.as_ref().and_then(|current| current.forms.last());
            if last.is_some_and(|(last, _)| *last >= ordinal) {
                break;
            }
            if self.next == self.end {
                return Ok(None);
            }
            let damaged = StagingError::Damaged { what: "an original", segment: 0, offset: self.next };
            let entry = self.area.entry(StreamName::Originals(self.source), self.next)?;
            self.current = Some(entry.and_then(|(_, body)| decode(&body)).ok_or(damaged)?);
            self.passed = 0;
            self.next += 1;
        }
        let Some(current) = &self.current else { return Ok(None) };
        while current.forms[self.passed].0 < ordinal {
            self.passed += 1;
        }
        let (found, form) = &current.forms[self.passed];
        Ok((*found == ordinal).then_some((&*current.format, form)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_read_back() {
        use OriginalForm::{Body, Bytes, Plain, Quoted};
        let cases: [Vec<(u64, OriginalForm)>; 4] = [
            vec![(7, Plain)],
            vec![(0, Body), (1, Plain), (2, Plain), (3, Plain), (9, Plain), (10, Quoted)],
            vec![(5, Bytes(b"a;\"b\"".to_vec())), (6, Bytes(vec![])), (8, Bytes(b"c".to_vec()))],
            (0..1_000).map(|ordinal| (ordinal, Plain)).collect(),
        ];
        for forms in cases {
            let borrowed: Vec<(u64, &OriginalForm)> = forms.iter().map(|(ordinal, form)| (*ordinal, form)).collect();
            let encoded = encode(b"format\nhead", &borrowed).unwrap();
            let decoded = decode(&encoded).unwrap();
            assert_eq!((&*decoded.format, decoded.forms), (&b"format\nhead"[..], forms));
            for cut in 0..encoded.len().min(60) {
                // A truncated batch is invalid or has fewer records.
                let _ = decode(&encoded[..cut]);
            }
        }
        assert_eq!(encode(b"format", &[]), None);
        let many: Vec<(u64, &OriginalForm)> = (0..1_000).map(|ordinal| (ordinal, &Plain)).collect();
        assert!(encode(b"", &many).unwrap().len() < 20, "equal forms are one entry");
    }
}
