//! A batch of framed records, packed in the form that crosses the plugin boundary.

use super::lines::LineSpan;

/// Reason why a frame is not a valid record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The record is longer than the limit. Its bytes are not kept.
    TooLarge,
    /// The bytes are not text in the body's encoding, which is UTF-8 unless a table names another one.
    Encoding,
    /// The text is not JSON.
    Json,
    /// The text is JSON, but not one object.
    NotAnObject,
    /// Objects and lists are nested deeper than the limit.
    Depth,
    /// An object has a field twice.
    DuplicateField,
    /// A key field is missing, empty or not a scalar.
    Key,
    /// A quote in a row of a table is misplaced or missing.
    Quotes,
    /// A row of a table has more or fewer fields than the table has names.
    FieldCount,
    /// A row of a table consists of separators alone. It is skipped and not rejected.
    Blank,
}

/// A remark about a record that is accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// The table's header has columns without a name at its end. Their fields are empty and passed over.
    NamelessColumn,
}

impl Notice {
    /// Returns the code of the warning.
    pub fn code(self) -> &'static str {
        match self {
            Notice::NamelessColumn => "NAMELESS_COLUMN",
        }
    }
}

impl Fault {
    /// Returns the issue code.
    pub fn code(self) -> &'static str {
        match self {
            Fault::TooLarge => "RECORD_TOO_LARGE",
            Fault::Encoding => "INVALID_ENCODING",
            Fault::Json => "INVALID_JSON",
            Fault::NotAnObject => "NOT_AN_OBJECT",
            Fault::Depth => "NESTED_TOO_DEEP",
            Fault::DuplicateField => "DUPLICATE_FIELD",
            Fault::Key => "MISSING_KEY",
            Fault::Quotes => "INVALID_QUOTES",
            Fault::FieldCount => "WRONG_FIELD_COUNT",
            Fault::Blank => "BLANK_ROW",
        }
    }

    /// Returns true if the record is skipped. A record with another fault is rejected.
    pub fn skips(self) -> bool {
        self == Fault::Blank
    }
}

/// A batch of framed records.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RawBatch {
    /// The records, end to end.
    pub bytes: Vec<u8>,
    /// End of each record in `bytes`.
    pub ends: Vec<u32>,
    /// Line of each record, or its number in a sequence, from 1.
    pub lines: Vec<u64>,
    /// Offset of each record in the body, in bytes.
    pub offsets: Vec<u64>,
    /// Faults that framing found, by position, ascending.
    pub faults: Vec<(u32, Fault)>,
    /// Lines of the records that have more than one, by position, ascending.
    pub spans: Vec<(u32, LineSpan)>,
    /// Remarks about records, by position, ascending.
    pub notices: Vec<(u32, Notice)>,
}

impl RawBatch {
    /// Returns the number of records.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Returns true if the batch contains no record.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Returns the record at a position.
    pub fn record(&self, position: usize) -> &[u8] {
        let start = if position == 0 { 0 } else { self.ends[position - 1] as usize };
        &self.bytes[start..self.ends[position] as usize]
    }

    /// Iterates over all records, in order.
    pub fn records(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.len()).map(|position| self.record(position))
    }

    /// Returns the lines of the record at a position, if it has more than one or is a refused span.
    pub fn span(&self, position: usize) -> Option<LineSpan> {
        let found = self.spans.binary_search_by_key(&position, |(of, _)| *of as usize).ok()?;
        Some(self.spans[found].1)
    }

    /// Sets the lines of the record that was added last.
    pub(super) fn mark_span(&mut self, span: LineSpan) {
        self.spans.push((length_u32(self.ends.len() - 1), span));
    }

    /// Adds a remark about the record that was added last.
    pub(super) fn note(&mut self, notice: Notice) {
        self.notices.push((length_u32(self.ends.len() - 1), notice));
    }

    /// Adds a record.
    pub(super) fn push(&mut self, line: u64, offset: u64, record: &[u8], fault: Option<Fault>) {
        if let Some(fault) = fault {
            self.faults.push((length_u32(self.ends.len()), fault));
        }
        self.bytes.extend_from_slice(record);
        self.ends.push(length_u32(self.bytes.len()));
        self.lines.push(line);
        self.offsets.push(offset);
    }
}

/// Converts a length of a batch to 32 bits.
fn length_u32(length: usize) -> u32 {
    u32::try_from(length).expect("a batch ends long before it has 4 GiB")
}
