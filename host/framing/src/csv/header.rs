//! Header of a table: the names of its columns, and a first line that names the separator.

use super::fields::fields;
use super::row::{CsvDialect, CsvRow};

/// Reason why a header is invalid. Fields are given by number, from 1, and not by name: if the table has no header after
/// all, a name would be personal data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderFault {
    /// The header is longer than a record may be.
    TooLong,
    /// The header is not text in the given encoding.
    Encoding,
    /// A quote is misplaced or missing.
    Misquoted,
    /// The field with this number has no name.
    Empty(usize),
    /// The second field has the same name as the first.
    Duplicate(usize, usize),
}

/// Columns of a table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Columns {
    /// Names.
    pub names: Vec<String>,
    /// Name of each column as it is written in a record: `"name":`.
    pub members: Vec<String>,
    /// Number of columns after them that have no name. Their fields have to be empty.
    pub nameless: usize,
}

impl Columns {
    /// Returns columns with these names.
    pub fn named(names: Vec<String>) -> Self {
        let members = names.iter().map(|name| serde_json::Value::from(name.as_str()).to_string() + ":").collect();
        Self { names, members, nameless: 0 }
    }

    /// Returns columns that are called `1`, `2`, `3` and so on.
    pub fn numbered(count: usize) -> Self {
        Self::named((1..=count).map(|number| number.to_string()).collect())
    }

    /// Reads the names of the header. Columns without a name at the end are passed over.
    pub fn of_header(row: &CsvRow, dialect: CsvDialect) -> Result<Self, HeaderFault> {
        if row.too_long {
            return Err(HeaderFault::TooLong);
        }
        if row.misquoted {
            return Err(HeaderFault::Misquoted);
        }
        if dialect.charset.contradicts(row.bytes) {
            return Err(HeaderFault::Encoding);
        }
        let text = dialect.charset.decode(row.bytes).ok_or(HeaderFault::Encoding)?;
        let mut names: Vec<String> = vec![];
        fields(&text, dialect, |name| names.push(name.to_owned()));
        let named = names.iter().rposition(|name| !name.trim().is_empty()).map_or(0, |last| last + 1);
        if named == 0 {
            return Err(HeaderFault::Empty(1));
        }
        let nameless = names.len() - named;
        names.truncate(named);
        match fault_of(&names) {
            Some(fault) => Err(fault),
            None => Ok(Self { nameless, ..Self::named(names) }),
        }
    }
}

/// Returns the first name that is empty, or is there twice.
fn fault_of(names: &[String]) -> Option<HeaderFault> {
    let mut first = hashbrown::HashMap::new();
    names.iter().zip(1..).find_map(|(name, place)| {
        if name.trim().is_empty() {
            return Some(HeaderFault::Empty(place));
        }
        first.insert(name.as_str(), place).map(|earlier| HeaderFault::Duplicate(earlier, place))
    })
}

/// Returns the separator that the first line of a table names, as spreadsheets write it: `sep=;`.
pub(super) fn named_separator(row: &CsvRow, dialect: CsvDialect) -> Option<u8> {
    // Eight characters are enough, in two bytes each.
    if row.too_long || row.bytes.len() > 16 {
        return None;
    }
    let text = dialect.charset.decode(row.bytes)?;
    let text = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(&text);
    let (name, separator) = text.split_at_checked(4)?;
    match separator.as_bytes() {
        [byte] if name.eq_ignore_ascii_case("sep=") && is_separator(*byte) && dialect.quote != Some(*byte) => {
            Some(*byte)
        }
        _ => None,
    }
}

/// Returns true if a byte may separate fields: an ASCII character that is no letter, no digit, and ends no line.
pub fn is_separator(byte: u8) -> bool {
    byte.is_ascii() && !byte.is_ascii_alphanumeric() && !b"\r\n\0".contains(&byte)
}
