//! Source records, and the records that a batch has looked up.

use std::cell::Cell;
use std::collections::{HashMap, HashSet};
use std::fmt::{Display, Write};
use std::ops::Range;

use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::bindings::types::Context;
use crate::member_search::MemberFinder;
use crate::{BatchBuilder, Finding, Id, batch, finding, lookup, reference_id};

/// A source record, with access to the records that its batch has looked up.
pub struct Record<'a> {
    /// Source of the record.
    pub source: &'a str,
    /// The record as it was uploaded: one JSON object in UTF-8 if it is well-formed.
    pub body: &'a [u8],
    /// The body as text if it is UTF-8. Checked once, so that each read of the record need not check it again.
    pub(crate) text: Option<&'a str>,
    /// Context of the call.
    pub(crate) context: &'a Context,
    /// Results of the batch's lookups.
    pub(crate) results: &'a LookupResults,
}

impl<'a> Record<'a> {
    /// Reads the record as `T`. An [`Amount`](crate::Amount) keeps all digits of a number, and `&RawValue` keeps any
    /// value as it was written. `serde_json::Value` and `f64` round a number to a double.
    ///
    /// # Errors
    ///
    /// `INVALID_ENCODING` or `INVALID_JSON` if the record is not UTF-8 or not JSON. `MISSING_REQUIRED_FIELD` or
    /// `INVALID_FORMAT` at the field that does not fit `T`.
    pub fn parse<T: Deserialize<'a>>(&self) -> Result<T, Finding> {
        let text = self.text.ok_or_else(|| finding("INVALID_ENCODING", ""))?;
        serde_json::from_str(text).map_err(|_| mismatch::<T>(text))
    }

    /// Returns the value of one field as raw JSON text, without reading the rest of the record. It is several times as
    /// fast as [`Record::parse`], and useful if one field decides whether the record is relevant. Returns none if the
    /// record has no such field. It does not check the rest of the record.
    pub fn raw(&self, field: &str) -> Option<&'a str> {
        self.results.member_finder.find(self.text?, field)
    }

    /// Returns the reference id, in this migration, of the record of `entity_type` with this natural key.
    pub fn reference_id(&self, entity_type: &str, key: impl Display) -> Id {
        reference_id(&self.context.migration, entity_type, key)
    }

    /// Returns the day on which the migration was registered. A mapper has no other "today".
    pub fn registered_on(&self) -> Option<crate::Date> {
        crate::date(&self.context.registered_on)
    }

    /// Returns the loaded records of `source` whose `field` has the value `key`. It finds only records that
    /// [`crate::Mapper::lookups`] has requested.
    pub fn find(&self, source: &str, field: &str, key: impl Display) -> Answers<'a> {
        self.results.is_consulted.set(true);
        let table = self.results.tables.iter().find(|result| result.lookup.matches(source, field));
        let records = table.map_or(&[][..], |table| table.of(&key.to_string()));
        Answers { context: self.context, results: self.results, table, records: records.iter() }
    }
}

/// The loaded records that answer one key.
#[derive(Clone)]
pub struct Answers<'a> {
    context: &'a Context,
    results: &'a LookupResults,
    table: Option<&'a ResultTable>,
    records: std::slice::Iter<'a, Range<usize>>,
}

impl<'a> Iterator for Answers<'a> {
    type Item = Record<'a>;

    fn next(&mut self) -> Option<Record<'a>> {
        let (table, range) = (self.table?, self.records.next()?);
        let body = &table.bytes[range.clone()];
        let text = std::str::from_utf8(body).ok();
        Some(Record { source: &table.lookup.source, body, text, context: self.context, results: self.results })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.records.size_hint()
    }
}

impl ExactSizeIterator for Answers<'_> {}

/// Returns the finding for a record that does not fit `T`. Serde's own message is not used, because it quotes the
/// record.
fn mismatch<'a, T: Deserialize<'a>>(text: &'a str) -> Finding {
    if serde_json::from_str::<IgnoredAny>(text).is_err() {
        return finding("INVALID_JSON", "");
    }
    let mut json = serde_json::Deserializer::from_str(text);
    match serde_path_to_error::deserialize::<_, T>(&mut json) {
        // The record is JSON, so the error is a mismatch, such as a number outside the range of its type.
        Err(error) => {
            let path = error.path().to_string();
            let message = error.inner().to_string();
            // "missing field `name`": the name comes from the type, not from the record.
            match message.strip_prefix("missing field `").and_then(|rest| rest.split_once('`')) {
                Some((field, _)) if path == "." => finding("MISSING_REQUIRED_FIELD", field),
                Some((field, _)) => finding("MISSING_REQUIRED_FIELD", format!("{path}.{field}")),
                None => finding("INVALID_FORMAT", if path == "." { String::new() } else { path }),
            }
        }
        Ok(_) => finding("INVALID_FORMAT", ""),
    }
}

