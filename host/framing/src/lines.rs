//! Lines of a body: their number, counted apart from framing, and the lines of a record.

use super::{BodyFormat, Charset, JsonFormat};

/// Place of a quote in a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuotePlace {
    /// Line, from 1.
    pub line: u64,
    /// Column of the table, from 1.
    pub column: u32,
}

/// Lines of a record that has more than one, or of a refused span of lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LineSpan {
    /// Last line.
    pub last: u64,
    /// Place of the quote because of which the lines are refused.
    pub quote: Option<QuotePlace>,
}

/// Numbers of lines that belong to no record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PassedLines {
    /// Lines of a table's header, with a first line that names the separator.
    pub header: u64,
    /// Empty lines, and the padding at the end of a file.
    pub blank: u64,
}

/// A counter of a body's lines. It does not use the framers, so that its number shows if a framer has lost a line.
#[derive(Clone, Debug)]
pub struct LineCounter {
    unit: LineUnit,
    lines: u64,
    /// True if bytes came after the last end of a line.
    open: bool,
    /// True if the last character was a carriage return.
    returned: bool,
    /// First byte of a pair whose second byte has not arrived.
    half: Option<u8>,
}

/// Character, or pair of characters, that ends a line.
#[derive(Clone, Copy, Debug)]
enum LineUnit {
    /// A line feed.
    LineFeed,
    /// A record separator, which stands before each text.
    RecordSeparator,
    /// A carriage return, a line feed, or both.
    AnyEnd,
    /// The same in an encoding with two bytes a character.
    AnyEndOfPairs(Charset),
}

impl LineCounter {
    /// Returns a counter for a body in this format. A text of a sequence counts as a line.
    pub fn new(format: &BodyFormat) -> Self {
        let unit = match format {
            BodyFormat::Json(JsonFormat::JsonLines) => LineUnit::LineFeed,
            BodyFormat::Json(JsonFormat::JsonSeq) => LineUnit::RecordSeparator,
            BodyFormat::Csv(table) if table.dialect.charset.unit() == 2 => {
                LineUnit::AnyEndOfPairs(table.dialect.charset)
            }
            BodyFormat::Csv(_) => LineUnit::AnyEnd,
        };
        Self { unit, lines: 0, open: false, returned: false, half: None }
    }

    /// Counts the lines in the next bytes of the body.
    pub fn push(&mut self, bytes: &[u8]) {
        let Some(last) = bytes.last() else { return };
        match self.unit {
            LineUnit::LineFeed => {
                self.lines += memchr::memchr_iter(b'\n', bytes).count() as u64;
                self.open = *last != b'\n';
            }
            LineUnit::RecordSeparator => {
                // The first separator does not end a text.
                let begins = !self.open && bytes[0] == 0x1e;
                self.lines += memchr::memchr_iter(0x1e, bytes).count() as u64 - u64::from(begins);
                self.open = true;
            }
            LineUnit::AnyEnd => {
                let after_return = self.returned && bytes[0] == b'\n';
                let is_second = |place: usize| bytes[place] == b'\n' && place > 0 && bytes[place - 1] == b'\r';
                let ends = memchr::memchr2_iter(b'\n', b'\r', bytes).filter(|place| !is_second(*place)).count();
                self.lines += ends as u64 - u64::from(after_return);
                self.open = !matches!(last, b'\n' | b'\r');
                self.returned = *last == b'\r';
            }
            LineUnit::AnyEndOfPairs(charset) => bytes.iter().for_each(|byte| self.push_half(*byte, charset)),
        }
    }

    fn push_half(&mut self, byte: u8, charset: Charset) {
        let Some(half) = self.half.take() else {
            self.half = Some(byte);
            return;
        };
        let character = charset.ascii(&[half, byte]);
        let second = character == b'\n' && self.returned;
        self.returned = character == b'\r';
        self.open = !matches!(character, b'\n' | b'\r');
        self.lines += u64::from(!self.open && !second);
    }

    /// Returns the number of lines so far. A line at the end needs no end of its own.
    pub fn lines(&self) -> u64 {
        self.lines + u64::from(self.open || self.half.is_some())
    }
}
