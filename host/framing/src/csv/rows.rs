//! Splits a table (RFC 4180) into rows, however its bytes are split. A quoted field may contain ends of lines.
//!
//! A quoted field that spans lines and does not end properly is abandoned: its quote is taken for a stray character.
//! The row then ends with the line on which the quote was opened, and the bytes after that line are read again. Each
//! byte is read again at most once for each quoted field that contains it, and a field that was abandoned contains no
//! quote that could begin another one. So the work is linear in the length of the table.

use super::row::{CsvDialect, CsvRow, is_padding};
use crate::FrameLimits;
use crate::lines::QuotePlace;

/// Position of the next character in its field.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum FieldState {
    /// The start of a field.
    #[default]
    Start,
    /// A field without quotes.
    Plain,
    /// Inside quotes.
    Quoted,
    /// After a quote that ends the field or is the first of two.
    Closed,
}

/// A quoted field that is being read.
#[derive(Clone, Copy, Debug)]
struct OpenQuote {
    place: QuotePlace,
    /// Number of ends of lines in the field.
    ends: u64,
    /// Length of the row up to the first end of a line in the field, and the number of the next line.
    resume: Option<(usize, u64)>,
}

/// A reader of rows.
pub struct CsvRows {
    dialect: CsvDialect,
    limits: FrameLimits,
    place: FieldState,
    /// Bytes of the row.
    bytes: Vec<u8>,
    /// Number of the present field, from 1.
    column: u32,
    open: Option<OpenQuote>,
    /// First byte of a pair whose second byte has not arrived.
    half: Option<u8>,
    /// Bytes that may begin a byte order mark. `None` once the table has begun.
    mark: Option<Vec<u8>>,
    /// True if only a byte order mark was read so far.
    only_mark: bool,
    /// Bytes that are read again, and the number of those that were.
    again: Vec<u8>,
    again_read: usize,
    /// Bytes that were read after the end of an abandoned row.
    after: Vec<u8>,
    end: u8,
    too_long: bool,
    /// True if a row that is too long consists of padding.
    long_padding: bool,
    misquoted: bool,
    unclosed: Option<QuotePlace>,
    /// True if the last character was a carriage return. A line feed after it belongs to the same end of line.
    returned: bool,
    /// Number of bytes read.
    taken: u64,
    /// Number of the present line.
    lines: u64,
    /// Line and offset of the start of the row.
    began: (u64, u64),
}

impl CsvRows {
    /// Returns a reader of rows.
    pub fn new(dialect: CsvDialect, limits: FrameLimits) -> Self {
        Self {
            dialect,
            limits,
            place: FieldState::Start,
            bytes: vec![],
            column: 1,
            open: None,
            half: None,
            mark: Some(vec![]),
            only_mark: false,
            again: vec![],
            again_read: 0,
            after: vec![],
            end: 0,
            too_long: false,
            long_padding: false,
            misquoted: false,
            unclosed: None,
            returned: false,
            taken: 0,
            lines: 1,
            began: (1, 0),
        }
    }

    /// Replaces the separator. The caller does so between two rows.
    pub fn set_separator(&mut self, separator: u8) {
        self.dialect.separator = separator;
    }

    /// Takes bytes up to the end of a row. Returns the number of bytes taken, and true if a row is complete. The caller
    /// reads the row with [`Self::row`] and calls [`Self::next_row`] before it pushes more.
    pub fn push(&mut self, bytes: &[u8]) -> (usize, bool) {
        let at = self.pass_mark(bytes);
        if self.mark.is_some() {
            return (at, false);
        }
        if self.again_read < self.again.len() {
            let again = std::mem::take(&mut self.again);
            let (read, complete) = self.scan(&again[self.again_read..]);
            self.again = again;
            // The bytes after an abandoned row are still there.
            self.again_read += read - std::mem::take(&mut self.after).len();
            if complete {
                return (at, true);
            }
        }
        let (read, complete) = self.scan(&bytes[at..]);
        self.read_after_row_again();
        (at + read, complete)
    }

    /// Makes the bytes after an abandoned row the next ones to be read.
    fn read_after_row_again(&mut self) {
        self.again = std::mem::take(&mut self.after);
        self.again_read = 0;
    }

