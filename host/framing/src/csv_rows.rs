//! Splits a table (RFC 4180) into rows, however its bytes are split. A quoted field may contain ends of lines.

use super::charset::Charset;

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

/// A row as it was received.
#[derive(Debug)]
pub struct CsvRow<'a> {
    /// Line on which it begins, from 1.
    pub line: u64,
    /// Offset at which it begins, in bytes.
    pub offset: u64,
    /// Bytes without the end of the line; empty if the row is too long.
    pub bytes: &'a [u8],
    /// True if the row is longer than the limit.
    pub too_long: bool,
    /// True if a quote is misplaced or missing.
    pub misquoted: bool,
}

/// A reader of rows.
pub struct CsvRows {
    dialect: CsvDialect,
    max_bytes: usize,
    place: FieldState,
    bytes: Vec<u8>,
    /// First byte of a pair whose second byte has not arrived.
    half: Option<u8>,
    too_long: bool,
    misquoted: bool,
    /// True if the last character was a carriage return. A line feed after it belongs to the same end of line.
    returned: bool,
    /// Number of bytes received.
    taken: u64,
    /// Number of the present line.
    lines: u64,
    /// Line and offset of the start of the row.
    began: (u64, u64),
    /// True in the first row.
    at_start: bool,
}

impl CsvRows {
    /// Returns a reader of rows of at most `max_bytes`.
    pub fn new(dialect: CsvDialect, max_bytes: usize) -> Self {
        Self {
            dialect,
            max_bytes,
            place: FieldState::Start,
            bytes: vec![],
            half: None,
            too_long: false,
            misquoted: false,
            returned: false,
            taken: 0,
            lines: 1,
            began: (1, 0),
            at_start: true,
        }
    }

    /// Takes bytes up to the end of a row. Returns the number of bytes taken, and true if a row is complete. The caller
    /// reads the row with [`Self::row`] and calls [`Self::next_row`] before it pushes more.
    pub fn push(&mut self, bytes: &[u8]) -> (usize, bool) {
        let unit = self.dialect.charset.unit();
        let mut at = 0;
        while at < bytes.len() {
            let pair;
            let character = match (unit, self.half.take()) {
                (1, _) => &bytes[at..at + 1],
                (_, Some(half)) => {
                    pair = [half, bytes[at]];
                    &pair
                }
                _ if at + 1 == bytes.len() => {
                    self.half = Some(bytes[at]);
                    return (at + 1, false);
                }
                _ => {
                    at += 1;
                    &bytes[at - 1..at + 1]
                }
            };
            at += 1;
            if self.take(character) {
                return (at, true);
            }
        }
        (at, false)
    }

    /// Takes a character. Returns true if it ends the row.
    fn take(&mut self, character: &[u8]) -> bool {
        let ascii = self.dialect.charset.ascii(character);
        self.taken += character.len() as u64;
        let returned = std::mem::replace(&mut self.returned, ascii == b'\r');
        let ends_line = matches!(ascii, b'\r' | b'\n');
        if ascii == b'\n' && returned {
            if self.place == FieldState::Quoted {
                self.keep(character);
            } else {
                // The previous row ended with the carriage return. This row begins after both characters.
                self.began.1 = self.taken;
            }
            return false;
        }
        self.lines += u64::from(ends_line);
        let quotes = Some(ascii) == self.dialect.quote;
        self.place = match self.place {
            FieldState::Quoted if quotes => FieldState::Closed,
            FieldState::Quoted => FieldState::Quoted,
            _ if ends_line => return true,
            _ if ascii == self.dialect.separator => FieldState::Start,
            FieldState::Start | FieldState::Closed if quotes => FieldState::Quoted,
            FieldState::Start => FieldState::Plain,
            FieldState::Plain | FieldState::Closed => {
                self.misquoted |= quotes || self.place == FieldState::Closed;
                FieldState::Plain
            }
        };
        self.keep(character);
        false
    }

    /// Adds a character to the row, unless the row is too long.
    fn keep(&mut self, character: &[u8]) {
        if self.too_long {
            return;
        }
        if self.bytes.len() + character.len() > self.max_bytes + self.dialect.charset.mark().len() {
            self.too_long = true;
            self.bytes = vec![];
        } else {
            self.bytes.extend_from_slice(character);
        }
    }

    /// Ends the table. Returns true if there is a last row without an end of line.
    pub fn finish(&mut self) -> bool {
        self.misquoted |= self.place == FieldState::Quoted;
        if let Some(half) = self.half.take() {
            // Half a character makes the row's encoding invalid.
            self.keep(&[half]);
            self.taken += 1;
        }
        !self.bytes.is_empty() || self.too_long
    }

    /// Returns the complete row.
    pub fn row(&self) -> CsvRow<'_> {
        let mark = if self.at_start { self.dialect.charset.mark() } else { b"" };
        let bytes = self.bytes.strip_prefix(mark).unwrap_or(&self.bytes);
        CsvRow {
            line: self.began.0,
            offset: self.began.1 + (self.bytes.len() - bytes.len()) as u64,
            bytes,
            too_long: self.too_long || bytes.len() > self.max_bytes,
            misquoted: self.misquoted,
        }
    }

    /// Begins the next row.
    pub fn next_row(&mut self) {
        self.bytes.clear();
        (self.too_long, self.misquoted, self.at_start) = (false, false, false);
        self.place = FieldState::Start;
        self.began = (self.lines, self.taken);
    }
}

/// Passes the fields of a row with correct quotes to `field`.
pub fn fields(text: &str, dialect: CsvDialect, mut field: impl FnMut(&str)) {
    let (separator, bytes) = (dialect.separator, text.as_bytes());
    let mut rest = 0;
    loop {
        let quote = dialect.quote.filter(|quote| bytes.get(rest) == Some(quote));
        let Some(quote) = quote else {
            let end = memchr::memchr(separator, &bytes[rest..]).map_or(bytes.len(), |end| rest + end);
            field(&text[rest..end]);
            if end == bytes.len() {
                return;
            }
            rest = end + 1;
            continue;
        };
        let mut value = String::new();
        let mut from = rest + 1;
        // A quote inside a quoted field is doubled.
        let end = loop {
            let end = memchr::memchr(quote, &bytes[from..]).map_or(bytes.len(), |end| from + end);
            value.push_str(&text[from..end]);
            if bytes.get(end + 1) != Some(&quote) {
                break end + 1;
            }
            value.push(char::from(quote));
            from = end + 2;
        };
        field(&value);
        if end >= bytes.len() {
            return;
        }
        rest = end + 1;
    }
}
