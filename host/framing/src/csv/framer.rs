//! Splits a table (CSV, RFC 4180) into records: each row becomes an object of strings with the names of the header.

use std::sync::Arc;

use super::fields::fields;
use super::header::{Columns, HeaderFault, named_separator};
use super::refused_span::RefusedSpan;
use super::row::{CsvDialect, CsvRow};
use super::rows::CsvRows;
use crate::FrameLimits;
use crate::batch::{Fault, FieldCounts, Notice, RawBatch};
use crate::body_format::Framing;
use crate::lines::{LineSpan, PassedLines, QuotePlace};

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

/// A framer of tables.
///
/// Lines end with CRLF, LF or CR. Empty lines are passed over and counted. A row longer than the limit is discarded while
/// it is received, and reported. If a quoted field is not closed properly, the lines from its quote to the next correct
/// row are reported as one span. Memory is bounded by two rows and one batch.
pub struct CsvFramer {
    table: Arc<CsvFormat>,
    dialect: CsvDialect,
    limits: FrameLimits,
    rows: CsvRows,
    /// Columns. `None` until the header is complete.
    columns: Option<Result<Columns, HeaderFault>>,
    /// True once a row below the header was read.
    begun: bool,
    /// True if the header has columns without a name, and no record has said so.
    unnamed: bool,
    /// Lines that are refused because of a quote, until the next correct row.
    span: Option<RefusedSpan>,
    /// Quote because of which lines are refused.
    quote: Option<QuotePlace>,
    passed: PassedLines,
    batch: RawBatch,
    /// Buffer of the record that is being written.
    record: Vec<u8>,
}

impl CsvFramer {
    /// Returns a framer of records within these limits.
    pub fn new(table: Arc<CsvFormat>, limits: FrameLimits) -> Self {
        let columns = match &table.names {
            ColumnNames::Given(Some(names)) => Some(Ok(Columns::named(names.clone()))),
            _ => None,
        };
        let (dialect, rows) = (table.dialect, CsvRows::new(table.dialect, limits));
        Self {
            table,
            dialect,
            limits,
            rows,
            columns,
            begun: false,
            unnamed: false,
            span: None,
            quote: None,
            passed: PassedLines::default(),
            batch: RawBatch::default(),
            record: vec![],
        }
    }

    /// Returns the names of the columns, or the fault of the header. Returns `None` until they are known.
    pub fn columns(&self) -> Option<Result<&[String], HeaderFault>> {
        self.columns.as_ref().map(|columns| columns.as_ref().map(|known| &*known.names).map_err(|fault| *fault))
    }

    /// Returns true once a row below the header was read.
    pub fn has_begun(&self) -> bool {
        self.begun
    }

    /// Returns the separator, as the first line of the table may have named it.
    pub fn separator(&self) -> u8 {
        self.dialect.separator
    }

    /// Processes the complete row.
    fn end_row(&mut self) {
        let row = self.rows.row();
        let lines = row.last_line - row.line + 1;
        if self.quote.is_none() && !row.too_long && row.bytes.is_empty() && row.unclosed.is_none() {
            self.passed.blank += lines;
            return self.rows.next_row();
        }
        if row.padding {
            self.end_span();
            self.passed.blank += lines;
            return self.rows.next_row();
        }
        if row.line == 1
            && let Some(separator) = named_separator(&row, self.dialect)
        {
            self.dialect.separator = separator;
            self.rows.set_separator(separator);
            self.passed.header += lines;
            return self.rows.next_row();
        }
        if self.columns.is_none() && self.table.names == ColumnNames::Header {
            if is_separators(row.bytes, self.dialect) {
                self.passed.blank += lines;
            } else {
                let columns = Columns::of_header(&row, self.dialect);
                self.unnamed = matches!(columns, Ok(Columns { nameless: 1.., .. }));
                self.columns = Some(columns);
                self.passed.header += lines;
            }
            return self.rows.next_row();
        }
        self.end_record();
        self.rows.next_row();
    }

    /// Processes the complete row of a table whose header is complete.
    fn end_record(&mut self) {
        let row = self.rows.row();
        if self.columns.is_none() {
            self.columns = numbered_columns(&row, self.dialect).map(Ok);
        }
        let known = match &self.columns {
            Some(Err(_)) => return,
            Some(Ok(known)) => Some(known),
            None => None,
        };
        self.record.clear();
        let mut written = write(&row, self.dialect, known, &mut self.record);
        if written.is_ok() && self.record.len() > self.limits.record_bytes {
            written = Err(RowFault::Record(Fault::TooLarge));
        }
        if written == Err(RowFault::Nameless) && !self.begun {
            // The last column is not empty, so its name was forgotten.
            let named = known.map_or(0, |known| known.names.len());
            self.columns = Some(Err(HeaderFault::Empty(named + 1)));
            return;
        }
        let blank = written == Err(RowFault::Record(Fault::Blank));
        self.begun |= !blank;
        if !blank && written.is_err() && (self.quote.is_some() || row.unclosed.is_some()) {
            return self.refuse();
        }
        if self.quote.take().is_some() {
            self.end_span();
        }
        let row = self.rows.row();
        let fault = written.err().map(RowFault::fault);
        let bytes = match fault {
            None => self.record.as_slice(),
            Some(Fault::TooLarge) => &[],
            Some(_) => row.bytes,
        };
        self.batch.push(row.line, row.offset, bytes, fault);
        if let Err(RowFault::FieldCount(counts)) = written {
            self.batch.count_fields(counts);
        }
        if row.last_line > row.line {
            self.batch.mark_span(LineSpan { last: row.last_line, quote: None });
        }
        if fault.is_none() && std::mem::take(&mut self.unnamed) {
            self.batch.note(Notice::NamelessColumn);
        }
    }

