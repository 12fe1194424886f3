//! A batch of framed records, packed in the form that crosses the plugin boundary.

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
        }
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
