//! Spoiled records: kinds of errors and their expected outcomes, so that a demonstration can check its counts.

use std::fmt;

use super::legacy_row::LegacyValue;
use super::portfolio::RandomPurpose;
use super::random::SeededRandom;
use super::rows::{ACCOUNTS, Entity, LegacyRow, LegacyTable, PROPERTIES};

/// A kind of error that a record is spoiled with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpoilKind {
    /// Values separated by semicolons instead of JSON.
    NotJson,
    /// A line without its second half.
    Truncated,
    /// A text that is not UTF-8.
    InvalidUtf8,
    /// A missing required field.
    MissingField,
    /// A number instead of a text, or a text instead of a number.
    WrongType,
    /// A date in a thirteenth month.
    BadDate,
    /// A negative amount.
    BadAmount,
    /// An unknown code.
    UnknownStatus,
    /// A reference to a missing object.
    DanglingReference,
    /// A repayment before the start of the loan.
    BeforeStart,
    /// A disbursement that exceeds the loan.
    Overpaid,
    /// A line that occurs twice.
    Repeated,
    /// Another record with the same key.
    DuplicateKey,
}

/// The expected outcome of a spoiled record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpoilOutcome {
    /// The upload rejects the record.
    RejectedAtLoad,
    /// The record is staged, and validation finds an error.
    FoundByValidation,
    /// The second, identical line is accepted and changes nothing.
    Unchanged,
    /// The record is staged, and the upload rejects the second record with the same key.
    SecondRejected,
}

/// Every kind, in the order of [`SpoilKind`]: the kind, its name, its description and its outcome.
pub const SPOIL_KINDS: &[(SpoilKind, &str, &str, SpoilOutcome)] = &[
    (SpoilKind::NotJson, "not-json", "values separated by semicolons instead of JSON", SpoilOutcome::RejectedAtLoad),
    (SpoilKind::Truncated, "truncated", "the second half of the line is missing", SpoilOutcome::RejectedAtLoad),
    (SpoilKind::InvalidUtf8, "invalid-utf8", "a text is not UTF-8", SpoilOutcome::RejectedAtLoad),
    (SpoilKind::MissingField, "missing-field", "a required field is missing", SpoilOutcome::RejectedAtLoad),
    (
        SpoilKind::WrongType,
        "wrong-type",
        "a number instead of a text, or a text instead of a number",
        SpoilOutcome::RejectedAtLoad,
    ),
    (SpoilKind::BadDate, "bad-date", "a date in a thirteenth month", SpoilOutcome::RejectedAtLoad),
    (SpoilKind::BadAmount, "bad-amount", "a negative amount", SpoilOutcome::RejectedAtLoad),
    (SpoilKind::UnknownStatus, "unknown-status", "an unknown code", SpoilOutcome::RejectedAtLoad),
    (
        SpoilKind::DanglingReference,
        "dangling-reference",
        "a reference to a missing object",
        SpoilOutcome::FoundByValidation,
    ),
    (
        SpoilKind::BeforeStart,
        "before-start",
        "a repayment before the start of the loan",
        SpoilOutcome::FoundByValidation,
    ),
    (SpoilKind::Overpaid, "overpaid", "a disbursement that exceeds the loan", SpoilOutcome::FoundByValidation),
    (SpoilKind::Repeated, "repeated", "the same line occurs twice", SpoilOutcome::Unchanged),
    (SpoilKind::DuplicateKey, "duplicate-key", "another record has the same key", SpoilOutcome::SecondRejected),
];

