//! Checks a record against its entity type's table of fields in one pass, and reports every invalid field.
//!
//! The checker takes a scalar as raw text first and then reads it as the kind of its field. So a value of the wrong
//! type is an issue of that field and does not end the check, and a number is checked by its digits, however many it
//! has.

use std::fmt;

use rust_decimal::Decimal;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::identifiers::IdentifierKind;
use crate::path::{Path, showable};
use crate::scalars::{self, Scalar};
use crate::schema::{Entity, Field, Kind, MONEY};
use crate::str_eq::str_eq;
use crate::{Finding, Id, finding, missing, money};

/// Maximum number of findings listed for one record.
const MAX_FINDINGS: usize = 50;

/// Maximum number of fields in one table: the number of bits in a set of fields.
const MAX_FIELDS: usize = 32;

/// The result of checking one record.
#[derive(Default)]
pub(crate) struct CheckResult {
    /// The record's reference id, if it is readable.
    pub id: Option<Id>,
    /// Findings about the record.
    pub findings: Vec<Finding>,
}

/// A reference in a record.
pub(crate) struct Reference {
    /// Index of the record in its batch.
    pub record: usize,
    /// Index of the reference among those of its record.
    pub ordinal: usize,
    /// Entity type that it refers to.
    pub entity_type: &'static str,
    /// Reference id that it refers to.
    pub id: Id,
}

/// A checker of the records of one entity type.
pub(crate) struct Checker {
    entity: &'static Entity,
    path: Path,
    result: CheckResult,
    references: ReferenceRecorder,
    /// Amount of the money that was read last.
    amount: Option<Decimal>,
    /// Fraction digits of the currency that was read last.
    digits: Option<u32>,
    identifier: IdentifierState,
}

/// The identifier of the object that is being read.
#[derive(Default)]
enum IdentifierState {
    /// Neither the identifier nor its kind has been read.
    #[default]
    Unread,
    /// The kind has been read. None if its identifiers are not checked.
    Kind(Option<IdentifierKind>),
    /// The identifier has been read, and its kind has not.
    Identifier { text: String, path: String },
}

/// A recorder of the references that a check passes.
enum ReferenceRecorder {
    /// Records nothing.
    Off,
    /// Records ids.
    Ids { record: usize, ordinal: usize, found: Vec<Reference> },
    /// Records paths, in the same order as the ids. Paths are costly, so only a second check of a record with an
    /// unknown reference determines them.
    Paths(Vec<String>),
}

/// Returns the paths of the references in a record, in the order in which a [`Checker`] passes them.
pub(crate) fn reference_paths(entity: &'static Entity, record: &[u8]) -> Vec<String> {
    let mut checker = Checker::with(entity, ReferenceRecorder::Paths(vec![]));
    checker.check(0, record);
    match checker.references {
        ReferenceRecorder::Paths(paths) => paths,
        _ => vec![],
    }
}

impl Checker {
    /// Creates a checker. It records references only if `keep_references` is true.
    pub fn new(entity: &'static Entity, keep_references: bool) -> Self {
        let kept = ReferenceRecorder::Ids { record: 0, ordinal: 0, found: vec![] };
        Self::with(entity, if keep_references { kept } else { ReferenceRecorder::Off })
    }

    fn with(entity: &'static Entity, references: ReferenceRecorder) -> Self {
        Self {
            entity,
            path: Path::default(),
            result: CheckResult::default(),
            references,
            amount: None,
            digits: None,
            identifier: IdentifierState::Unread,
        }
    }

