//! The form in which records were uploaded, so that they can be given back as they came.
//!
//! A row of a table becomes an object of strings. Most rows can be made of it again: their fields are joined, all with
//! quotes or all without. The bytes of any other row are kept beside the record. The header is kept once for each batch.
//! Of JSON Lines nothing is kept unless their lines end with CRLF.

use serde::{Deserialize, Serialize};

use sluice_framing::{BodyFormat, Charset, ColumnNames, CsvDialect, CsvFormat, JsonFormat, RawBatch, scan_object};
use sluice_staging::{OriginalForm, UploadedForm};

/// Format of an upload, as it is needed to write its records again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OriginalFormat {
    /// True for a table.
    pub table: bool,
    /// True for a JSON text sequence.
    #[serde(default)]
    pub sequence: bool,
    /// End of a line.
    pub line_end: String,
    /// Name of the encoding.
    #[serde(default)]
    pub charset: String,
    /// Separator between fields.
    #[serde(default)]
    pub separator: u8,
    /// Quote around a field. `None` if no field is quoted.
    #[serde(default)]
    pub quote: Option<u8>,
    /// True if the table has a header.
    #[serde(default)]
    pub header: bool,
    /// Names of the columns that the client gave for a table without a header.
    #[serde(default)]
    pub columns: Option<Vec<String>>,
}

impl OriginalFormat {
    /// Returns the format of JSON Lines of which nothing was kept.
    pub fn json_lines() -> Self {
        Self {
            table: false,
            sequence: false,
            line_end: "\n".into(),
            charset: String::new(),
            separator: 0,
            quote: None,
            header: false,
            columns: None,
        }
    }

    /// Reads a kept format and the bytes before the first record.
    pub fn read(kept: &[u8]) -> Option<(Self, &[u8])> {
        let end = kept.iter().position(|byte| *byte == b'\n')?;
        Some((serde_json::from_slice(&kept[..end]).ok()?, &kept[end + 1..]))
    }

    /// Appends a record with its line end. Returns false, and appends nothing, if the record is not kept.
    pub fn write(&self, form: &OriginalForm, body: &[u8], out: &mut Vec<u8>) -> bool {
        let before = out.len();
        let written = match form {
            _ if body.is_empty() => false,
            OriginalForm::Body => {
                if self.sequence {
                    out.push(0x1e);
                }
                out.extend_from_slice(body);
                true
            }
            OriginalForm::Bytes(bytes) => {
                out.extend_from_slice(bytes);
                true
            }
            OriginalForm::Plain => self.join(body, None, out),
            OriginalForm::Quoted => self.join(body, self.quote, out),
        };
        if !written {
            out.truncate(before);
            return false;
        }
        let charset = Charset::named(&self.charset).unwrap_or(Charset::UTF_8);
        out.extend_from_slice(&charset.encode(&self.line_end).unwrap_or_default());
        true
    }

    /// Joins the fields of a row. Returns false if the record cannot be read or encoded.
    fn join(&self, body: &[u8], quote: Option<u8>, out: &mut Vec<u8>) -> bool {
        let mut row = String::new();
        let mut first = true;
        let scanned = scan_object(body, usize::MAX - 1, |_, value| {
            if !std::mem::take(&mut first) {
                row.push(char::from(self.separator));
            }
            let value: String = serde_json::from_str(value).unwrap_or_default();
            row.extend(quote.map(char::from));
            row.push_str(&value);
            row.extend(quote.map(char::from));
        });
        let Some(encoded) = Charset::named(&self.charset).and_then(|charset| charset.encode(&row)) else {
            return false;
        };
        out.extend_from_slice(&encoded);
        scanned.is_ok()
    }
}

/// A window over the bytes of an upload, from its last record on.
pub(crate) struct OriginalWindow {
    kind: WindowKind,
    bytes: Vec<u8>,
    /// Offset of the first byte in the upload.
    start: u64,
    /// Maximum number of bytes. A longer row was refused, and its bytes are not kept.
    most: usize,
    /// Bytes before the first record, once it has come.
    head: Option<Vec<u8>>,
    format: OriginalFormat,
}

