//! Ways of spoiling records, each with what comes of it, so that a demonstration can say what it expects.

use std::fmt;

use super::chance::Chance;
use super::line::Value;
use super::portfolio::About;
use super::rows::{ACCOUNTS, Entity, PROPERTIES, Row, Table};

/// A way of spoiling a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    NotJson,
    Truncated,
    InvalidUtf8,
    MissingField,
    WrongType,
    BadDate,
    BadAmount,
    UnknownStatus,
    DanglingReference,
    BeforeStart,
    Overpaid,
    Repeated,
    DuplicateKey,
}

/// What comes of a spoiled record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It has an error when it is loaded, and is not staged.
    RejectedAtLoad,
    /// It is staged, and validation finds an error.
    FoundByValidation,
    /// It stands there a second time, byte for byte: that is accepted, and changes nothing.
    Unchanged,
    /// It stays, and another record under the same key is rejected when that is loaded.
    SecondRejected,
}

/// Every way: its name, what it does, what comes of it. In the order of [`Way`].
pub const WAYS: &[(Way, &str, &str, Outcome)] = &[
    (Way::NotJson, "not-json", "values with semicolons between them", Outcome::RejectedAtLoad),
    (Way::Truncated, "truncated", "the second half of the line is missing", Outcome::RejectedAtLoad),
    (Way::InvalidUtf8, "invalid-utf8", "a text holds bytes that are no UTF-8", Outcome::RejectedAtLoad),
    (Way::MissingField, "missing-field", "a field that is needed is left out", Outcome::RejectedAtLoad),
    (Way::WrongType, "wrong-type", "a number where text belongs, or text where a number does", Outcome::RejectedAtLoad),
    (Way::BadDate, "bad-date", "a day in a thirteenth month", Outcome::RejectedAtLoad),
    (Way::BadAmount, "bad-amount", "an amount below zero", Outcome::RejectedAtLoad),
    (Way::UnknownStatus, "unknown-status", "a code that the bank does not have", Outcome::RejectedAtLoad),
    (
        Way::DanglingReference,
        "dangling-reference",
        "the number of something that is not there",
        Outcome::FoundByValidation,
    ),
    (Way::BeforeStart, "before-start", "a repayment before the loan began", Outcome::FoundByValidation),
    (Way::Overpaid, "overpaid", "more is paid out than was lent", Outcome::FoundByValidation),
    (Way::Repeated, "repeated", "the record stands there twice", Outcome::Unchanged),
    (Way::DuplicateKey, "duplicate-key", "another record has the same key", Outcome::SecondRejected),
];

impl Way {
    /// Its name, such as `bad-date`.
    pub fn name(self) -> &'static str {
        WAYS[self as usize].1
    }

    /// What comes of it.
    pub fn outcome(self) -> Outcome {
        WAYS[self as usize].3
    }

    /// Spoils the row's fields; whether this way fits the row at all. What concerns the whole line is
    /// left to [`write`].
    fn apply(self, row: &mut Row) -> bool {
        let entity = row.becomes.map(|(entity, _)| entity);
        let (field, value) = match (self, row.table) {
            (_, Table::District | Table::Account | Table::Disp | Table::Card) => return false,
            (Way::NotJson | Way::Truncated, _) => return true,
            (Way::Repeated | Way::DuplicateKey, _) => return entity.is_some(),

            (Way::MissingField, table) => {
                row.fields.remove(needed(table));
                return true;
            }
            (Way::WrongType, Table::Client | Table::Order | Table::Trans) => (needed(row.table), Value::Whole(1)),
            (Way::WrongType, Table::Loan) => ("amount", Value::Text("much")),
            (Way::WrongType, table) => (needed(table), Value::Text("much")),
            (Way::InvalidUtf8, Table::Loan) => ("status", Value::Broken),
            (Way::InvalidUtf8, Table::Property) => ("kind", Value::Broken),
            (Way::InvalidUtf8, Table::Pledge) => return false,
            (Way::InvalidUtf8, table) => (needed(table), Value::Broken),

            (Way::BadDate, Table::Client) => ("birth_number", Value::Digits(THIRTEENTH_MONTH, 6)),
            (Way::BadDate, Table::Property) => ("valued", Value::Whole(THIRTEENTH_MONTH)),
            (Way::BadDate, Table::Loan) => ("date", Value::Whole(THIRTEENTH_MONTH)),
            (Way::BadDate, Table::Trans) if entity.is_some() => ("date", Value::Whole(THIRTEENTH_MONTH)),

            (Way::BadAmount, Table::Property) => ("value", Value::Owed(100)),
            (Way::BadAmount, Table::Loan | Table::Pledge) => ("amount", Value::Owed(100)),
            (Way::BadAmount, Table::Order | Table::Trans) if entity.is_some() => ("amount", Value::Owed(100)),

            (Way::UnknownStatus, Table::Loan) => ("status", Value::Text("X")),
            (Way::UnknownStatus, Table::Property) => ("kind", Value::Text("HRAD")),

            (Way::DanglingReference, Table::Trans) if entity.is_some() => ("account_id", Value::Whole(ACCOUNTS)),
            (Way::DanglingReference, Table::Pledge) => ("property_id", Value::Whole(PROPERTIES)),

            (Way::BeforeStart, _) if entity == Some(Entity::Repayment) => ("date", Value::Whole(BEFORE_THE_BOOKS)),
            (Way::Overpaid, _) if entity == Some(Entity::Disbursement) => {
                let Some((_, amount)) = &mut row.becomes else { return false };
                *amount += 100_000;
                ("amount", Value::Money(*amount))
            }
            _ => return false,
        };
        row.fields.set(field, value);
        true
    }
}

