//! A record as the columns of its table, and back.

use rusqlite::types::ValueRef;
use rusqlite::{Row, Statement};

use crate::framing::{scalar_text, scan_object};
use crate::plugin::{Column, ColumnKind};

/// Deep enough for every record that was accepted.
const ANY_DEPTH: usize = usize::MAX - 1;

/// Binds a record's values to the first parameters of `statement`; on failure the column that does not fit.
pub(super) fn bind(columns: &[Column], body: &[u8], statement: &mut Statement) -> rusqlite::Result<Result<(), usize>> {
    let mut values: Vec<Option<&str>> = vec![None; columns.len()];
    let scanned = scan_object(body, ANY_DEPTH, |name, raw| {
        for (index, column) in columns.iter().enumerate() {
            match column.path.split_once('.') {
                None if column.path == name => values[index] = Some(raw),
                Some((outer, inner)) if outer == name => {
                    let _ = scan_object(raw.as_bytes(), ANY_DEPTH, |name, raw| {
                        if name == inner {
                            values[index] = Some(raw);
                        }
                    });
                }
                _ => {}
            }
        }
    });
    if scanned.is_err() {
        return Ok(Err(0));
    }
    for (index, (column, raw)) in columns.iter().zip(&values).enumerate() {
        let at = index + 1;
        let Some(raw) = raw.filter(|raw| *raw != "null") else {
            statement.raw_bind_parameter(at, rusqlite::types::Null)?;
            continue;
        };
        match column.kind {
            ColumnKind::Json | ColumnKind::Decimal => statement.raw_bind_parameter(at, raw)?,
            ColumnKind::Boolean => statement.raw_bind_parameter(at, raw == "true")?,
            ColumnKind::Integer => match raw.parse::<i64>() {
                Ok(number) => statement.raw_bind_parameter(at, number)?,
                Err(_) => return Ok(Err(index)),
            },
            ColumnKind::Text | ColumnKind::Date | ColumnKind::Id => match scalar_text(raw) {
                Some(text) => statement.raw_bind_parameter(at, &*text)?,
                None => return Ok(Err(index)),
            },
        }
    }
    Ok(Ok(()))
}

/// The record that a row was made from: the same values, fields in the order of the columns.
pub(super) fn record(columns: &[Column], row: &Row) -> rusqlite::Result<Vec<u8>> {
    let mut json = String::from("{");
    let mut inside: Option<&str> = None;
    for (index, column) in columns.iter().enumerate() {
        let value = row.get_ref(index)?;
        if matches!(value, ValueRef::Null) {
            continue;
        }
        let (outer, name) = match column.path.split_once('.') {
            Some((outer, inner)) => (Some(outer), inner),
            None => (None, column.path.as_str()),
        };
        if inside != outer && inside.take().is_some() {
            json.push('}');
        }
        if !json.ends_with('{') {
            json.push(',');
        }
        if let Some(outer) = outer
            && inside.is_none()
        {
            json.push_str(&format!("{}:{{", serde_json::Value::from(outer)));
            inside = Some(outer);
        }
        json.push_str(&serde_json::Value::from(name).to_string());
        json.push(':');
        match value {
            ValueRef::Integer(number) if matches!(column.kind, ColumnKind::Boolean) => {
                json.push_str(if number == 0 { "false" } else { "true" });
            }
            ValueRef::Integer(number) => json.push_str(&number.to_string()),
            ValueRef::Text(text) => {
                let text = std::str::from_utf8(text).map_err(|error| rusqlite::Error::Utf8Error(index, error))?;
                match column.kind {
                    ColumnKind::Json | ColumnKind::Decimal => json.push_str(text),
                    _ => json.push_str(&serde_json::Value::from(text).to_string()),
                }
            }
            ValueRef::Real(number) => json.push_str(&number.to_string()),
            _ => json.push_str("null"),
        }
    }
    if inside.is_some() {
        json.push('}');
    }
    json.push('}');
    Ok(json.into_bytes())
}