enum WindowKind {
    Table {
        dialect: CsvDialect,
        /// Number of columns, and the number of bytes of a record that are not values. `None` until a row was read.
        shape: Option<(usize, usize)>,
    },
    /// JSON Lines, and true once the end of the first line was seen.
    Lines(bool),
    Sequence,
}

impl OriginalWindow {
    /// Creates a window over an upload in this format, with records of at most `max_record_bytes` in batches of at most
    /// `batch_bytes`.
    pub fn new(shape: &BodyFormat, max_record_bytes: usize, batch_bytes: usize) -> Self {
        let (kind, format) = match shape {
            BodyFormat::Csv(table) => {
                (WindowKind::Table { dialect: table.dialect, shape: None }, OriginalFormat::of_table(table))
            }
            BodyFormat::Json(JsonFormat::JsonLines) => (WindowKind::Lines(false), OriginalFormat::json_lines()),
            BodyFormat::Json(JsonFormat::JsonSeq) => {
                (WindowKind::Sequence, OriginalFormat { sequence: true, ..OriginalFormat::json_lines() })
            }
        };
        let most = 4 * (max_record_bytes + batch_bytes);
        Self { kind, bytes: vec![], start: 0, most, head: None, format }
    }

    /// Adds bytes of the upload.
    pub fn push(&mut self, bytes: &[u8]) {
        match &mut self.kind {
            WindowKind::Sequence | WindowKind::Lines(true) => {}
            WindowKind::Lines(seen) => {
                // The last byte of an earlier piece may be the carriage return.
                let end = memchr::memchr(b'\n', bytes);
                let before = end.map_or(bytes.len(), |end| end).checked_sub(1).map(|last| bytes[last]);
                let before = before.or(self.bytes.last().copied());
                *seen = end.is_some();
                if *seen && before == Some(b'\r') {
                    self.format.line_end = "\r\n".into();
                }
                self.bytes = before.into_iter().collect();
            }
            WindowKind::Table { .. } => {
                self.bytes.extend_from_slice(bytes);
                if self.bytes.len() > self.most {
                    let passed = self.bytes.len() - self.most / 2;
                    self.bytes.drain(..passed);
                    self.start += passed as u64;
                }
            }
        }
    }

    /// Returns the form of each record of a batch. Returns `None` if nothing has to be kept.
    pub fn take(&mut self, raw: &RawBatch, max_depth: usize) -> Option<UploadedForm> {
        let forms = match &self.kind {
            WindowKind::Lines(_) if self.format.line_end == "\n" => return None,
            WindowKind::Lines(_) | WindowKind::Sequence => vec![OriginalForm::Body; raw.len()],
            WindowKind::Table { .. } => self.rows(raw, max_depth),
        };
        let mut format = serde_json::to_vec(&self.format).expect("a format can be written as JSON");
        format.push(b'\n');
        format.extend_from_slice(self.head.as_deref().unwrap_or_default());
        Some(UploadedForm { format, forms })
    }

    fn rows(&mut self, raw: &RawBatch, max_depth: usize) -> Vec<OriginalForm> {
        let mut forms = Vec::with_capacity(raw.len());
        let mut faults = raw.faults.iter().peekable();
        for (position, record) in raw.records().enumerate() {
            let place = raw.offsets[position].checked_sub(self.start);
            let place = place.and_then(|place| usize::try_from(place).ok()).filter(|place| *place <= self.bytes.len());
            if self.head.is_none() {
                let head = place.filter(|_| self.start == 0).map(|place| self.bytes[..place].to_vec());
                self.head = Some(head.unwrap_or_default());
                self.format.note_line_end(&self.bytes, place.unwrap_or(0));
            }
            // The body of a row that framing refused is the row.
            let refused = faults.next_if(|(of, _)| *of as usize == position).is_some();
            forms.push(match place {
                Some(place) if !refused => self.row(place, record, max_depth),
                _ => OriginalForm::Body,
            });
        }
        if let Some(last) = raw.offsets.last() {
            let passed = usize::try_from(last.saturating_sub(self.start)).unwrap_or(usize::MAX).min(self.bytes.len());
            self.bytes.drain(..passed);
            self.start += passed as u64;
        }
        forms
    }

