//! Cuts a table (CSV, RFC 4180) into records: an object of strings for each row, named by the header.

use std::sync::Arc;

use super::batch::{Fault, RawBatch};
use super::rows::{Dialect, Row, Rows, fields};
use super::shape::Framing;

/// How a table is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    pub dialect: Dialect,
    pub names: Names,
}

/// Where the names of fields come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Names {
    /// From the first row.
    Header,
    /// There is no header: these, or `1`, `2`, `3` and so on where nobody gave any.
    Given(Option<Vec<String>>),
}

/// Why a header gives no names. A number is that of a field, from 1: if there is no header after all, a name would be
/// somebody's data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderFault {
    /// Longer than a record may be.
    TooLong,
    /// No text in the encoding that was named.
    Encoding,
    /// A quote is where none may be, or is missing.
    Misquoted,
    /// A field without a name.
    Empty(usize),
    /// A name that an earlier field has.
    Duplicate(usize, usize),
}

/// Takes a table's bytes as they come, gives batches of records.
///
/// Lines end with CRLF, LF or CR; empty ones are passed over. A row longer than the limit is dropped while it comes in,
/// and reported; memory stays bounded by one row and one batch.
pub struct CsvFramer {
    table: Arc<Table>,
    max_record_bytes: usize,
    rows: Rows,
    /// Each field's name as it is written in a record: `"name":`. None until the header has come.
    names: Option<Result<Vec<String>, HeaderFault>>,
    batch: RawBatch,
    /// The record that is being written.
    record: Vec<u8>,
}

impl CsvFramer {
    pub fn new(table: Arc<Table>, max_record_bytes: usize) -> Self {
        let names = match &table.names {
            Names::Given(Some(names)) => Some(Ok(names.iter().map(|name| member(name)).collect())),
            _ => None,
        };
        let rows = Rows::new(table.dialect, max_record_bytes);
        Self { table, max_record_bytes, rows, names, batch: RawBatch::default(), record: vec![] }
    }

    /// Whether the names of fields are known, or why they never will be. None as long as the header has not come.
    pub fn header(&self) -> Option<Result<(), HeaderFault>> {
        self.names.as_ref().map(|names| names.as_ref().map(|_| ()).map_err(|fault| *fault))
    }

    /// Works on the row that is whole.
    fn end_row(&mut self) {
        let row = self.rows.row();
        if row.bytes.is_empty() && !row.too_long {
            return self.rows.next_row();
        }
        let (dialect, header) = (self.table.dialect, self.table.names == Names::Header);
        match &self.names {
            None if header => self.names = Some(header_names(&row, dialect)),
            None => {
                // A row that cannot be read says nothing of the others, and has no fields that could be counted.
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

    /// Adds the row that is whole as a record.
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
            let (more, whole) = self.rows.push(&bytes[taken..]);
            taken += more;
            if whole {
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

/// A field's name as it is written in a record.
fn member(name: &str) -> String {
    serde_json::Value::from(name).to_string() + ":"
}

fn header_names(row: &Row, dialect: Dialect) -> Result<Vec<String>, HeaderFault> {
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

/// Writes a row as an object.
fn write(row: &Row, dialect: Dialect, names: &[String], out: &mut Vec<u8>) -> Result<(), Fault> {
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