/// 1995, but no month of it.
const THIRTEENTH_MONTH: u64 = 951_301;
/// The books begin in 1993.
const BEFORE_THE_BOOKS: u64 = 921_231;

/// A field that a mapper reads of every record of the table, whatever becomes of it.
fn needed(table: Table) -> &'static str {
    match table {
        Table::Client => "birth_number",
        Table::Loan => "status",
        Table::Order | Table::Trans => "k_symbol",
        Table::Property => "value",
        _ => "rank",
    }
}

/// How many records are to be spoiled in one way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spoil {
    /// How.
    pub way: Way,
    /// How many of a million, of those records that the way fits.
    pub per_million: u32,
}

impl Spoil {
    /// Reads `0.01`, a share that is divided among all ways, or `bad-date=0.002,not-json=0.001`.
    pub fn parse(text: &str) -> Result<Vec<Spoil>, BadSpoil> {
        if !text.contains('=') {
            let each = share(text)? / WAYS.len() as u32;
            return Ok(WAYS.iter().map(|&(way, ..)| Spoil { way, per_million: each }).collect());
        }
        let mut spoil: Vec<Spoil> = vec![];
        for part in text.split(',') {
            let (name, number) = part.split_once('=').ok_or_else(|| BadSpoil::Share(part.into()))?;
            let known = WAYS.iter().find(|(_, known, ..)| *known == name.trim());
            let &(way, ..) = known.ok_or_else(|| BadSpoil::Way(name.into()))?;
            spoil.push(Spoil { way, per_million: share(number)? });
        }
        let all: u64 = spoil.iter().map(|spoil| u64::from(spoil.per_million)).sum();
        if all > u64::from(MILLION) { Err(BadSpoil::TooMuch) } else { Ok(spoil) }
    }
}

const MILLION: u32 = 1_000_000;

fn share(text: &str) -> Result<u32, BadSpoil> {
    let share: f64 = text.trim().parse().map_err(|_| BadSpoil::Share(text.into()))?;
    let fits = (0.0..=1.0).contains(&share);
    if fits { Ok((share * f64::from(MILLION)).round() as u32) } else { Err(BadSpoil::Share(text.into())) }
}

/// Why a wish to spoil cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BadSpoil {
    /// No way has this name.
    Way(String),
    /// Not a number from 0 to 1.
    Share(String),
    /// The shares add up to more than all records.
    TooMuch,
}

impl fmt::Display for BadSpoil {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BadSpoil::Way(name) => {
                write!(f, "no way of spoiling is called `{name}`; there are")?;
                WAYS.iter().try_for_each(|(_, known, ..)| write!(f, " {known}"))
            }
            BadSpoil::Share(text) => write!(f, "`{text}` is not a share from 0 to 1"),
            BadSpoil::TooMuch => write!(f, "the shares add up to more than 1"),
        }
    }
}