    /// Returns the form of the row that begins at a place in the window and became this record.
    fn row(&mut self, place: usize, record: &[u8], max_depth: usize) -> OriginalForm {
        let WindowKind::Table { dialect, shape } = &mut self.kind else { return OriginalForm::Body };
        let rest = &self.bytes[place..];
        let first = shape.is_none();
        let (columns, other) = *shape.get_or_insert_with(|| shape_of(record, max_depth));
        if let Some(values) = values_length(record, other, dialect.charset) {
            let plain = values + columns.saturating_sub(1);
            let ends = |length: usize| matches!(rest.get(length), None | Some(b'\r' | b'\n'));
            let quotes = |row: &[u8]| dialect.quote.map_or(0, |quote| memchr::memchr_iter(quote, row).count());
            let broken = |row: &[u8]| memchr::memchr2(b'\r', b'\n', row).is_some();
            if let Some(row) = rest.get(..plain)
                && ends(plain)
                && quotes(row) == 0
                && !broken(row)
            {
                if first && columns > 1 {
                    // The first line of a table may name another separator.
                    self.format.separator = first_value(record, dialect.charset)
                        .and_then(|length| row.get(length).copied())
                        .unwrap_or(self.format.separator);
                }
                return OriginalForm::Plain;
            }
            let quoted = plain + 2 * columns;
            if let Some(row) = rest.get(..quoted)
                && ends(quoted)
                && quotes(row) == 2 * columns
                && row.first().copied() == dialect.quote
                && row.last().copied() == dialect.quote
                && !broken(row)
            {
                if first && columns > 1 {
                    self.format.separator = first_value(record, dialect.charset)
                        .and_then(|length| row.get(length + 2).copied())
                        .unwrap_or(self.format.separator);
                }
                return OriginalForm::Quoted;
            }
        }
        OriginalForm::Bytes(rest[..row_length(rest, *dialect)].to_vec())
    }
}

impl OriginalFormat {
    fn of_table(table: &CsvFormat) -> Self {
        Self {
            table: true,
            charset: table.dialect.charset.name().into(),
            separator: table.dialect.separator,
            quote: table.dialect.quote,
            header: table.names == ColumnNames::Header,
            columns: match &table.names {
                ColumnNames::Given(names) => names.clone(),
                ColumnNames::Header => None,
            },
            ..Self::json_lines()
        }
    }

    /// Notes how the lines of a table end: as its header does, or else its first row.
    fn note_line_end(&mut self, bytes: &[u8], head: usize) {
        let text: Vec<u8> = bytes.iter().copied().filter(|byte| *byte != 0).collect();
        let searched = if head == 0 { &text } else { &text[..head.min(text.len())] };
        let end = memchr::memchr2(b'\r', b'\n', searched);
        self.line_end = match end.map(|end| (searched[end], searched.get(end + 1))) {
            Some((b'\r', Some(b'\n'))) => "\r\n",
            Some((b'\r', _)) => "\r",
            _ => "\n",
        }
        .into();
    }
}

/// Returns the number of columns of a row, and the number of bytes of its record that are not values.
fn shape_of(record: &[u8], max_depth: usize) -> (usize, usize) {
    // The braces, and for each column a name, a colon, two quotes, and a comma except after the last.
    let (mut columns, mut other) = (0, 1);
    let _ = scan_object(record, max_depth, |name, _| {
        columns += 1;
        other += serde_json::Value::from(name).to_string().len() + 4;
    });
    (columns, other)
}

