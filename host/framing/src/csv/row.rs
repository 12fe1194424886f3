//! A row of a table, and the dialect in which it is written.

use crate::charset::Charset;
use crate::lines::QuotePlace;

/// Separator, quote and encoding of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CsvDialect {
    /// Byte between two fields.
    pub separator: u8,
    /// Byte around a quoted field. `None` if no field is quoted.
    pub quote: Option<u8>,
    /// Character encoding.
    pub charset: Charset,
}

/// A row as it was received.
#[derive(Debug)]
pub struct CsvRow<'a> {
    /// Line on which it begins, from 1.
    pub line: u64,
    /// Line on which it ends.
    pub last_line: u64,
    /// Offset at which it begins, in bytes.
    pub offset: u64,
    /// Bytes without the end of the line; empty if the row is too long.
    pub bytes: &'a [u8],
    /// Character that ended the row: a carriage return, a line feed, or 0 at the end of the table.
    pub end: u8,
    /// True if the row is longer than the limit.
    pub too_long: bool,
    /// True if a quote is misplaced or missing.
    pub misquoted: bool,
    /// Place of the quote that was opened and not closed properly. The row ends with that line.
    pub unclosed: Option<QuotePlace>,
    /// True if the row consists of the padding that some systems write at the end of a file.
    pub padding: bool,
}

/// Returns true for a byte of the padding at the end of a file: NUL, or the end-of-file character of old systems.
pub fn is_padding(byte: &u8) -> bool {
    matches!(byte, 0 | 0x1a)
}
