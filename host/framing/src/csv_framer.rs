//! Splits a table (CSV, RFC 4180) into records: each row becomes an object of strings with the names of the header.

use std::sync::Arc;

use super::batch::{Fault, RawBatch};
use super::body_format::Framing;
use super::csv_rows::{CsvDialect, CsvRow, CsvRows, fields};

/// Format of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CsvFormat {
    /// Separator, quote and encoding.
    pub dialect: CsvDialect,
    /// Names of the columns.
    pub names: ColumnNames,
}

/// Source of the column names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ColumnNames {
    /// The first row.
    Header,
    /// The given names, or `1`, `2`, `3` and so on without any. The table has no header.
    Given(Option<Vec<String>>),
}

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

/// A framer of tables.
///
/// Lines end with CRLF, LF or CR. Empty lines are skipped. A row longer than the limit is discarded while it is received,
/// and reported. Memory is bounded by one row and one batch.
pub struct CsvFramer {
    table: Arc<CsvFormat>,
    max_record_bytes: usize,
    rows: CsvRows,
    /// Name of each field as it is written in a record: `"name":`. `None` until the header is complete.
    names: Option<Result<Vec<String>, HeaderFault>>,
    batch: RawBatch,
    /// Buffer of the record that is being written.
    record: Vec<u8>,
}

impl CsvFramer {
    /// Returns a framer of records of at most `max_record_bytes`.
    pub fn new(table: Arc<CsvFormat>, max_record_bytes: usize) -> Self {
        let names = match &table.names {
            ColumnNames::Given(Some(names)) => Some(Ok(names.iter().map(|name| member(name)).collect())),
            _ => None,
        };
        let rows = CsvRows::new(table.dialect, max_record_bytes);
        Self { table, max_record_bytes, rows, names, batch: RawBatch::default(), record: vec![] }
    }

    /// Returns whether the header is valid. Returns `None` until it is complete.
    pub fn header(&self) -> Option<Result<(), HeaderFault>> {
        self.names.as_ref().map(|names| names.as_ref().map(|_| ()).map_err(|fault| *fault))
    }

    /// Processes the complete row.
    fn end_row(&mut self) {
        let row = self.rows.row();
        if row.bytes.is_empty() && !row.too_long {
            return self.rows.next_row();
        }
        let (dialect, header) = (self.table.dialect, self.table.names == ColumnNames::Header);
        match &self.names {
            None if header => self.names = Some(header_names(&row, dialect)),
            None => {
                // The fields of an invalid row cannot be counted.
                let readable = !row.misquoted && !row.too_long;
                if let (true, Some(text)) = (readable, dialect.charset.decode(row.bytes)) {
                    let mut count = 0;
                    fields(&text, dialect, |_| count += 1);
                    self.names = Some(Ok((1..=count).map(|number: usize| member(&number.to_string())).collect()));
                }
                self.add();
            }
            Some(Ok(_)) => self.add(),
            Some(Err(_)) => {}
        }
        self.rows.next_row();
    }

    /// Adds the complete row as a record.
    fn add(&mut self) {
        let Self { table, max_record_bytes, rows, names, batch, record } = self;
        let row = rows.row();
        let names = names.as_ref().and_then(|names| names.as_deref().ok()).unwrap_or_default();
        record.clear();
        match write(&row, table.dialect, names, record) {
            Ok(()) if record.len() <= *max_record_bytes => batch.push(row.line, row.offset, record, None),
            Ok(()) | Err(Fault::TooLarge) => batch.push(row.line, row.offset, &[], Some(Fault::TooLarge)),
            Err(fault) => batch.push(row.line, row.offset, row.bytes, Some(fault)),
        }
    }
}

impl Framing for CsvFramer {
    fn push(&mut self, bytes: &[u8], max_records: usize, max_bytes: usize) -> usize {
        let mut taken = 0;
        while taken < bytes.len() {
            let (more, complete) = self.rows.push(&bytes[taken..]);
            taken += more;
            if complete {
                self.end_row();
            }
            if self.batch.len() >= max_records || self.batch.bytes.len() >= max_bytes {
                break;
            }
        }
        taken
    }

    fn take_batch(&mut self) -> RawBatch {
        std::mem::take(&mut self.batch)
    }

    fn waiting(&self) -> usize {
        self.batch.len()
    }

    fn finish(&mut self) {
        if self.rows.finish() {
            self.end_row();
        }
    }

    fn refused(&self) -> Option<HeaderFault> {
        self.header()?.err()
    }
}

/// Returns a field's name as it is written in a record.
fn member(name: &str) -> String {
    serde_json::Value::from(name).to_string() + ":"
}

/// Reads the names of the header.
fn header_names(row: &CsvRow, dialect: CsvDialect) -> Result<Vec<String>, HeaderFault> {
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
    let mut first = hashbrown::HashMap::new();
    for (place, name) in names.iter().enumerate() {
        if name.trim().is_empty() {
            return Err(HeaderFault::Empty(place + 1));
        }
        if let Some(earlier) = first.insert(name.as_str(), place + 1) {
            return Err(HeaderFault::Duplicate(earlier, place + 1));
        }
    }
    Ok(names.iter().map(|name| member(name)).collect())
}

/// Writes a row as a JSON object.
fn write(row: &CsvRow, dialect: CsvDialect, names: &[String], out: &mut Vec<u8>) -> Result<(), Fault> {
    if row.too_long {
        return Err(Fault::TooLarge);
    }
    if row.misquoted {
        return Err(Fault::Quotes);
    }
    let text = dialect.charset.decode(row.bytes).ok_or(Fault::Encoding)?;
    let mut names = names.iter();
    let mut fits = true;
    out.push(b'{');
    fields(&text, dialect, |value| {
        let Some(name) = names.next() else { return fits = false };
        if out.len() > 1 {
            out.push(b',');
        }
        out.extend_from_slice(name.as_bytes());
        serde_json::to_writer(&mut *out, value).expect("text can be written as JSON");
    });
    out.push(b'}');
    if fits && names.next().is_none() { Ok(()) } else { Err(Fault::FieldCount) }
}