impl std::error::Error for BadSpoil {}

/// Spoils a row if it is its turn, and says how.
pub fn spoil(seed: u64, wishes: &[Spoil], row: &mut Row) -> Option<Way> {
    if wishes.is_empty() {
        return None;
    }
    let about = About::Spoil as u64 + ((row.table as u64) << 8);
    let mut drawn = Chance::of(seed, about, row.key).below(u64::from(MILLION)) as u32;
    for wish in wishes {
        if drawn < wish.per_million {
            return wish.way.apply(row).then_some(wish.way);
        }
        drawn -= wish.per_million;
    }
    None
}

/// Writes a row as it was spoiled, or as it should be; how many lines that were.
pub fn write(row: &Row, way: Option<Way>, out: &mut Vec<u8>) -> u64 {
    let start = out.len();
    match way {
        Some(Way::NotJson) => row.fields.write_semicolons(out),
        Some(Way::Truncated) => {
            row.fields.write_json(out);
            out.truncate(start + (out.len() - start) / 2);
        }
        _ => row.fields.write_json(out),
    }
    out.push(b'\n');
    match way {
        Some(Way::Repeated) => out.extend_from_within(start..),
        Some(Way::DuplicateKey) => {
            let record = start..out.len() - CLOSING.len();
            out.extend_from_within(record);
            out.extend_from_slice(b",\"remark\":\"2\"");
            out.extend_from_slice(CLOSING);
        }
        _ => return 1,
    }
    2
}

/// How a line ends that is JSON.
const CLOSING: &[u8] = b"}\n";

#[cfg(test)]
mod tests {
    use super::super::line::Fields;
    use super::*;

    #[test]
    fn ways_stand_in_their_own_places() {
        for (index, &(way, name, ..)) in WAYS.iter().enumerate() {
            assert_eq!((way as usize, way.name()), (index, name));
        }
    }

    #[test]
    fn a_record_can_stand_there_again() {
        let cases = [
            (None, "{\"a\":1}\n"),
            (Some(Way::Repeated), "{\"a\":1}\n{\"a\":1}\n"),
            (Some(Way::DuplicateKey), "{\"a\":1}\n{\"a\":1,\"remark\":\"2\"}\n"),
        ];
        for (way, wanted) in cases {
            let fields = Fields::new(&[("a", Value::Whole(1))]);
            let row = Row { table: Table::Client, key: 1, fields, becomes: None };
            let mut out = vec![];
            let lines = write(&row, way, &mut out);
            assert_eq!((String::from_utf8_lossy(&out).as_ref(), lines), (wanted, wanted.lines().count() as u64));
        }
    }

    #[test]
    fn wishes_are_read() {
        let bad_date = Spoil { way: Way::BadDate, per_million: 2_000 };
        let not_json = Spoil { way: Way::NotJson, per_million: 1_000_000 };
        let cases = [
            ("bad-date=0.002", Ok(vec![bad_date])),
            ("not-json=1, bad-date=0", Ok(vec![not_json, Spoil { per_million: 0, ..bad_date }])),
            ("not-json=1,bad-date=0.002", Err(BadSpoil::TooMuch)),
            ("bad-day=0.1", Err(BadSpoil::Way("bad-day".into()))),
            ("bad-date=2", Err(BadSpoil::Share("2".into()))),
            ("bad-date=-0.1", Err(BadSpoil::Share("-0.1".into()))),
            ("bad-date=NaN", Err(BadSpoil::Share("NaN".into()))),
            ("bad-date=0.1,not-json", Err(BadSpoil::Share("not-json".into()))),
            ("much", Err(BadSpoil::Share("much".into()))),
        ];
        for (text, wanted) in cases {
            assert_eq!(Spoil::parse(text), wanted, "{text}");
        }
        let all = Spoil::parse("0.013").expect("a share");
        assert!(all.len() == WAYS.len() && all.iter().all(|spoil| spoil.per_million == 1_000));
    }
}
