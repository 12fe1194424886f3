//! Checks one record against its entity's table of fields, in one pass, naming every field that is wrong.
//!
//! A scalar is first taken as raw text and only then read as what its field should hold, so a value
//! of the wrong type is an issue of that field and not the end of the record, and a number is judged
//! by its digits, however many there are.

use std::fmt;

use rust_decimal::Decimal;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::path::{Path, showable};
use crate::scalars::{self, Scalar};
use crate::schema::{Entity, Field, Kind, MONEY};
use crate::words::same;
use crate::{Finding, Id, finding, missing, money};

/// Issues of one record beyond which no more are listed: a record this wrong needs no longer list.
const MAX_FINDINGS: usize = 50;

/// Fields that one table may have: as many as there are bits in the sets of them.
const MAX_FIELDS: usize = 32;

/// What a check of one record found.
#[derive(Default)]
pub(crate) struct Shape {
    pub id: Option<Id>,
    pub findings: Vec<Finding>,
}

/// A reference found in a record: the so-many-eth of that record.
pub(crate) struct Reference {
    pub record: usize,
    pub ordinal: usize,
    pub entity_type: &'static str,
    pub id: Id,
}

/// Checks record after record of one entity type.
pub(crate) struct Checker {
    entity: &'static Entity,
    path: Path,
    shape: Shape,
    references: References,
    /// Amount and fraction digits of the money that was read last.
    amount: Option<Decimal>,
    digits: Option<u32>,
}

/// What is kept of the references on the way.
enum References {
    Ignored,
    Ids {
        record: usize,
        ordinal: usize,
        found: Vec<Reference>,
    },
    /// Their paths, in the same order: asked for once something is wrong with one of them.
    Paths(Vec<String>),
}

/// Paths of the references in a record, in the order in which a [`Checker`] finds them.
pub(crate) fn reference_paths(entity: &'static Entity, record: &[u8]) -> Vec<String> {
    let mut checker = Checker::with(entity, References::Paths(vec![]));
    checker.check(0, record);
    match checker.references {
        References::Paths(paths) => paths,
        _ => vec![],
    }
}

impl Checker {
    /// One that keeps references where they will be asked for.
    pub fn new(entity: &'static Entity, keep_references: bool) -> Self {
        let kept = References::Ids { record: 0, ordinal: 0, found: vec![] };
        Self::with(entity, if keep_references { kept } else { References::Ignored })
    }

    fn with(entity: &'static Entity, references: References) -> Self {
        Self { entity, path: Path::default(), shape: Shape::default(), references, amount: None, digits: None }
    }

    /// Checks the record at this index of its batch.
    pub fn check(&mut self, index: usize, body: &[u8]) -> Shape {
        if let References::Ids { record, ordinal, .. } = &mut self.references {
            (*record, *ordinal) = (index, 0);
        }
        self.path.clear();
        match std::str::from_utf8(body) {
            Err(_) => self.report(finding("INVALID_ENCODING", "")),
            Ok(text) => {
                let mut json = serde_json::Deserializer::from_str(text);
                let kind = Kind::Object(self.entity.fields);
                let read = Container { checker: self, kind }.deserialize(&mut json);
                if read.and_then(|_| json.end()).is_err() {
                    let json = serde_json::from_str::<IgnoredAny>(text).is_ok();
                    match json {
                        // A number that no type holds, or half a surrogate: it is wrong where reading it has stopped.
                        true => self.report(finding("INVALID_FORMAT", self.path.text())),
                        false => self.shape.findings = vec![finding("INVALID_JSON", "")],
                    }
                    // What is no record refers to nothing.
                    if let References::Ids { ordinal, found, .. } = &mut self.references {
                        found.truncate(found.len() - *ordinal);
                    }
                }
            }
        }
        std::mem::take(&mut self.shape)
    }

    /// The references of all records checked.
    pub fn references(self) -> Vec<Reference> {
        match self.references {
            References::Ids { found, .. } => found,
            _ => vec![],
        }
    }

    fn report(&mut self, finding: Finding) {
        if self.shape.findings.len() < MAX_FINDINGS {
            self.shape.findings.push(finding);
        }
    }