/// Returns the length of the values of a record in the encoding of its table. Returns `None` if a value is escaped in the
/// record, or the encoding has no fixed width.
fn values_length(record: &[u8], other: usize, charset: Charset) -> Option<usize> {
    if memchr::memchr(b'\\', record).is_some() || charset.unit() != 1 {
        return None;
    }
    let length = if charset == Charset::UTF_8 || record.is_ascii() {
        record.len()
    } else {
        // The names are in the number of other bytes, so a name that is not ASCII yields a wrong length, and the bytes
        // of the row are kept.
        std::str::from_utf8(record).ok()?.chars().count()
    };
    length.checked_sub(other)
}

/// Returns the length of the first value of a record, in the encoding of its table.
fn first_value(record: &[u8], charset: Charset) -> Option<usize> {
    let mut length = None;
    scan_object(record, usize::MAX - 1, |_, value| {
        if length.is_none() {
            let value: String = serde_json::from_str(value).unwrap_or_default();
            length = charset.encode(&value).map(|encoded| encoded.len());
        }
    })
    .ok()?;
    length
}

/// Returns the length of a row with correct quotes, without its line end.
fn row_length(bytes: &[u8], dialect: CsvDialect) -> usize {
    let unit = dialect.charset.unit();
    let mut quoted = false;
    for (index, character) in bytes.chunks(unit).enumerate() {
        let ascii = dialect.charset.ascii(character);
        quoted ^= Some(ascii) == dialect.quote;
        if !quoted && matches!(ascii, b'\r' | b'\n') {
            return index * unit;
        }
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use sluice_framing::FrameLimits;
    use std::sync::Arc;

    /// Frames a table in pieces, and writes all its records again.
    fn again(table: &CsvFormat, body: &[u8], cut: usize) -> (Vec<u8>, Vec<OriginalForm>) {
        let shape = BodyFormat::Csv(Arc::new(table.clone()));
        let limits = FrameLimits { record_bytes: 1_000, quoted_lines: 1_000 };
        let (mut framer, mut window) = (shape.framer(limits), OriginalWindow::new(&shape, 1_000, 1_000));
        let (mut out, mut all, mut begun) = (vec![], vec![], false);
        let mut collect = |raw: RawBatch, window: &mut OriginalWindow| {
            let UploadedForm { format, forms } = window.take(&raw, 10).unwrap();
            let (format, head) = OriginalFormat::read(&format).unwrap();
            if !std::mem::replace(&mut begun, true) {
                out.extend_from_slice(head);
            }
            for (record, form) in raw.records().zip(&forms) {
                assert!(format.write(form, record, &mut out));
            }
            all.extend(forms);
        };
        for piece in body.chunks(cut) {
            window.push(piece);
            let mut rest = piece;
            while !rest.is_empty() {
                rest = &rest[framer.push(rest, 2, 1_000)..];
                if framer.waiting() >= 2 {
                    collect(framer.take_batch(), &mut window);
                }
            }
        }
        while !framer.finish(2, 1_000) {
            collect(framer.take_batch(), &mut window);
        }
        if framer.waiting() > 0 {
            collect(framer.take_batch(), &mut window);
        }
        (out, all)
    }

    fn table(charset: &str, separator: u8, names: ColumnNames) -> CsvFormat {
        let charset = Charset::named(charset).unwrap();
        CsvFormat { dialect: CsvDialect { separator, quote: Some(b'"'), charset }, names }
    }

    /// The records of a table are written as they were uploaded, whatever its encoding, quotes and line ends are, and
    /// however its bytes are split.
    #[test]
    fn tables_come_back_as_they_were() {
        use OriginalForm::{Body, Bytes, Plain, Quoted};
        let kept = |text: &str| Bytes(text.as_bytes().to_vec());
        let cases: [(&str, &str, Vec<OriginalForm>); 9] = [
            ("utf-8", "a;b\r\n1;2\r\n3;\r\n", vec![Plain, Plain]),
            ("utf-8", "\u{feff}a;b\n1;2\nčř;ž\n", vec![Plain, Plain]),
            ("utf-8", "\"a\";\"b\"\r\n\"1\";\"2\"\r\n\"č\";\"\"\r\n", vec![Quoted, Quoted]),
            (
                "utf-8",
                "a;b\n1;\"x;\"\"y\nz\"\n\"1\";2\n\\;2\n\"\";\"\"\n",
                vec![kept("1;\"x;\"\"y\nz\""), kept("\"1\";2"), kept("\\;2"), Quoted],
            ),
            ("utf-8", "a;b\n1\n1;2;3\n1;x\"y\n5;6\n", vec![Body, Body, Body, Plain]),
            ("windows-1250", "a;b\r\nJiří;2\r\n\"Žižka\";\"b\"\r\n", vec![Plain, Quoted]),
            ("windows-1250", "č;b\n1;2\n", vec![Plain]),
            ("iso-8859-2", "a;b\r1;ř\r2;\"x\"\r", vec![Plain, Bytes(b"2;\"x\"".to_vec())]),
            ("utf-16le", "a;b\r\n1;ř\r\n", vec![Body]),
        ];
        for (charset, body, forms) in cases {
            let encoding = Charset::named(charset).unwrap();
            let bytes = encoding.encode(body).unwrap();
            for cut in [1, 2, 5, 1_000] {
                let (out, found) = again(&table(charset, b';', ColumnNames::Header), &bytes, cut);
                assert_eq!(out, *bytes, "{charset} {body:?} in pieces of {cut}");
                if encoding.unit() == 1 && body.is_char_boundary(1) && !body.starts_with('č') {
                    assert_eq!(found, forms, "{charset} {body:?} in pieces of {cut}");
                }
            }
        }
    }

    /// A table without a header, without a last line end, and with another separator than the given one.
    #[test]
    fn tables_without_a_header_come_back() {
        let given = table("utf-8", b',', ColumnNames::Given(None));
        let (out, _) = again(&given, b"1,2\r\n3,4", 3);
        assert_eq!(out, b"1,2\r\n3,4\r\n");
    }

    /// JSON Lines with CRLF and sequences are told apart. Nothing is kept of other JSON Lines.
    #[test]
    fn line_ends_of_json_lines_are_noted() {
        let raw =
            RawBatch { ends: vec![2], bytes: b"{}".to_vec(), lines: vec![1], offsets: vec![0], ..RawBatch::default() };
        for (pieces, end) in [
            (vec!["{}\n{}\r\n"], None),
            (vec!["{}", "\r", "\n", "{}\n"], Some("{}\r\n")),
            (vec!["{}\r", "\n"], Some("{}\r\n")),
            (vec!["{}"], None),
        ] {
            let mut window = OriginalWindow::new(&BodyFormat::Json(JsonFormat::JsonLines), 1_000, 1_000);
            pieces.iter().for_each(|piece| window.push(piece.as_bytes()));
            let written = window.take(&raw, 10).map(|kept| {
                let mut out = vec![];
                let (format, _) = OriginalFormat::read(&kept.format).unwrap();
                assert!(format.write(&kept.forms[0], b"{}", &mut out));
                String::from_utf8(out).unwrap()
            });
            assert_eq!(written.as_deref(), end, "{pieces:?}");
        }
        let mut window = OriginalWindow::new(&BodyFormat::Json(JsonFormat::JsonSeq), 1_000, 1_000);
        let kept = window.take(&raw, 10).unwrap();
        let mut out = vec![];
        OriginalFormat::read(&kept.format).unwrap().0.write(&kept.forms[0], b"{}", &mut out);
        assert_eq!(out, b"\x1e{}\n");
    }
}
