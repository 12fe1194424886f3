//! A record as the columns of its table, and back.

use std::io::Write;

use rusqlite::types::ValueRef;
use rusqlite::{Row, Statement};

use super::check::Checks;
use crate::framing::{scalar_text, scan_object};
use crate::plugin::{Column, ColumnKind};

/// Deep enough for every record that was accepted.
const ANY_DEPTH: usize = usize::MAX - 1;

/// A column's path as the member that it is in, and the member within that.
fn steps(column: &Column) -> (&str, Option<&str>) {
    match column.path.split_once('.') {
        Some((outer, inner)) => (outer, Some(inner)),
        None => (&column.path, None),
    }
}

/// A column, and the member within a nested object that it is of; none: the member itself.
type Within<'a> = (Option<&'a str>, usize);

/// Where a record's members go.
pub(super) struct Fields<'a> {
    columns: &'a [Column],
    /// Names of members, each with the columns that are made of it.
    members: Vec<(&'a str, Vec<Within<'a>>)>,
}

impl<'a> Fields<'a> {
    pub fn new(columns: &'a [Column]) -> Self {
        let mut members: Vec<(&str, Vec<_>)> = vec![];
        for (index, column) in columns.iter().enumerate() {
            let (outer, inner) = steps(column);
            match members.iter_mut().find(|(name, _)| *name == outer) {
                Some((_, made)) => made.push((inner, index)),
                None => members.push((outer, vec![(inner, index)])),
            }
        }
        Self { columns, members }
    }

    /// Each column's value in a record; none where that is no JSON object.
    fn values<'b>(&self, body: &'b [u8]) -> Option<Vec<Option<&'b str>>> {
        let mut values = vec![None; self.columns.len()];
        let mut next = 0;
        let scanned = scan_object(body, ANY_DEPTH, |name, raw| {
            // Most records have their fields in the order of the columns.
            let from_here = (next..self.members.len()).chain(0..next);
            let Some(place) = from_here.into_iter().find(|place| self.members[*place].0 == name) else { return };
            next = place + 1;
            let made = &self.members[place].1;
            for (_, index) in made.iter().filter(|(inner, _)| inner.is_none()) {
                values[*index] = Some(raw);
            }
            if made.iter().any(|(inner, _)| inner.is_some()) {
                let _ = scan_object(raw.as_bytes(), ANY_DEPTH, |name, raw| {
                    for (_, index) in made.iter().filter(|(inner, _)| *inner == Some(name)) {
                        values[*index] = Some(raw);
                    }
                });
            }
        });
        scanned.is_ok().then_some(values)
    }

    /// Binds a record's values to the first parameters of `statement`, and what they add to the row's checksum; on failure
    /// the column that does not fit.
    pub fn bind(
        &self,
        body: &[u8],
        checks: &Checks,
        statement: &mut Statement,
    ) -> rusqlite::Result<Result<u32, usize>> {
        let Some(values) = self.values(body) else { return Ok(Err(0)) };
        let mut sum = 0_u32;
        for (index, (column, raw)) in self.columns.iter().zip(&values).enumerate() {
            let at = index + 1;
            let Some(raw) = raw.filter(|raw| *raw != "null") else {
                statement.raw_bind_parameter(at, rusqlite::types::Null)?;
                continue;
            };
            let mut integer = |number: i64| {
                statement.raw_bind_parameter(at, number)?;
                Ok::<_, rusqlite::Error>(checks.integer(index, number))
            };
            let added = match column.kind {
                ColumnKind::Boolean => integer(i64::from(raw == "true"))?,
                ColumnKind::Integer => match raw.parse() {
                    Ok(number) => integer(number)?,
                    Err(_) => return Ok(Err(index)),
                },
                ColumnKind::Json | ColumnKind::Decimal => {
                    statement.raw_bind_parameter(at, raw)?;
                    checks.bytes(index, raw.as_bytes())
                }
                ColumnKind::Text | ColumnKind::Date | ColumnKind::Id => match scalar_text(raw) {
                    Some(text) => {
                        statement.raw_bind_parameter(at, &*text)?;
                        checks.bytes(index, text.as_bytes())
                    }
                    None => return Ok(Err(index)),
                },
            };
            sum = sum.wrapping_add(added);
        }
        Ok(Ok(sum))
    }
}

/// How rows are written as JSON.
pub(super) struct Shape<'a> {
    columns: Vec<(&'a Column, Option<Outer<'a>>, Vec<u8>)>,
}

/// The member that a column's value is in, and how that begins.
type Outer<'a> = (&'a str, Vec<u8>);

impl<'a> Shape<'a> {
    pub fn new(columns: &'a [Column]) -> Self {
        let column = |column| match steps(column) {
            (outer, Some(inner)) => (column, Some((outer, opening(outer, b":{"))), opening(inner, b":")),
            (name, None) => (column, None, opening(name, b":")),
        };
        Self { columns: columns.iter().map(column).collect() }
    }

    /// Writes the record that a row was made from: the same values, fields in the order of the columns.
    pub fn write(&self, row: &Row, out: &mut Vec<u8>) -> rusqlite::Result<()> {
        out.push(b'{');
        let mut inside: Option<&str> = None;
        for (index, (column, outer, name)) in self.columns.iter().enumerate() {
            let value = row.get_ref(index)?;
            if matches!(value, ValueRef::Null) {
                continue;
            }
            let within = outer.as_ref().map(|(outer, _)| *outer);
            if inside != within && inside.take().is_some() {
                out.push(b'}');
            }
            if out.last() != Some(&b'{') {
                out.push(b',');
            }
            if let Some((outer, opening)) = outer
                && inside.is_none()
            {
                out.extend_from_slice(opening);
                inside = Some(outer);
            }
            out.extend_from_slice(name);
            write_value(value, column.kind, index, out)?;
        }
        if inside.is_some() {
            out.push(b'}');
        }
        out.push(b'}');
        Ok(())
    }
}

/// A member's name, and what follows it.
fn opening(name: &str, then: &[u8]) -> Vec<u8> {
    let mut bytes = vec![];
    write_text(name, &mut bytes);
    bytes.extend_from_slice(then);
    bytes
}

fn write_value(value: ValueRef, kind: ColumnKind, index: usize, out: &mut Vec<u8>) -> rusqlite::Result<()> {
    let written = "memory takes all that is written";
    match value {
        ValueRef::Integer(number) if matches!(kind, ColumnKind::Boolean) => {
            out.extend_from_slice(if number == 0 { b"false" } else { b"true" });
        }
        ValueRef::Integer(number) => write!(out, "{number}").expect(written),
        ValueRef::Text(text) => {
            let text = std::str::from_utf8(text).map_err(|error| rusqlite::Error::Utf8Error(index, error))?;
            match kind {
                ColumnKind::Json | ColumnKind::Decimal => out.extend_from_slice(text.as_bytes()),
                _ => write_text(text, out),
            }
        }
        ValueRef::Real(number) => write!(out, "{number}").expect(written),
        _ => out.extend_from_slice(b"null"),
    }
    Ok(())
}

/// Straight into the bytes: as values of their own, texts were a ninth of an import.
fn write_text(text: &str, out: &mut Vec<u8>) {
    serde_json::to_writer(out, text).expect("memory takes all that is written");
}