    /// The path of a field of the object that is being read.
    fn field(&self, name: &str) -> String {
        self.path.field(name)
    }

    /// Checks a scalar; the index of the word where it is one of several.
    fn scalar(&mut self, kind: Kind, text: &str) -> Option<u8> {
        match scalars::read(kind, text) {
            Ok(Scalar::Plain) => {}
            Ok(Scalar::Word(index)) => return Some(index),
            Ok(Scalar::ReferenceId(id)) => self.shape.id = Some(id),
            Ok(Scalar::Amount(amount)) => self.amount = Some(amount),
            Ok(Scalar::Digits(digits)) => self.digits = Some(digits),
            Ok(Scalar::Reference(entity_type, id)) => match &mut self.references {
                References::Ignored => {}
                References::Ids { record, ordinal, found } => {
                    found.push(Reference { record: *record, ordinal: *ordinal, entity_type, id });
                    *ordinal += 1;
                }
                References::Paths(_) => {
                    let place = self.path.text();
                    if let References::Paths(paths) = &mut self.references {
                        paths.push(place);
                    }
                }
            },
            Err(code) => {
                let place = self.path.text();
                self.report(finding(code, place));
            }
        }
        None
    }

    /// Reads any value; whether there was one.
    fn value<'de, D: Deserializer<'de>>(&mut self, kind: Kind, from: D) -> Result<Read, D::Error> {
        if let Kind::Object(_) | Kind::List(..) | Kind::Money | Kind::MoneyWith(_) = kind {
            return Container { checker: self, kind }.deserialize(from);
        }
        let text = <&RawValue as serde::Deserialize>::deserialize(from)?.get();
        Ok(if text == "null" { Read::Null } else { self.scalar(kind, text).map_or(Read::Value, Read::Word) })
    }

    /// What the fields of an object say together, once all of them have been read.
    fn conclude(&mut self, fields: &'static [Field], seen: u32, words: &[Option<u8>; MAX_FIELDS]) {
        for (index, field) in fields.iter().enumerate() {
            let seen = seen & 1 << index != 0;
            let may_be_wrong = if seen { field.only_if.is_some() } else { field.required };
            if !may_be_wrong {
                continue;
            }
            match applies(field, fields, words) {
                Some(true) if field.required && !seen => self.report(missing(self.field(field.name))),
                Some(false) if seen => {
                    // It should not be there at all: what is wrong inside does not matter.
                    let place = self.field(field.name);
                    self.shape.findings.retain(|finding| !is_within(&finding.field, &place));
                    self.report(finding("UNKNOWN_FIELD", place));
                }
                _ => {}
            }
        }
    }

    fn conclude_money(&mut self) {
        if let (Some(amount), Some(digits)) = (self.amount, self.digits)
            && money::minor_units_of(amount, digits).is_none()
        {
            self.report(finding("OUT_OF_RANGE", self.field("amount")));
        }
    }
}

fn is_within(place: &str, outer: &str) -> bool {
    place.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

/// Whether a record has this field; none where what decides is itself missing or wrong, for then that
/// is the issue, and not what depends on it.
fn applies(field: &Field, fields: &[Field], words: &[Option<u8>; MAX_FIELDS]) -> Option<bool> {
    let Some((decider, values)) = field.only_if else { return Some(true) };
    let index = fields.iter().position(|field| same(field.name, decider))?;
    let Kind::OneOf(choices) = fields[index].kind else { return None };
    words[index].map(|word| values.iter().any(|value| same(value, choices[usize::from(word)])))
}

/// What was found where a value may be.
enum Read {
    Value,
    /// One of several words: its index.
    Word(u8),
    Null,
}

/// Reads an object or a list; anything else there is malformed.
struct Container<'c> {
    checker: &'c mut Checker,
    kind: Kind,
}

impl<'de> DeserializeSeed<'de> for Container<'_> {
    type Value = Read;
    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Read, D::Error> {
        from.deserialize_any(self)
    }
}

impl Container<'_> {
    fn malformed<E>(self) -> Result<Read, E> {
        let place = self.checker.path.text();
        let code = if place.is_empty() { "INVALID_JSON" } else { "INVALID_FORMAT" };
        self.checker.report(finding(code, place));
        Ok(Read::Value)
    }
}

