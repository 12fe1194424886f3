//! Framed records, packed as they cross the plugin boundary.

/// Why a frame is not a record that can be worked on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Longer than the limit; its bytes are not kept.
    TooLarge,
    /// No text in its encoding, which is UTF-8 unless a table names another.
    Encoding,
    /// Not JSON.
    Json,
    /// JSON, but not one object.
    NotAnObject,
    /// Objects and lists inside each other beyond the limit.
    Depth,
    /// A field that is there twice.
    DuplicateField,
    /// A key field that is missing, empty or not a scalar.
    Key,
    /// A row of a table with a quote where none may be, or without one that is missing.
    Quotes,
    /// A row of a table that has more or fewer fields than it has names for.
    FieldCount,
}

impl Fault {
    /// The issue code.
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
        }
    }
}

/// A batch of framed records.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RawBatch {
    /// The records end to end.
    pub bytes: Vec<u8>,
    /// Where each ends.
    pub ends: Vec<u32>,
    /// Which line each stood on, or its number in a sequence, from 1.
    pub lines: Vec<u64>,
    /// Where each began in the body, in bytes.
    pub offsets: Vec<u64>,
    /// What is wrong with some of them already, by position, ascending.
    pub faults: Vec<(u32, Fault)>,
}

impl RawBatch {
    /// How many records.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The record at a position.
    pub fn record(&self, position: usize) -> &[u8] {
        let start = if position == 0 { 0 } else { self.ends[position - 1] as usize };
        &self.bytes[start..self.ends[position] as usize]
    }

    /// All records, in order.
    pub fn records(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.len()).map(|position| self.record(position))
    }

    pub(super) fn push(&mut self, line: u64, offset: u64, record: &[u8], fault: Option<Fault>) {
        if let Some(fault) = fault {
            self.faults.push((self.ends.len() as u32, fault));
        }
        self.bytes.extend_from_slice(record);
        self.ends.push(self.bytes.len() as u32);
        self.lines.push(line);
        self.offsets.push(offset);
    }
}
