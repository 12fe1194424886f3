//! A source record as a mapper sees it, and the records that it asked for.

use std::cell::Cell;
use std::collections::{HashMap, HashSet};
use std::fmt::{Display, Write};
use std::ops::Range;

use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::bindings::types::Context;
use crate::peek::Members;
use crate::{BatchBuilder, Finding, Id, batch, finding, lookup, reference_id};

/// One source record, with what its batch has looked up.
pub struct Record<'a> {
    /// The source it belongs to.
    pub source: &'a str,
    /// One JSON object in UTF-8, unless something is wrong with it.
    pub body: &'a [u8],
    /// The body as text, where it is UTF-8: known once, it makes each reading cheaper.
    pub(crate) text: Option<&'a str>,
    pub(crate) context: &'a Context,
    pub(crate) joined: &'a Joined,
}

impl<'a> Record<'a> {
    /// Reads the record into a type of the author's. A record that does not fit gets the issue
    /// `INVALID_FORMAT` at the field that does not. An [`Amount`](crate::Amount) keeps all the digits of a number, and
    /// `&RawValue` keeps any value as it was written; `serde_json::Value` and `f64` round to a double.
    pub fn parse<T: Deserialize<'a>>(&self) -> Result<T, Finding> {
        let text = self.text.ok_or_else(|| finding("INVALID_ENCODING", ""))?;
        serde_json::from_str(text).map_err(|_| misfit::<T>(text))
    }

    /// One field's value as raw JSON text, found without reading the record: several times as fast as
    /// [`Record::parse`] where a glance decides what a record is about. None where the record has no such field; whether
    /// the rest is as it should be is for `parse` to say.
    pub fn raw(&self, field: &str) -> Option<&'a str> {
        self.joined.members.find(self.text?, field)
    }

    /// The reference id, in this migration, of the record of `entity_type` with this natural key.
    pub fn reference_id(&self, entity_type: &str, key: impl Display) -> Id {
        reference_id(&self.context.migration, entity_type, key)
    }

    /// The day on which the migration was registered: a mapper has no other "today".
    pub fn registered_on(&self) -> Option<jiff::civil::Date> {
        crate::date(&self.context.registered_on)
    }

    /// Loaded records of `source` whose `field` is `key`. Ask for them in [`crate::Mapper::lookups`]:
    /// what was not asked for there is not found here.
    pub fn find(&self, source: &str, field: &str, key: impl Display) -> Answers<'a> {
        self.joined.consulted.set(true);
        let table = self.joined.tables.iter().find(|joined| joined.table.is(source, field));
        let records = table.map_or(&[][..], |table| table.of(&key.to_string()));
        Answers { context: self.context, joined: self.joined, table, records: records.iter() }
    }
}

/// Loaded records that answer one key.
#[derive(Clone)]
pub struct Answers<'a> {
    context: &'a Context,
    joined: &'a Joined,
    table: Option<&'a JoinedTable>,
    records: std::slice::Iter<'a, Range<usize>>,
}

impl<'a> Iterator for Answers<'a> {
    type Item = Record<'a>;

    fn next(&mut self) -> Option<Record<'a>> {
        let (table, range) = (self.table?, self.records.next()?);
        let body = &table.bytes[range.clone()];
        let text = std::str::from_utf8(body).ok();
        Some(Record { source: &table.table.source, body, text, context: self.context, joined: self.joined })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.records.size_hint()
    }
}

impl ExactSizeIterator for Answers<'_> {}