impl<'de> Visitor<'de> for Container<'_> {
    type Value = Read;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("an object or a list")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Read, A::Error> {
        let (fields, money) = match self.kind {
            Kind::Object(fields) => (fields, false),
            Kind::Money => (MONEY, true),
            Kind::MoneyWith(fields) => (fields, true),
            _ => {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                return self.malformed();
            }
        };
        let checker = self.checker;
        (checker.amount, checker.digits) = (None, None);
        let mut words = [None; MAX_FIELDS];
        let (mut named, mut seen, mut next) = (0u32, 0u32, 0);
        while let Some(name) = map.next_key_seed(Name { fields, next })? {
            let index = match name {
                Named::Field(index) => index,
                Named::Unknown(name) => {
                    checker.report(finding("UNKNOWN_FIELD", checker.field(showable(&name))));
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
            };
            let field = &fields[index];
            if named & 1 << index != 0 {
                checker.report(finding("DUPLICATE_FIELD", checker.field(field.name)));
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            named |= 1 << index;
            next = index + 1;
            checker.path.push_field(field.name);
            match map.next_value_seed(Value { checker, kind: field.kind })? {
                Read::Value => seen |= 1 << index,
                Read::Word(word) => {
                    seen |= 1 << index;
                    words[index] = Some(word);
                }
                Read::Null => {}
            }
            checker.path.pop();
        }
        checker.conclude(fields, seen, &words);
        if money {
            checker.conclude_money();
        }
        Ok(Read::Value)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Read, A::Error> {
        let Kind::List(item, least) = self.kind else {
            while seq.next_element::<IgnoredAny>()?.is_some() {}
            return self.malformed();
        };
        let checker = self.checker;
        let mut count = 0;
        loop {
            checker.path.push_index(count);
            let read = seq.next_element_seed(Value { checker, kind: *item })?;
            if let Some(Read::Null) = read {
                checker.report(finding("INVALID_FORMAT", checker.path.text()));
            }
            checker.path.pop();
            if read.is_none() {
                break;
            }
            count += 1;
        }
        if count < least {
            checker.report(missing(checker.path.text()));
        }
        Ok(Read::Value)
    }

    fn visit_unit<E: Error>(self) -> Result<Read, E> {
        if self.checker.path.is_empty() { self.malformed() } else { Ok(Read::Null) }
    }
    fn visit_bool<E: Error>(self, _: bool) -> Result<Read, E> {
        self.malformed()
    }
    fn visit_i64<E: Error>(self, _: i64) -> Result<Read, E> {
        self.malformed()
    }
    fn visit_u64<E: Error>(self, _: u64) -> Result<Read, E> {
        self.malformed()
    }
    fn visit_f64<E: Error>(self, _: f64) -> Result<Read, E> {
        self.malformed()
    }
    fn visit_str<E: Error>(self, _: &str) -> Result<Read, E> {
        self.malformed()
    }
}

/// Reads any value.
struct Value<'c> {
    checker: &'c mut Checker,
    kind: Kind,
}

impl<'de> DeserializeSeed<'de> for Value<'_> {
    type Value = Read;
    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Read, D::Error> {
        self.checker.value(self.kind, from)
    }
}

/// Reads a member's name as a field of this table; most records have them in the table's order, so
/// `next` is tried first.
struct Name {
    fields: &'static [Field],
    next: usize,
}

enum Named {
    Field(usize),
    Unknown(String),
}

impl<'de> DeserializeSeed<'de> for Name {
    type Value = Named;
    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Named, D::Error> {
        from.deserialize_str(self)
    }
}

impl Visitor<'_> for Name {
    type Value = Named;
    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a field's name")
    }
    fn visit_str<E: Error>(self, name: &str) -> Result<Named, E> {
        let (before, after) = self.fields.split_at(self.next.min(self.fields.len()));
        let is_it = |field: &Field| same(field.name, name);
        let place = after.iter().position(is_it).map(|index| before.len() + index);
        let place = place.or_else(|| before.iter().position(is_it));
        Ok(place.map_or_else(|| Named::Unknown(name.to_owned()), Named::Field))
    }
}
