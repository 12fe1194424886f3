//! Cuts a table (RFC 4180) into rows, however its bytes are cut: a quoted field may hold ends of lines.

use super::charset::Charset;

/// How fields stand in a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dialect {
    /// Between two fields.
    pub separator: u8,
    /// Around a field; none where no field is quoted.
    pub quote: Option<u8>,
    pub charset: Charset,
}

/// Where in a row the next character stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Place {
    /// At the start of a field.
    #[default]
    Start,
    /// In a field without quotes.
    Plain,
    /// Within quotes.
    Quoted,
    /// After a quote that ends the field, or is the first of two.
    Closed,
}

/// A row as it stands in the table.
#[derive(Debug)]
pub struct Row<'a> {
    /// The line that it begins on, from 1, and where it begins, in bytes.
    pub line: u64,
    pub offset: u64,
    /// Without the end of its line; empty if it is too long.
    pub bytes: &'a [u8],
    /// Whether it was longer than it may be.
    pub too_long: bool,
    /// Whether it has a quote where there may be none, or lacks one.
    pub misquoted: bool,
}

/// The row that is being read.
pub struct Rows {
    dialect: Dialect,
    max_bytes: usize,
    place: Place,
    bytes: Vec<u8>,
    /// The first byte of a pair whose second has not come.
    half: Option<u8>,
    too_long: bool,
    misquoted: bool,
    /// A carriage return was the last: a line feed that follows belongs to it.
    returned: bool,
    /// Bytes and lines that have come, and where the row began.
    taken: u64,
    lines: u64,
    began: (u64, u64),
    at_start: bool,
}

impl Rows {
    pub fn new(dialect: Dialect, max_bytes: usize) -> Self {
        Self {
            dialect,
            max_bytes,
            place: Place::Start,
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

    /// Takes bytes up to the end of a row at most; how many, and whether a row is whole. Take it with [`Self::row`], and
    /// call [`Self::next_row`] before any more are taken.
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

    /// Takes a character; whether it ends the row.
    fn take(&mut self, character: &[u8]) -> bool {
        let ascii = self.dialect.charset.ascii(character);
        self.taken += character.len() as u64;
        let returned = std::mem::replace(&mut self.returned, ascii == b'\r');
        let ends_line = matches!(ascii, b'\r' | b'\n');
        if ascii == b'\n' && returned {
            if self.place == Place::Quoted {
                self.keep(character);
            } else {
                // The row ended with the carriage return; this one begins after both.
                self.began.1 = self.taken;
            }
            return false;
        }
        self.lines += u64::from(ends_line);
        let quotes = Some(ascii) == self.dialect.quote;
        self.place = match self.place {
            Place::Quoted if quotes => Place::Closed,
            Place::Quoted => Place::Quoted,
            _ if ends_line => return true,
            _ if ascii == self.dialect.separator => Place::Start,
            Place::Start | Place::Closed if quotes => Place::Quoted,
            Place::Start => Place::Plain,
            Place::Plain | Place::Closed => {
                self.misquoted |= quotes || self.place == Place::Closed;
                Place::Plain
            }
        };
        self.keep(character);
        false
    }

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

    /// The table is at its end: whether there is a last row without an end of its line.
    pub fn finish(&mut self) -> bool {
        self.misquoted |= self.place == Place::Quoted;
        if let Some(half) = self.half.take() {
            // No character, and nobody takes it for one.
            self.keep(&[half]);
            self.taken += 1;
        }
        !self.bytes.is_empty() || self.too_long
    }

    /// The row that is whole.
    pub fn row(&self) -> Row<'_> {
        let mark = if self.at_start { self.dialect.charset.mark() } else { b"" };
        let bytes = self.bytes.strip_prefix(mark).unwrap_or(&self.bytes);
        Row {
            line: self.began.0,
            offset: self.began.1 + (self.bytes.len() - bytes.len()) as u64,
            bytes,
            too_long: self.too_long || bytes.len() > self.max_bytes,
            misquoted: self.misquoted,
        }
    }

    /// Goes on to the next row.
    pub fn next_row(&mut self) {
        self.bytes.clear();
        (self.too_long, self.misquoted, self.at_start) = (false, false, false);
        self.place = Place::Start;
        self.began = (self.lines, self.taken);
    }
}

/// The fields of a row that is not misquoted, as text.
pub fn fields(text: &str, dialect: Dialect, mut field: impl FnMut(&str)) {
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
        // A quote within is there twice.
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