    /// Refuses the complete row, because a quote before it was not closed properly.
    fn refuse(&mut self) {
        let Self { dialect, limits, rows, quote, span, batch, .. } = self;
        let row = rows.row();
        let Some(place) = quote.or(row.unclosed) else { return };
        *quote = Some(place);
        if span.as_mut().is_some_and(|span| span.add(&row, dialect.charset, limits.record_bytes)) {
            return;
        }
        if let Some(span) = span.take() {
            span.push_to(batch);
        }
        if row.too_long {
            batch.push(row.line, row.offset, &[], Some(Fault::TooLarge));
            batch.mark_span(LineSpan { last: row.last_line, quote: Some(place) });
        } else {
            *span = Some(RefusedSpan::new(&row, place));
        }
    }

    /// Ends the refused lines, if there are any.
    fn end_span(&mut self) {
        if let Some(span) = self.span.take() {
            span.push_to(&mut self.batch);
        }
    }

    fn is_full(&self, max_records: usize, max_bytes: usize) -> bool {
        self.batch.len() >= max_records || self.batch.bytes.len() >= max_bytes
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
            if self.is_full(max_records, max_bytes) {
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

    fn finish(&mut self, max_records: usize, max_bytes: usize) -> bool {
        while !self.is_full(max_records, max_bytes) {
            let (_, complete) = self.rows.push(&[]);
            if complete || self.rows.finish() {
                self.end_row();
                continue;
            }
            if self.rows.take_lone_mark() {
                self.passed.blank += 1;
            }
            self.end_span();
            self.quote = None;
            return true;
        }
        false
    }

    fn refused(&self) -> Option<HeaderFault> {
        self.columns()?.err()
    }

    fn passed(&self) -> PassedLines {
        self.passed
    }
}

/// Reason why a row is not a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RowFault {
    /// The record has this fault.
    Record(Fault),
    /// A field of a column without a name is not empty.
    Nameless,
    /// The row has more or fewer fields than the table.
    FieldCount(FieldCounts),
}

impl RowFault {
    fn fault(self) -> Fault {
        match self {
            RowFault::Record(fault) => fault,
            RowFault::Nameless | RowFault::FieldCount(_) => Fault::FieldCount,
        }
    }
}

/// Returns numbered columns, as many as a row has fields. Returns `None` if the fields cannot be counted.
fn numbered_columns(row: &CsvRow, dialect: CsvDialect) -> Option<Columns> {
    let readable = !row.misquoted && !row.too_long && !row.bytes.is_empty();
    let text = dialect.charset.decode(row.bytes).filter(|_| readable)?;
    let mut count = 0;
    fields(&text, dialect, |_| count += 1);
    Some(Columns::numbered(count))
}

/// Returns true if a row consists of separators alone.
fn is_separators(row: &[u8], dialect: CsvDialect) -> bool {
    let unit = dialect.charset.unit();
    !row.is_empty() && row.chunks(unit).all(|character| dialect.charset.ascii(character) == dialect.separator)
}

/// Writes a row as a JSON object.
fn write(row: &CsvRow, dialect: CsvDialect, columns: Option<&Columns>, out: &mut Vec<u8>) -> Result<(), RowFault> {
    if row.too_long {
        return Err(RowFault::Record(Fault::TooLarge));
    }
    if row.misquoted {
        return Err(RowFault::Record(Fault::Quotes));
    }
    if is_separators(row.bytes, dialect) {
        return Err(RowFault::Record(Fault::Blank));
    }
    let text = dialect.charset.decode(row.bytes).ok_or(RowFault::Record(Fault::Encoding))?;
    let Some(columns) = columns.filter(|_| !row.bytes.is_empty()) else {
        return Err(RowFault::Record(Fault::FieldCount));
    };
    let mut members = columns.members.iter();
    let (mut more, mut nameless, mut found) = (0, false, 0);
    out.push(b'{');
    fields(&text, dialect, |value| {
        found += 1;
        let Some(member) = members.next() else {
            more += 1;
            nameless |= !value.trim().is_empty();
            return;
        };
        if out.len() > 1 {
            out.push(b',');
        }
        out.extend_from_slice(member.as_bytes());
        serde_json::to_writer(&mut *out, value).expect("text can be written as JSON");
    });
    out.push(b'}');
    match members.next() {
        None if more == 0 => Ok(()),
        None if more <= columns.nameless && nameless => Err(RowFault::Nameless),
        None if more == columns.nameless => Ok(()),
        _ => {
            let expected = u32::try_from(columns.members.len() + columns.nameless).unwrap_or(u32::MAX);
            Err(RowFault::FieldCount(FieldCounts { expected, found }))
        }
    }
}