impl SpoilKind {
    /// Returns the name of the kind, such as `bad-date`.
    pub fn name(self) -> &'static str {
        SPOIL_KINDS[self as usize].1
    }

    /// Returns the expected outcome.
    pub fn outcome(self) -> SpoilOutcome {
        SPOIL_KINDS[self as usize].3
    }

    /// Spoils the fields of a row. Returns false if the kind does not fit the row. [`write()`] spoils the line as a
    /// whole.
    fn apply(self, row: &mut LegacyRow) -> bool {
        let entity = row.becomes.map(|(entity, _)| entity);
        let (field, value) = match (self, row.table) {
            (_, LegacyTable::District | LegacyTable::Account | LegacyTable::Disp | LegacyTable::Card) => return false,
            (SpoilKind::NotJson | SpoilKind::Truncated, _) => return true,
            (SpoilKind::Repeated | SpoilKind::DuplicateKey, _) => return entity.is_some(),

            (SpoilKind::MissingField, table) => {
                row.fields.remove(required_field(table));
                return true;
            }
            (SpoilKind::WrongType, LegacyTable::Client | LegacyTable::Order | LegacyTable::Trans) => {
                (required_field(row.table), LegacyValue::Whole(1))
            }
            (SpoilKind::WrongType, LegacyTable::Loan) => ("amount", LegacyValue::Text("much")),
            (SpoilKind::WrongType, table) => (required_field(table), LegacyValue::Text("much")),
            (SpoilKind::InvalidUtf8, LegacyTable::Loan) => ("status", LegacyValue::Broken),
            (SpoilKind::InvalidUtf8, LegacyTable::Property) => ("kind", LegacyValue::Broken),
            (SpoilKind::InvalidUtf8, LegacyTable::Pledge) => return false,
            (SpoilKind::InvalidUtf8, table) => (required_field(table), LegacyValue::Broken),

            (SpoilKind::BadDate, LegacyTable::Client) => ("birth_number", LegacyValue::Digits(THIRTEENTH_MONTH, 6)),
            (SpoilKind::BadDate, LegacyTable::Property) => ("valued", LegacyValue::Whole(THIRTEENTH_MONTH)),
            (SpoilKind::BadDate, LegacyTable::Loan) => ("date", LegacyValue::Whole(THIRTEENTH_MONTH)),
            (SpoilKind::BadDate, LegacyTable::Trans) if entity.is_some() => {
                ("date", LegacyValue::Whole(THIRTEENTH_MONTH))
            }

            (SpoilKind::BadAmount, LegacyTable::Property) => ("value", LegacyValue::Owed(100)),
            (SpoilKind::BadAmount, LegacyTable::Loan | LegacyTable::Pledge) => ("amount", LegacyValue::Owed(100)),
            (SpoilKind::BadAmount, LegacyTable::Order | LegacyTable::Trans) if entity.is_some() => {
                ("amount", LegacyValue::Owed(100))
            }

            (SpoilKind::UnknownStatus, LegacyTable::Loan) => ("status", LegacyValue::Text("X")),
            (SpoilKind::UnknownStatus, LegacyTable::Property) => ("kind", LegacyValue::Text("HRAD")),

            (SpoilKind::DanglingReference, LegacyTable::Trans) if entity.is_some() => {
                ("account_id", LegacyValue::Whole(ACCOUNTS))
            }
            (SpoilKind::DanglingReference, LegacyTable::Pledge) => ("property_id", LegacyValue::Whole(PROPERTIES)),

            (SpoilKind::BeforeStart, _) if entity == Some(Entity::Repayment) => {
                ("date", LegacyValue::Whole(BEFORE_THE_BOOKS))
            }
            (SpoilKind::Overpaid, _) if entity == Some(Entity::Disbursement) => {
                let Some((_, amount)) = &mut row.becomes else { return false };
                *amount += 100_000;
                ("amount", LegacyValue::Money(*amount))
            }
            _ => return false,
        };
        row.fields.set(field, value);
        true
    }
}

/// A date in 1995 with month 13.
const THIRTEENTH_MONTH: u64 = 951_301;
/// A date before the books begin, which is in 1993.
const BEFORE_THE_BOOKS: u64 = 921_231;

/// Returns a field that the mapper reads in every record of the table.
fn required_field(table: LegacyTable) -> &'static str {
    match table {
        LegacyTable::Client => "birth_number",
        LegacyTable::Loan => "status",
        LegacyTable::Order | LegacyTable::Trans => "k_symbol",
        LegacyTable::Property => "value",
        _ => "rank",
    }
}

/// A rate of records to spoil with one kind of error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpoilRate {
    /// Kind of the error.
    pub kind: SpoilKind,
    /// Number of spoiled records per million of the records that the kind fits.
    pub per_million: u32,
}

impl SpoilRate {
    /// Reads `0.01`, a share that is divided among all kinds, or `bad-date=0.002,not-json=0.001`.
    pub fn parse(text: &str) -> Result<Vec<SpoilRate>, SpoilError> {
        if !text.contains('=') {
            let each = share(text)? / SPOIL_KINDS.len() as u32;
            return Ok(SPOIL_KINDS.iter().map(|&(kind, ..)| SpoilRate { kind, per_million: each }).collect());
        }
        let mut spoil: Vec<SpoilRate> = vec![];
        for part in text.split(',') {
            let (name, number) = part.split_once('=').ok_or_else(|| SpoilError::Share(part.into()))?;
            let known = SPOIL_KINDS.iter().find(|(_, known, ..)| *known == name.trim());
            let &(kind, ..) = known.ok_or_else(|| SpoilError::UnknownKind(name.into()))?;
            spoil.push(SpoilRate { kind, per_million: share(number)? });
        }
        let all: u64 = spoil.iter().map(|spoil| u64::from(spoil.per_million)).sum();
        if all > u64::from(MILLION) { Err(SpoilError::TooMuch) } else { Ok(spoil) }
    }
}

const MILLION: u32 = 1_000_000;

fn share(text: &str) -> Result<u32, SpoilError> {
    let share: f64 = text.trim().parse().map_err(|_| SpoilError::Share(text.into()))?;
    let fits = (0.0..=1.0).contains(&share);
    if fits { Ok((share * f64::from(MILLION)).round() as u32) } else { Err(SpoilError::Share(text.into())) }
}