    /// Passes over a byte order mark at the start. Returns the number of bytes taken.
    fn pass_mark(&mut self, bytes: &[u8]) -> usize {
        let Some(begun) = &mut self.mark else { return 0 };
        let mark = self.dialect.charset.mark();
        let before = begun.len();
        let fits = mark[before..].iter().zip(bytes).take_while(|(one, other)| one == other).count();
        begun.extend_from_slice(&bytes[..fits]);
        if begun.len() == mark.len() {
            (self.taken, self.began.1, self.only_mark) = (mark.len() as u64, mark.len() as u64, !mark.is_empty());
            self.mark = None;
        } else if fits < bytes.len() {
            // It is no mark: what was taken for one is read as the start of the first row.
            self.again = std::mem::take(begun);
            self.mark = None;
        }
        fits
    }

    /// Reads bytes up to the end of a row. Returns the number of bytes read, and true if a row is complete.
    fn scan(&mut self, bytes: &[u8]) -> (usize, bool) {
        if self.dialect.charset.unit() == 2 {
            return self.scan_pairs(bytes);
        }
        let mut at = 0;
        while at < bytes.len() {
            let rest = &bytes[at..];
            let at_start = self.place == FieldState::Start && self.bytes.is_empty() && !self.too_long;
            if at_start
                && !self.returned
                && let Some(length) = self.plain_row(rest)
            {
                return (at + length, true);
            }
            // Characters without a meaning are kept in one go.
            let run = match self.place {
                FieldState::Plain => self.run(rest, self.dialect.separator),
                FieldState::Quoted => self.run(rest, b'\n'),
                FieldState::Start | FieldState::Closed => 0,
            };
            let length = run.max(1);
            at += length;
            let complete = if run > 0 { self.take_run(&rest[..run]) } else { self.take(&rest[..1]) };
            if complete {
                return (at, true);
            }
        }
        (at, false)
    }

    /// Reads pairs of bytes up to the end of a row.
    fn scan_pairs(&mut self, bytes: &[u8]) -> (usize, bool) {
        let mut at = 0;
        while at < bytes.len() {
            let pair = match self.half.take() {
                Some(half) => [half, bytes[at]],
                None if at + 1 == bytes.len() => {
                    self.half = Some(bytes[at]);
                    return (at + 1, false);
                }
                None => {
                    at += 1;
                    [bytes[at - 1], bytes[at]]
                }
            };
            at += 1;
            if self.take(&pair) {
                return (at, true);
            }
        }
        (at, false)
    }

    /// Takes a row that is there as a whole and has no quote. Returns its length with the end of the line.
    fn plain_row(&mut self, bytes: &[u8]) -> Option<usize> {
        let length = memchr::memchr2(b'\n', b'\r', bytes)?;
        let row = &bytes[..length];
        let quoted = self.dialect.quote.is_some_and(|quote| memchr::memchr(quote, row).is_some());
        if quoted || length > self.limits.record_bytes {
            return None;
        }
        self.bytes.extend_from_slice(row);
        self.end = bytes[length];
        self.returned = self.end == b'\r';
        self.only_mark = false;
        self.taken += length as u64 + 1;
        self.lines += 1;
        Some(length + 1)
    }

    /// Returns the number of characters before the next one that has a meaning: a quote, an end of a line, or `other`.
    fn run(&self, bytes: &[u8], other: u8) -> usize {
        let quote = self.dialect.quote.unwrap_or(other);
        let special = |byte: &u8| matches!(byte, b'\n' | b'\r') || *byte == quote || *byte == other;
        bytes.iter().position(special).unwrap_or(bytes.len())
    }

    /// Takes characters without a meaning. Returns true if they end the row.
    fn take_run(&mut self, run: &[u8]) -> bool {
        self.taken += run.len() as u64;
        self.returned = false;
        self.keep(run)
    }

    /// Takes a character. Returns true if it ends the row.
    fn take(&mut self, character: &[u8]) -> bool {
        let ascii = self.dialect.charset.ascii(character);
        self.taken += character.len() as u64;
        self.only_mark = false;
        let returned = std::mem::replace(&mut self.returned, ascii == b'\r');
        let ends_line = matches!(ascii, b'\r' | b'\n');
        if ascii == b'\n' && returned {
            if self.place == FieldState::Quoted {
                return self.keep(character);
            }
            // The previous row ended with the carriage return. This row begins after both characters.
            self.began.1 = self.taken;
            return false;
        }
        self.lines += u64::from(ends_line);
        let quotes = Some(ascii) == self.dialect.quote;
        match self.place {
            FieldState::Quoted if quotes => self.place = FieldState::Closed,
            FieldState::Quoted if ends_line => return self.end_quoted_line(character),
            FieldState::Quoted => {}
            _ if ends_line => {
                self.end = ascii;
                return true;
            }
            _ if ascii == self.dialect.separator => {
                self.place = FieldState::Start;
                self.column = self.column.saturating_add(1);
                self.open = None;
            }
            FieldState::Start if quotes => {
                self.place = FieldState::Quoted;
                let place = QuotePlace { line: self.lines, column: self.column };
                self.open = Some(OpenQuote { place, ends: 0, resume: None });
            }
            FieldState::Closed if quotes => self.place = FieldState::Quoted,
            FieldState::Start => self.place = FieldState::Plain,
            FieldState::Plain => self.misquoted |= quotes,
            FieldState::Closed => {
                if self.spans_lines() {
                    return self.keep(character) || self.abandon();
                }
                self.misquoted = true;
                self.place = FieldState::Plain;
                self.open = None;
            }
        }
        self.keep(character)
    }