    /// Checks the record at this index of its batch.
    pub fn check(&mut self, index: usize, body: &[u8]) -> CheckResult {
        if let ReferenceRecorder::Ids { record, ordinal, .. } = &mut self.references {
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
                        // A number that no type holds, or an unpaired surrogate. The path is where reading stopped.
                        true => self.report(finding("INVALID_FORMAT", self.path.text())),
                        false => self.result.findings = vec![finding("INVALID_JSON", "")],
                    }
                    // A malformed record has no references.
                    if let ReferenceRecorder::Ids { ordinal, found, .. } = &mut self.references {
                        found.truncate(found.len() - *ordinal);
                    }
                }
            }
        }
        std::mem::take(&mut self.result)
    }

    /// Returns the references of all records checked.
    pub fn references(self) -> Vec<Reference> {
        match self.references {
            ReferenceRecorder::Ids { found, .. } => found,
            _ => vec![],
        }
    }

    fn report(&mut self, finding: Finding) {
        if self.result.findings.len() < MAX_FINDINGS {
            self.result.findings.push(finding);
        }
    }

    /// Returns the path of a field of the object that is being read.
    fn field(&self, name: &str) -> String {
        self.path.field(name)
    }

    /// Checks a scalar. Returns the index of the word if the kind is [`Kind::OneOf`].
    fn scalar(&mut self, kind: Kind, text: &str) -> Option<u8> {
        match scalars::read(kind, text) {
            Ok(Scalar::Plain) => {}
            Ok(Scalar::Word(index)) => return Some(index),
            Ok(Scalar::ReferenceId(id)) => self.result.id = Some(id),
            Ok(Scalar::Amount(amount)) => self.amount = Some(amount),
            Ok(Scalar::Digits(digits)) => self.digits = Some(digits),
            Ok(Scalar::IdentifierKind(kind)) => self.identifier_kind(kind),
            Ok(Scalar::Identifier(text)) => match self.identifier {
                IdentifierState::Kind(None) => {}
                IdentifierState::Kind(Some(kind)) => self.check_identifier(kind, &text, self.path.text()),
                _ => {
                    let path = self.path.text();
                    self.identifier = IdentifierState::Identifier { text: text.into_owned(), path };
                }
            },
            Ok(Scalar::Reference(entity_type, id)) => match &mut self.references {
                ReferenceRecorder::Off => {}
                ReferenceRecorder::Ids { record, ordinal, found } => {
                    found.push(Reference { record: *record, ordinal: *ordinal, entity_type, id });
                    *ordinal += 1;
                }
                ReferenceRecorder::Paths(_) => {
                    let path = self.path.text();
                    if let ReferenceRecorder::Paths(paths) = &mut self.references {
                        paths.push(path);
                    }
                }
            },
            Err(code) => {
                let path = self.path.text();
                self.report(finding(code, path));
            }
        }
        None
    }

    /// Checks any value.
    fn value<'de, D: Deserializer<'de>>(&mut self, kind: Kind, from: D) -> Result<Presence, D::Error> {
        if let Kind::Object(_) | Kind::List(..) | Kind::Money | Kind::MoneyWith(_) = kind {
            return Container { checker: self, kind }.deserialize(from);
        }
        let text = <&RawValue as serde::Deserialize>::deserialize(from)?.get();
        Ok(if text == "null" {
            Presence::Null
        } else {
            self.scalar(kind, text).map_or(Presence::Value, Presence::Word)
        })
    }

    /// Reports missing fields, and fields that this kind of object does not have, after all fields have been read.
    fn check_presence(&mut self, fields: &'static [Field], seen: u32, words: &[Option<u8>; MAX_FIELDS]) {
        for (index, field) in fields.iter().enumerate() {
            let seen = seen & 1 << index != 0;
            let may_be_wrong = if seen { field.only_if.is_some() } else { field.required };
            if !may_be_wrong {
                continue;
            }
            match applies(field, fields, words) {
                Some(true) if field.required && !seen => self.report(missing(self.field(field.name))),
                Some(false) if seen => {
                    // The field must be absent, so findings inside it are irrelevant.
                    let path = self.field(field.name);
                    self.result.findings.retain(|finding| !is_within(&finding.field, &path));
                    self.report(finding("UNKNOWN_FIELD", path));
                }
                _ => {}
            }
        }
    }

    /// Takes the kind of the object's identifier. Checks the identifier if it was read before.
    fn identifier_kind(&mut self, kind: Option<IdentifierKind>) {
        let before = std::mem::replace(&mut self.identifier, IdentifierState::Kind(kind));
        if let (IdentifierState::Identifier { text, path }, Some(kind)) = (before, kind) {
            self.check_identifier(kind, &text, path);
        }
    }

    /// Reports an identifier of another form than its kind, or with wrong check digits.
    fn check_identifier(&mut self, kind: IdentifierKind, text: &str, path: String) {
        if let Err(error) = kind.check(text) {
            self.report(finding(error.code(), path));
        }
    }

    /// Reports at least one missing field of the record.
    fn check_at_least_one(&mut self, fields: &'static [Field], seen: u32) {
        let is_there = |name: &&str| {
            let index = fields.iter().position(|field| str_eq(field.name, name));
            index.is_some_and(|index| seen & 1 << index != 0)
        };
        let names = self.entity.at_least_one;
        if !names.is_empty() && !names.iter().any(is_there) {
            self.report(missing(names[0]));
        }
    }

    /// Reports an amount with more fraction digits than its currency has.
    fn check_fraction_digits(&mut self) {
        if let (Some(amount), Some(digits)) = (self.amount, self.digits)
            && money::minor_units_of(amount, digits).is_none()
        {
            self.report(finding("OUT_OF_RANGE", self.field("amount")));
        }
    }
}