/// An error of reading rates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SpoilError {
    /// No kind has this name.
    UnknownKind(String),
    /// The text is not a number from 0 to 1.
    Share(String),
    /// The shares add up to more than all records.
    TooMuch,
}

impl fmt::Display for SpoilError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SpoilError::UnknownKind(name) => {
                write!(f, "`{name}` is not a kind of spoiled record; the kinds are")?;
                SPOIL_KINDS.iter().try_for_each(|(_, known, ..)| write!(f, " {known}"))
            }
            SpoilError::Share(text) => write!(f, "`{text}` is not a share from 0 to 1"),
            SpoilError::TooMuch => write!(f, "the shares add up to more than 1"),
        }
    }
}

impl std::error::Error for SpoilError {}

/// Spoils a row if the random number of its key selects it. Returns the kind.
pub fn spoil(seed: u64, rates: &[SpoilRate], row: &mut LegacyRow) -> Option<SpoilKind> {
    if rates.is_empty() {
        return None;
    }
    let purpose = RandomPurpose::Spoil as u64 + ((row.table as u64) << 8);
    let mut drawn = SeededRandom::of(seed, purpose, row.key).below(u64::from(MILLION)) as u32;
    for rate in rates {
        if drawn < rate.per_million {
            return rate.kind.apply(row).then_some(rate.kind);
        }
        drawn -= rate.per_million;
    }
    None
}

/// Writes a row, spoiled with this kind if there is one. Returns the number of lines.
pub fn write(row: &LegacyRow, kind: Option<SpoilKind>, out: &mut Vec<u8>) -> u64 {
    let start = out.len();
    match kind {
        Some(SpoilKind::NotJson) => row.fields.write_semicolons(out),
        Some(SpoilKind::Truncated) => {
            row.fields.write_json(out);
            out.truncate(start + (out.len() - start) / 2);
        }
        _ => row.fields.write_json(out),
    }
    out.push(b'\n');
    match kind {
        Some(SpoilKind::Repeated) => out.extend_from_within(start..),
        Some(SpoilKind::DuplicateKey) => {
            let record = start..out.len() - CLOSING.len();
            out.extend_from_within(record);
            out.extend_from_slice(b",\"remark\":\"2\"");
            out.extend_from_slice(CLOSING);
        }
        _ => return 1,
    }
    2
}

/// End of a line of JSON.
const CLOSING: &[u8] = b"}\n";

#[cfg(test)]
mod tests {
    use super::super::legacy_row::LegacyFields;
    use super::*;

    #[test]
    fn kinds_are_in_order() {
        for (index, &(kind, name, ..)) in SPOIL_KINDS.iter().enumerate() {
            assert_eq!((kind as usize, kind.name()), (index, name));
        }
    }

    #[test]
    fn a_record_can_occur_twice() {
        let cases = [
            (None, "{\"a\":1}\n"),
            (Some(SpoilKind::Repeated), "{\"a\":1}\n{\"a\":1}\n"),
            (Some(SpoilKind::DuplicateKey), "{\"a\":1}\n{\"a\":1,\"remark\":\"2\"}\n"),
        ];
        for (kind, wanted) in cases {
            let fields = LegacyFields::new(&[("a", LegacyValue::Whole(1))]);
            let row = LegacyRow { table: LegacyTable::Client, key: 1, fields, becomes: None };
            let mut out = vec![];
            let lines = write(&row, kind, &mut out);
            assert_eq!((String::from_utf8_lossy(&out).as_ref(), lines), (wanted, wanted.lines().count() as u64));
        }
    }

    #[test]
    fn rates_are_parsed() {
        let bad_date = SpoilRate { kind: SpoilKind::BadDate, per_million: 2_000 };
        let not_json = SpoilRate { kind: SpoilKind::NotJson, per_million: 1_000_000 };
        let cases = [
            ("bad-date=0.002", Ok(vec![bad_date])),
            ("not-json=1, bad-date=0", Ok(vec![not_json, SpoilRate { per_million: 0, ..bad_date }])),
            ("not-json=1,bad-date=0.002", Err(SpoilError::TooMuch)),
            ("bad-day=0.1", Err(SpoilError::UnknownKind("bad-day".into()))),
            ("bad-date=2", Err(SpoilError::Share("2".into()))),
            ("bad-date=-0.1", Err(SpoilError::Share("-0.1".into()))),
            ("bad-date=NaN", Err(SpoilError::Share("NaN".into()))),
            ("bad-date=0.1,not-json", Err(SpoilError::Share("not-json".into()))),
            ("much", Err(SpoilError::Share("much".into()))),
        ];
        for (text, wanted) in cases {
            assert_eq!(SpoilRate::parse(text), wanted, "{text}");
        }
        let all = SpoilRate::parse("0.013").expect("a share");
        assert!(all.len() == SPOIL_KINDS.len() && all.iter().all(|spoil| spoil.per_million == 1_000));
    }
}