    /// Takes the end of a line in a quoted field. Returns true if it ends the row.
    fn end_quoted_line(&mut self, character: &[u8]) -> bool {
        if self.keep(character) {
            return true;
        }
        if self.too_long {
            // The row was not kept, so its other lines cannot be read again. They are read as rows.
            self.end = self.dialect.charset.ascii(character);
            self.unclosed = self.open.map(|open| open.place);
            return true;
        }
        let (length, next) = (self.bytes.len(), self.lines);
        let Some(open) = &mut self.open else { return false };
        open.ends += 1;
        open.resume.get_or_insert((length, next));
        open.ends > self.limits.quoted_lines && self.abandon()
    }

    /// Returns true if the quoted field contains the end of a line, and the row was kept from there.
    fn spans_lines(&self) -> bool {
        self.open.is_some_and(|open| open.resume.is_some())
    }

    /// Adds characters to the row. Returns true if the row is too long because of a quote that is still open, and ends
    /// for that reason.
    fn keep(&mut self, characters: &[u8]) -> bool {
        if self.too_long {
            self.long_padding = self.long_padding && characters.iter().all(is_padding);
            return false;
        }
        self.bytes.extend_from_slice(characters);
        if self.bytes.len() <= self.limits.record_bytes {
            return false;
        }
        if self.spans_lines() {
            return self.abandon();
        }
        self.too_long = true;
        self.long_padding = self.bytes.iter().all(is_padding);
        self.bytes = vec![];
        false
    }

    /// Ends the row with the line on which the quote of the present field was opened. Returns true if there is one.
    fn abandon(&mut self) -> bool {
        let Some(OpenQuote { place, resume: Some((length, next)), .. }) = self.open else { return false };
        self.unclosed = Some(place);
        self.after = self.bytes.split_off(length);
        let end = self.bytes.split_off(length - self.dialect.charset.unit());
        self.end = self.dialect.charset.ascii(&end);
        self.returned = self.end == b'\r';
        self.taken = self.began.1 + length as u64;
        self.lines = next;
        true
    }

    /// Ends the table. Returns true if there is another row. The caller has pushed all bytes, and an empty slice until no
    /// row was complete.
    pub fn finish(&mut self) -> bool {
        if let Some(begun) = self.mark.take()
            && !begun.is_empty()
        {
            let (_, complete) = self.scan(&begun);
            debug_assert!(!complete, "a part of a mark has no end of a line");
        }
        if let Some(half) = self.half.take() {
            // Half a character makes the row's encoding invalid.
            self.taken += 1;
            if self.keep(&[half]) {
                self.read_after_row_again();
                return true;
            }
        }
        if self.place == FieldState::Quoted {
            if self.abandon() {
                self.read_after_row_again();
                return true;
            }
            self.misquoted = true;
            self.unclosed = self.open.map(|open| open.place);
        }
        !self.bytes.is_empty() || self.too_long
    }

    /// Returns true, once, if the table consists of a byte order mark alone.
    pub fn take_lone_mark(&mut self) -> bool {
        std::mem::take(&mut self.only_mark)
    }

    /// Returns the complete row.
    pub fn row(&self) -> CsvRow<'_> {
        let (bytes, ended) = (self.bytes.as_slice(), self.end != 0);
        CsvRow {
            line: self.began.0,
            last_line: self.lines - u64::from(ended),
            offset: self.began.1,
            bytes,
            end: self.end,
            too_long: self.too_long,
            misquoted: self.misquoted || self.unclosed.is_some(),
            unclosed: self.unclosed,
            padding: !ended && if self.too_long { self.long_padding } else { bytes.iter().all(is_padding) },
        }
    }

    /// Begins the next row.
    pub fn next_row(&mut self) {
        self.bytes.clear();
        (self.too_long, self.misquoted, self.unclosed) = (false, false, None);
        (self.place, self.column, self.open, self.end) = (FieldState::Start, 1, None, 0);
        self.began = (self.lines, self.taken);
    }
}
