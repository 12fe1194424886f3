//! Values of log entries and reports: numbers, ids and words, never text of a record.

use jiff::Timestamp;
use rust_decimal::Decimal;
use serde::{Serialize, Serializer};
use serde_json::json;
use uuid::Uuid;

use super::{Blame, Code, Currency, Digest, FieldPath, Message, Name, Version};

/// A value of a log entry or a report. It cannot be made of a `String`, so it cannot hold text of a record:
///
/// ```
/// use sluice_model::SafeValue;
/// let _ = [SafeValue::from(7_u64), SafeValue::from("loan"), SafeValue::from(uuid::Uuid::nil())];
/// ```
///
/// ```compile_fail,E0277
/// use sluice_model::SafeValue;
/// let _ = SafeValue::from(String::from("Jan Novák"));
/// ```
///
/// ```compile_fail
/// use sluice_model::SafeValue;
/// let record = String::from("Jan Novák");
/// let _ = SafeValue::from(record.as_str());
/// ```
///
/// ```compile_fail,E0277
/// use sluice_model::SafeValue;
/// let _ = SafeValue::from(serde_json::json!({"surname": "Novák"}));
/// ```
#[derive(Clone, Debug, PartialEq)]
pub enum SafeValue {
    /// No value.
    Absent,
    /// True or false.
    Flag(bool),
    /// A count or an ordinal number.
    Count(u64),
    /// A measured number.
    Number(f64),
    /// A reference id, or an id that the host made.
    Id(Uuid),
    /// A time.
    Time(Timestamp),
    /// A word that is fixed in the source.
    Word(&'static str),
    /// A code.
    Code(Code),
    /// A name.
    Name(Name),
    /// A version of a plugin.
    Version(Version),
    /// A path to a field of a record.
    Field(FieldPath),
    /// A digest.
    Digest(Digest),
    /// A number or a name as text, such as a cell of a table of counts.
    Cell(Cell),
    /// A list of values.
    List(Vec<SafeValue>),
    /// Values by name.
    Table(Vec<(Name, SafeValue)>),
}

/// A cell of a table: a number, a name or a path as text.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cell(String);

impl SafeValue {
    /// Makes a table of values by name.
    pub fn table<N: Into<Name>, V: Into<SafeValue>>(entries: impl IntoIterator<Item = (N, V)>) -> Self {
        SafeValue::Table(entries.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }

    /// Makes a list of values.
    pub fn list<V: Into<SafeValue>>(items: impl IntoIterator<Item = V>) -> Self {
        SafeValue::List(items.into_iter().map(Into::into).collect())
    }
}

impl Serialize for SafeValue {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            SafeValue::Absent => serializer.serialize_unit(),
            SafeValue::Flag(flag) => flag.serialize(serializer),
            SafeValue::Count(count) => count.serialize(serializer),
            SafeValue::Number(number) => number.serialize(serializer),
            SafeValue::Id(id) => id.serialize(serializer),
            SafeValue::Time(time) => serializer.collect_str(time),
            SafeValue::Word(word) => word.serialize(serializer),
            SafeValue::Code(code) => code.serialize(serializer),
            SafeValue::Name(name) => name.serialize(serializer),
            SafeValue::Version(version) => version.serialize(serializer),
            SafeValue::Field(path) => path.serialize(serializer),
            SafeValue::Digest(digest) => digest.serialize(serializer),
            SafeValue::Cell(Cell(cell)) => cell.serialize(serializer),
            SafeValue::List(items) => items.serialize(serializer),
            SafeValue::Table(entries) => serializer.collect_map(entries.iter().map(|(name, value)| (name, value))),
        }
    }
}

macro_rules! safe_values {
    ($($from:ty => $variant:ident),* $(,)?) => {
        $(impl From<$from> for SafeValue {
            fn from(value: $from) -> Self {
                SafeValue::$variant(value.into())
            }
        })*
    };
}

safe_values! {
    bool => Flag, u32 => Count, u64 => Count, f64 => Number, Uuid => Id, Timestamp => Time, &'static str => Word,
    Code => Code, Name => Name, Digest => Digest, Version => Version, FieldPath => Field, Cell => Cell,
    Vec<SafeValue> => List,
}

impl<T: Into<SafeValue>> From<Option<T>> for SafeValue {
    fn from(value: Option<T>) -> Self {
        value.map_or(SafeValue::Absent, Into::into)
    }
}

impl std::fmt::Display for Cell {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl Cell {
    /// Makes a path of fixed names and ids.
    pub fn path(parts: &[&dyn PathSegment]) -> Self {
        let parts: Vec<String> = parts.iter().map(|part| part.to_string()).collect();
        Cell(parts.join("/"))
    }
}

/// A segment of a path in a [`Cell`].
pub trait PathSegment: std::fmt::Display {}
impl PathSegment for &'static str {}
impl PathSegment for Uuid {}

impl From<u64> for Cell {
    fn from(count: u64) -> Self {
        Cell(count.to_string())
    }
}

impl From<Decimal> for Cell {
    fn from(sum: Decimal) -> Self {
        Cell(sum.normalize().to_string())
    }
}

impl From<&Name> for Cell {
    fn from(name: &Name) -> Self {
        Cell(name.to_string())
    }
}

impl From<Option<&Currency>> for Cell {
    fn from(currency: Option<&Currency>) -> Self {
        Cell(currency.map_or("OTHER".into(), ToString::to_string))
    }
}

/// A JSON document that is made of safe values: the result of a job, or the values of a log entry.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SafeReport(serde_json::Value);

impl SafeReport {
    /// Makes the report of a failure that ended a job.
    pub fn failure(title: &'static str, code: &'static str, blame: Blame, message: &Message) -> Self {
        let r#type = format!("/problems/{code}");
        let problem = json!({
            "type": r#type, "title": title, "status": 500, "code": code, "blame": blame, "detail": message,
        });
        Self(json!({ "problem": problem }))
    }

    /// Wraps a stored report. A report is made of safe values before it is stored.
    pub fn from_storage(report: serde_json::Value) -> Self {
        Self(report)
    }

    /// Returns true if the report is empty.
    pub fn is_empty(&self) -> bool {
        self.0.is_null()
    }
}

impl From<SafeValue> for SafeReport {
    fn from(value: SafeValue) -> Self {
        Self(serde_json::to_value(value).unwrap_or_default())
    }
}

impl std::fmt::Display for SafeReport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn become_json() {
        let rows = [[Cell::from(3), Cell::from(Decimal::new(10_50, 2)), Cell::from(Currency::parse("Novák").as_ref())]];
        let report = SafeValue::table([
            ("valid", SafeValue::from(true)),
            ("rows", SafeValue::list(rows.map(SafeValue::list))),
            ("job", SafeValue::from(None::<Uuid>)),
        ]);
        let expected = json!({"valid": true, "rows": [["3", "10.5", "OTHER"]], "job": null});
        assert_eq!(SafeReport::from(report), SafeReport::from_storage(expected));
    }
}