/// Returns true if `path` is `outer` or inside it.
fn is_within(path: &str, outer: &str) -> bool {
    path.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

/// Returns true if an object with these words has this field. Returns none if the deciding field is missing or invalid:
/// that field is reported, and the fields that depend on it are not.
fn applies(field: &Field, fields: &[Field], words: &[Option<u8>; MAX_FIELDS]) -> Option<bool> {
    let Some((decider, values)) = field.only_if else { return Some(true) };
    let index = fields.iter().position(|field| str_eq(field.name, decider))?;
    let Kind::OneOf(choices) = fields[index].kind else { return None };
    words[index].map(|word| values.iter().any(|value| str_eq(value, choices[usize::from(word)])))
}

/// The presence of a value.
enum Presence {
    /// A value, valid or not.
    Value,
    /// A valid word of [`Kind::OneOf`], as its index.
    Word(u8),
    /// `null`, which counts as absent.
    Null,
}

/// A reader of an object or a list. It reports any other value as malformed.
struct Container<'c> {
    checker: &'c mut Checker,
    kind: Kind,
}

impl<'de> DeserializeSeed<'de> for Container<'_> {
    type Value = Presence;
    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Presence, D::Error> {
        from.deserialize_any(self)
    }
}

impl Container<'_> {
    fn malformed<E>(self) -> Result<Presence, E> {
        let path = self.checker.path.text();
        let code = if path.is_empty() { "INVALID_JSON" } else { "INVALID_FORMAT" };
        self.checker.report(finding(code, path));
        Ok(Presence::Value)
    }
}

impl<'de> Visitor<'de> for Container<'_> {
    type Value = Presence;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("an object or a list")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Presence, A::Error> {
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
        checker.identifier = IdentifierState::Unread;
        let mut words = [None; MAX_FIELDS];
        let (mut named, mut seen, mut next) = (0u32, 0u32, 0);
        while let Some(name) = map.next_key_seed(NameReader { fields, next })? {
            let index = match name {
                FieldName::Known(index) => index,
                FieldName::Unknown(name) => {
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
            match map.next_value_seed(ValueReader { checker, kind: field.kind })? {
                Presence::Value => seen |= 1 << index,
                Presence::Word(word) => {
                    seen |= 1 << index;
                    words[index] = Some(word);
                }
                Presence::Null => {}
            }
            checker.path.pop();
        }
        checker.check_presence(fields, seen, &words);
        if money {
            checker.check_fraction_digits();
        }
        if checker.path.is_empty() {
            checker.check_at_least_one(fields, seen);
        }
        Ok(Presence::Value)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Presence, A::Error> {
        let Kind::List(item, least) = self.kind else {
            while seq.next_element::<IgnoredAny>()?.is_some() {}
            return self.malformed();
        };
        let checker = self.checker;
        let mut count = 0;
        loop {
            checker.path.push_index(count);
            let read = seq.next_element_seed(ValueReader { checker, kind: *item })?;
            if let Some(Presence::Null) = read {
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
        Ok(Presence::Value)
    }

    fn visit_unit<E: Error>(self) -> Result<Presence, E> {
        if self.checker.path.is_empty() { self.malformed() } else { Ok(Presence::Null) }
    }
    fn visit_bool<E: Error>(self, _: bool) -> Result<Presence, E> {
        self.malformed()
    }
    fn visit_i64<E: Error>(self, _: i64) -> Result<Presence, E> {
        self.malformed()
    }
    fn visit_u64<E: Error>(self, _: u64) -> Result<Presence, E> {
        self.malformed()
    }
    fn visit_f64<E: Error>(self, _: f64) -> Result<Presence, E> {
        self.malformed()
    }
    fn visit_str<E: Error>(self, _: &str) -> Result<Presence, E> {
        self.malformed()
    }
}

/// A reader of any value.
struct ValueReader<'c> {
    checker: &'c mut Checker,
    kind: Kind,
}

impl<'de> DeserializeSeed<'de> for ValueReader<'_> {
    type Value = Presence;
    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Presence, D::Error> {
        self.checker.value(self.kind, from)
    }
}

/// A reader of a member's name as a field of a table.
struct NameReader {
    fields: &'static [Field],
    /// Index of the field that is tried first. Most records have their fields in the order of the table.
    next: usize,
}

/// A member's name.
enum FieldName {
    /// Index of the field in its table.
    Known(usize),
    /// A name that the table does not have.
    Unknown(String),
}

impl<'de> DeserializeSeed<'de> for NameReader {
    type Value = FieldName;
    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<FieldName, D::Error> {
        from.deserialize_str(self)
    }
}

impl Visitor<'_> for NameReader {
    type Value = FieldName;
    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a field's name")
    }
    fn visit_str<E: Error>(self, name: &str) -> Result<FieldName, E> {
        let (before, after) = self.fields.split_at(self.next.min(self.fields.len()));
        let matches = |field: &Field| str_eq(field.name, name);
        let index = after.iter().position(matches).map(|index| before.len() + index);
        let index = index.or_else(|| before.iter().position(matches));
        Ok(index.map_or_else(|| FieldName::Unknown(name.to_owned()), FieldName::Known))
    }
}
