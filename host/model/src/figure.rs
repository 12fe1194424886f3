//! What a log entry or a report may hold: figures, ids and words, and no text that comes along.

use jiff::Timestamp;
use rust_decimal::Decimal;
use serde::{Serialize, Serializer};
use serde_json::json;
use uuid::Uuid;

use super::{Blame, Code, Currency, Detail, Digest, FieldPath, Name, Version};

/// One value of a log entry or a report. There is no way to make one of a `String`:
///
/// ```
/// use sluice::model::Figure;
/// let _ = [Figure::from(7_u64), Figure::from("loan"), Figure::from(uuid::Uuid::nil())];
/// ```
///
/// ```compile_fail
/// use sluice::model::Figure;
/// let _ = Figure::from(String::from("Jan Novák"));
/// ```
///
/// ```compile_fail
/// use sluice::model::Figure;
/// let record = String::from("Jan Novák");
/// let _ = Figure::from(record.as_str());
/// ```
///
/// ```compile_fail
/// use sluice::model::Figure;
/// let _ = Figure::from(serde_json::json!({"surname": "Novák"}));
/// ```
#[derive(Clone, Debug, PartialEq)]
pub enum Figure {
    /// Nothing.
    Absent,
    /// Yes or no.
    Flag(bool),
    /// How many, or which.
    Count(u64),
    /// A measure.
    Number(f64),
    /// A reference id, or an id of the host's own.
    Id(Uuid),
    /// When.
    Time(Timestamp),
    /// A word of this source.
    Word(&'static str),
    /// A code.
    Code(Code),
    /// A name.
    Name(Name),
    /// A plugin's version.
    Version(Version),
    /// Where in a record.
    Field(FieldPath),
    /// A digest.
    Digest(Digest),
    /// A figure that is shown as text, as a cell of a count is.
    Cell(Cell),
    /// Several.
    List(Vec<Figure>),
    /// Several by name.
    Table(Vec<(Name, Figure)>),
}

/// A figure that is shown as text.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cell(String);

impl Figure {
    /// Several by name.
    pub fn table<N: Into<Name>, F: Into<Figure>>(entries: impl IntoIterator<Item = (N, F)>) -> Self {
        Figure::Table(entries.into_iter().map(|(name, figure)| (name.into(), figure.into())).collect())
    }

    /// Several.
    pub fn list<F: Into<Figure>>(items: impl IntoIterator<Item = F>) -> Self {
        Figure::List(items.into_iter().map(Into::into).collect())
    }
}

impl Serialize for Figure {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Figure::Absent => serializer.serialize_unit(),
            Figure::Flag(flag) => flag.serialize(serializer),
            Figure::Count(count) => count.serialize(serializer),
            Figure::Number(number) => number.serialize(serializer),
            Figure::Id(id) => id.serialize(serializer),
            Figure::Time(time) => serializer.collect_str(time),
            Figure::Word(word) => word.serialize(serializer),
            Figure::Code(code) => code.serialize(serializer),
            Figure::Name(name) => name.serialize(serializer),
            Figure::Version(version) => version.serialize(serializer),
            Figure::Field(path) => path.serialize(serializer),
            Figure::Digest(digest) => digest.serialize(serializer),
            Figure::Cell(Cell(cell)) => cell.serialize(serializer),
            Figure::List(items) => items.serialize(serializer),
            Figure::Table(entries) => serializer.collect_map(entries.iter().map(|(name, figure)| (name, figure))),
        }
    }
}

macro_rules! figures {
    ($($from:ty => $variant:ident),* $(,)?) => {
        $(impl From<$from> for Figure {
            fn from(value: $from) -> Self {
                Figure::$variant(value.into())
            }
        })*
    };
}

figures! {
    bool => Flag, u32 => Count, u64 => Count, f64 => Number, Uuid => Id, Timestamp => Time, &'static str => Word,
    Code => Code, Name => Name, Digest => Digest, Version => Version, FieldPath => Field, Cell => Cell, Vec<Figure> => List,
}

impl<T: Into<Figure>> From<Option<T>> for Figure {
    fn from(value: Option<T>) -> Self {
        value.map_or(Figure::Absent, Into::into)
    }
}

impl std::fmt::Display for Cell {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl Cell {
    /// A path of fixed names and ids.
    pub fn path(parts: &[&dyn PathPart]) -> Self {
        let parts: Vec<String> = parts.iter().map(|part| part.to_string()).collect();
        Cell(parts.join("/"))
    }
}

/// What a path that is shown is made of.
pub trait PathPart: std::fmt::Display {}
impl PathPart for &'static str {}
impl PathPart for Uuid {}

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

/// What came of a job, as it is kept and shown: made of figures.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report(serde_json::Value);

impl Report {
    /// A problem document about what broke off.
    pub fn problem(title: &'static str, code: &'static str, blame: Blame, detail: &Detail) -> Self {
        let r#type = format!("/problems/{code}");
        let problem = json!({
            "type": r#type, "title": title, "status": 500, "code": code, "blame": blame, "detail": detail,
        });
        Self(json!({ "problem": problem }))
    }

    /// A report that was kept: what is kept was made of figures.
    pub fn kept(report: serde_json::Value) -> Self {
        Self(report)
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_null()
    }
}

impl From<Figure> for Report {
    fn from(figure: Figure) -> Self {
        Self(serde_json::to_value(figure).unwrap_or_default())
    }
}

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn are_shown_as_json() {
        let rows = [[Cell::from(3), Cell::from(Decimal::new(10_50, 2)), Cell::from(Currency::read("Novák").as_ref())]];
        let report = Figure::table([
            ("valid", Figure::from(true)),
            ("rows", Figure::list(rows.map(Figure::list))),
            ("job", Figure::from(None::<Uuid>)),
        ]);
        let expected = json!({"valid": true, "rows": [["3", "10.5", "OTHER"]], "job": null});
        assert_eq!(Report::from(report), Report::kept(expected));
    }
}