/// A source, and the field by which its records are looked up.
#[derive(Clone, PartialEq, Eq)]
struct LookupField {
    source: String,
    field: String,
}

impl LookupField {
    fn matches(&self, source: &str, field: &str) -> bool {
        self.source == source && self.field == field
    }
}

/// The lookups that a batch requests.
#[derive(Default)]
pub struct Wanted {
    lookups: Vec<(LookupField, RequestedKeys)>,
    /// Buffer for a key as text.
    text: String,
}

/// The requested keys of one source and field.
#[derive(Default)]
struct RequestedKeys {
    /// All requested keys.
    known: HashSet<String>,
    /// Keys not looked up yet, in the order of the first request, so that the same batch makes the same calls.
    pending: Vec<String>,
}

impl Wanted {
    /// Requests the loaded records of `source` whose `field` has the value `key`.
    pub fn find(&mut self, source: &str, field: &str, key: impl Display) {
        self.text.clear();
        let _ = write!(self.text, "{key}");
        let index = match self.lookups.iter().position(|(lookup, _)| lookup.matches(source, field)) {
            Some(index) => index,
            None => {
                let lookup = LookupField { source: source.into(), field: field.into() };
                self.lookups.push((lookup, RequestedKeys::default()));
                self.lookups.len() - 1
            }
        };
        let keys = &mut self.lookups[index].1;
        if !keys.known.contains(&self.text) {
            keys.known.insert(self.text.clone());
            keys.pending.push(self.text.clone());
        }
    }
}

/// The results of a batch's lookups.
#[derive(Default)]
pub(crate) struct LookupResults {
    tables: Vec<ResultTable>,
    is_consulted: Cell<bool>,
    member_finder: MemberFinder,
}

/// The records that a batch has looked up in one source by one field.
struct ResultTable {
    lookup: LookupField,
    /// Records, concatenated.
    bytes: Vec<u8>,
    /// Position of each record in `bytes`.
    records: Vec<Range<usize>>,
    /// Indexes of the `records` that answer each key.
    by_key: HashMap<String, Range<usize>>,
}

impl ResultTable {
    /// Returns the positions of the records that answer a key.
    fn of(&self, key: &str) -> &[Range<usize>] {
        self.by_key.get(key).map_or(&[], |range| &self.records[range.clone()])
    }

    /// Looks up these keys with one call of the host.
    fn fetch(&mut self, keys: &[String]) {
        let mut packed = BatchBuilder::default();
        keys.iter().for_each(|key| packed.push(key.as_bytes()));
        let found = lookup::find(&self.lookup.source, &self.lookup.field, &packed.finish());
        for (body, answer) in batch::unpack(&found.records).zip(&found.answers) {
            let start = self.bytes.len();
            self.bytes.extend_from_slice(body);
            let index = self.records.len();
            self.records.push(start..self.bytes.len());
            // Answers are ascending, so the records that answer one key are adjacent.
            let key = keys[*answer as usize].clone();
            self.by_key.entry(key).or_insert(index..index).end = index + 1;
        }
    }
}

impl LookupResults {
    /// Returns true if an answer has been read since the last call.
    pub(crate) fn take_consulted(&self) -> bool {
        self.is_consulted.take()
    }

    /// Looks up all requested keys that have not been looked up yet. Returns true if there were any.
    pub(crate) fn fetch(&mut self, wanted: &mut Wanted) -> bool {
        let mut any = false;
        for (lookup, keys) in &mut wanted.lookups {
            let index = match self.tables.iter().position(|result| result.lookup == *lookup) {
                Some(index) => index,
                None => {
                    let (bytes, records, by_key) = Default::default();
                    self.tables.push(ResultTable { lookup: lookup.clone(), bytes, records, by_key });
                    self.tables.len() - 1
                }
            };
            for keys in keys.pending.chunks(MAX_KEYS) {
                self.tables[index].fetch(keys);
                any = true;
            }
            keys.pending.clear();
        }
        any
    }
}

/// Maximum number of keys in one call. The host's default limit is 10,000.
const MAX_KEYS: usize = 4_096;