/// Where a record does not fit a type. Serde's own message is dropped: it quotes the record.
fn misfit<'a, T: Deserialize<'a>>(text: &'a str) -> Finding {
    if serde_json::from_str::<IgnoredAny>(text).is_err() {
        return finding("INVALID_JSON", "");
    }
    let mut json = serde_json::Deserializer::from_str(text);
    match serde_path_to_error::deserialize::<_, T>(&mut json) {
        // It is JSON, so whatever is the matter is that it does not fit: a number beyond its type, for one.
        Err(error) => {
            let path = error.path().to_string();
            let message = error.inner().to_string();
            // `missing field `name``: the name is the type's own, not the record's.
            match message.strip_prefix("missing field `").and_then(|rest| rest.split_once('`')) {
                Some((field, _)) if path == "." => finding("MISSING_REQUIRED_FIELD", field),
                Some((field, _)) => finding("MISSING_REQUIRED_FIELD", format!("{path}.{field}")),
                None => finding("INVALID_FORMAT", if path == "." { String::new() } else { path }),
            }
        }
        Ok(_) => finding("INVALID_FORMAT", ""),
    }
}

/// A source, and the field by which its records are asked for.
#[derive(Clone, PartialEq, Eq)]
struct Table {
    source: String,
    field: String,
}

impl Table {
    fn is(&self, source: &str, field: &str) -> bool {
        self.source == source && self.field == field
    }
}

/// Keys that a batch wants to look up.
#[derive(Default)]
pub struct Wanted {
    tables: Vec<(Table, Keys)>,
    /// The key that is being asked for, as text.
    text: String,
}

#[derive(Default)]
struct Keys {
    known: HashSet<String>,
    /// In the order in which they were first asked for, so that the same batch asks the same.
    pending: Vec<String>,
}

impl Wanted {
    /// Asks for the loaded records of `source` whose `field` is `key`.
    pub fn find(&mut self, source: &str, field: &str, key: impl Display) {
        self.text.clear();
        let _ = write!(self.text, "{key}");
        let index = match self.tables.iter().position(|(table, _)| table.is(source, field)) {
            Some(index) => index,
            None => {
                self.tables.push((Table { source: source.into(), field: field.into() }, Keys::default()));
                self.tables.len() - 1
            }
        };
        let keys = &mut self.tables[index].1;
        if !keys.known.contains(&self.text) {
            keys.known.insert(self.text.clone());
            keys.pending.push(self.text.clone());
        }
    }
}

/// Records that answered.
#[derive(Default)]
pub struct Joined {
    tables: Vec<JoinedTable>,
    consulted: Cell<bool>,
    members: Members,
}

struct JoinedTable {
    table: Table,
    bytes: Vec<u8>,
    /// Where each record stands in `bytes`.
    records: Vec<Range<usize>>,
    /// Which of `records` answer a key.
    by_key: HashMap<String, Range<usize>>,
}

impl JoinedTable {
    fn of(&self, key: &str) -> &[Range<usize>] {
        self.by_key.get(key).map_or(&[], |range| &self.records[range.clone()])
    }

    fn fetch(&mut self, keys: &[String]) {
        let mut packed = BatchBuilder::default();
        keys.iter().for_each(|key| packed.push(key.as_bytes()));
        let found = lookup::find(&self.table.source, &self.table.field, &packed.finish());
        for (body, answer) in batch::unpack(&found.records).zip(&found.answers) {
            let start = self.bytes.len();
            self.bytes.extend_from_slice(body);
            let index = self.records.len();
            self.records.push(start..self.bytes.len());
            // Answers ascend, so what answers one key stands together.
            let key = keys[*answer as usize].clone();
            self.by_key.entry(key).or_insert(index..index).end = index + 1;
        }
    }
}

impl Joined {
    /// Whether anyone looked for an answer since this was last called.
    pub(crate) fn consulted(&self) -> bool {
        self.consulted.take()
    }

    /// Asks the host for everything that is wanted and not yet here, a call a table; whether there
    /// was anything.
    pub(crate) fn fetch(&mut self, wanted: &mut Wanted) -> bool {
        let mut any = false;
        for (table, keys) in &mut wanted.tables {
            let index = match self.tables.iter().position(|joined| joined.table == *table) {
                Some(index) => index,
                None => {
                    let (bytes, records, by_key) = Default::default();
                    self.tables.push(JoinedTable { table: table.clone(), bytes, records, by_key });
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

/// Keys in one call: below the host's default limit.
const MAX_KEYS: usize = 4_096;
