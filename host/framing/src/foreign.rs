//! Formats that a body has instead of the one that its request names, recognised by the first bytes.

use super::{BodyFormat, Charset};

/// A format that holds no records as they are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForeignFormat {
    /// Gzip.
    Gzip,
    /// Zstandard.
    Zstandard,
    /// Bzip2, xz or 7z: a compression that is not accepted.
    OtherCompression,
    /// A zip archive.
    Zip,
    /// A workbook of a spreadsheet, in a zip archive or in an older format.
    Workbook,
    /// A document or a database: PDF, Parquet, Avro, SQLite.
    Document,
    /// XML or HTML.
    Markup,
    /// UTF-16, where another encoding is named. True if the low byte comes first.
    Utf16(bool),
    /// An encoding with one byte for an ASCII character, where UTF-16 is named.
    NotUtf16,
    /// A JSON array of objects, where an object on each line is expected.
    JsonArray,
    /// A JSON object over several lines, where an object on each line is expected.
    IndentedJson,
    /// JSON, where a table is expected.
    Json,
}

/// Findings about the first bytes of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyStart {
    /// The bytes are too few to say.
    Undecided,
    /// The body may have the format that its request names.
    Plausible,
    /// The body has another format.
    Foreign(ForeignFormat),
}

/// Number of bytes after which a body is plausible, whatever follows.
const DECISIVE_BYTES: usize = 1_024;

/// First bytes of formats.
const SIGNATURES: &[(&[u8], ForeignFormat)] = &[
    (b"\x1f\x8b", ForeignFormat::Gzip),
    (b"\x28\xb5\x2f\xfd", ForeignFormat::Zstandard),
    (b"BZh", ForeignFormat::OtherCompression),
    (b"\xfd7zXZ\0", ForeignFormat::OtherCompression),
    (b"7z\xbc\xaf\x27\x1c", ForeignFormat::OtherCompression),
    (b"PK\x03\x04", ForeignFormat::Zip),
    (b"PK\x05\x06", ForeignFormat::Zip),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", ForeignFormat::Workbook),
    (b"%PDF-", ForeignFormat::Document),
    (b"PAR1", ForeignFormat::Document),
    (b"Obj\x01", ForeignFormat::Document),
    (b"SQLite format 3\0", ForeignFormat::Document),
];

/// Names of files in the archive of a workbook.
const WORKBOOK_FILES: &[&[u8]] =
    &[b"[Content_Types].xml", b"xl/", b"mimetypeapplication/vnd.oasis.opendocument.spreadsheet"];

/// Recognises the format of a body by its first bytes. `ended` is true if there are no more.
pub fn recognise(start: &[u8], format: &BodyFormat, ended: bool) -> BodyStart {
    let enough = ended || start.len() >= DECISIVE_BYTES;
    if let Some((_, foreign)) = SIGNATURES.iter().find(|(signature, _)| start.starts_with(signature)) {
        let is_workbook = || WORKBOOK_FILES.iter().any(|name| memchr::memmem::find(start, name).is_some());
        return match foreign {
            ForeignFormat::Zip if is_workbook() => BodyStart::Foreign(ForeignFormat::Workbook),
            // The name of the first file follows.
            ForeignFormat::Zip if !enough => BodyStart::Undecided,
            foreign => BodyStart::Foreign(*foreign),
        };
    }
    if let Some(foreign) = wrong_charset(start, format) {
        return BodyStart::Foreign(foreign);
    }
    let found = match format {
        BodyFormat::Json(_) => json_start(start),
        BodyFormat::Csv(table) if table.dialect.charset.unit() == 1 => table_start(start),
        BodyFormat::Csv(_) => Some(BodyStart::Plausible),
    };
    match found {
        Some(found) => found,
        None if enough => BodyStart::Plausible,
        None => BodyStart::Undecided,
    }
}

/// Returns the encoding of a body that does not have the one that its request names.
fn wrong_charset(start: &[u8], format: &BodyFormat) -> Option<ForeignFormat> {
    let named = match format {
        BodyFormat::Json(_) => Charset::UTF_8,
        BodyFormat::Csv(table) => table.dialect.charset,
    };
    let (low_first, high_first) = (Charset::named("utf-16le")?, Charset::named("utf-16be")?);
    let sample = &start[..start.len().min(DECISIVE_BYTES)];
    let pairs = sample.len() / 2;
    // Names and separators are ASCII characters, so one byte of their pairs is zero.
    let zeros = |first: usize| sample.iter().skip(first).step_by(2).filter(|byte| **byte == 0).count();
    let (even, odd) = (zeros(0), zeros(1));
    let found = if start.starts_with(low_first.mark()) || (pairs >= 4 && odd * 2 > pairs && even == 0) {
        low_first
    } else if start.starts_with(high_first.mark()) || (pairs >= 4 && even * 2 > pairs && odd == 0) {
        high_first
    } else {
        let is_pairs = named.unit() == 2;
        return (is_pairs && pairs >= 8 && even + odd == 0).then_some(ForeignFormat::NotUtf16);
    };
    (found != named).then_some(ForeignFormat::Utf16(found == low_first))
}

/// Returns the text after blanks and a byte order mark.
fn after_blanks(text: &[u8]) -> &[u8] {
    let text = text.strip_prefix(Charset::UTF_8.mark()).unwrap_or(text);
    let blanks = text.iter().take_while(|byte| b" \t\r\n\x1e".contains(byte)).count();
    &text[blanks..]
}

fn is_markup(text: &[u8]) -> Option<bool> {
    let text = after_blanks(text);
    let begins = |word: &[u8]| {
        let length = text.len().min(word.len());
        (length > 0 && text[..length].eq_ignore_ascii_case(&word[..length])).then_some(length == word.len())
    };
    let found = [&b"<?xml"[..], b"<!DOCTYPE", b"<html", b"<table"].into_iter().filter_map(begins).max();
    match found {
        Some(true) => Some(true),
        Some(false) => None,
        None if text.is_empty() => None,
        None => Some(false),
    }
}

fn json_start(start: &[u8]) -> Option<BodyStart> {
    if is_markup(start)? {
        return Some(BodyStart::Foreign(ForeignFormat::Markup));
    }
    let text = after_blanks(start);
    let (first, rest) = text.split_first()?;
    let inner = after_blanks(rest);
    let lines = rest[..rest.len() - inner.len()].contains(&b'\n');
    match (first, inner.first()?) {
        (b'[', b'{') => Some(BodyStart::Foreign(ForeignFormat::JsonArray)),
        (b'{', b'"') if lines => Some(BodyStart::Foreign(ForeignFormat::IndentedJson)),
        _ => Some(BodyStart::Plausible),
    }
}

fn table_start(start: &[u8]) -> Option<BodyStart> {
    if is_markup(start)? {
        return Some(BodyStart::Foreign(ForeignFormat::Markup));
    }
    let text = after_blanks(start);
    let (first, rest) = text.split_first()?;
    let inner = *after_blanks(rest).first()?;
    match (first, inner) {
        (b'{', b'"') | (b'[', b'{') => Some(BodyStart::Foreign(ForeignFormat::Json)),
        _ => Some(BodyStart::Plausible),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{ColumnNames, CsvDialect, CsvFormat, JsonFormat};

    fn table(charset: &str) -> BodyFormat {
        let dialect = CsvDialect { separator: b',', quote: Some(b'"'), charset: Charset::named(charset).unwrap() };
        BodyFormat::Csv(Arc::new(CsvFormat { dialect, names: ColumnNames::Header }))
    }

    #[test]
    fn starts_of_bodies() {
        use BodyStart::{Foreign, Plausible, Undecided};
        use ForeignFormat::*;
        let wide = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
        let big = |text: &str| text.encode_utf16().flat_map(u16::to_be_bytes).collect::<Vec<u8>>();
        let lines = BodyFormat::Json(JsonFormat::JsonLines);
        let (utf8, cp1250, low, high) = (table("utf-8"), table("windows-1250"), table("utf-16le"), table("utf-16be"));
        let json = b"{\"id\":1}\n";
        let rows = "id,name\r\n1,x\r\n";
        let cases: Vec<(&BodyFormat, Vec<u8>, BodyStart)> = vec![
            (&lines, json.into(), Plausible),
            (&lines, b"\xef\xbb\xbf\n {\"id\":1}".into(), Plausible),
            (&lines, b"\x1e{\"id\":1}".into(), Plausible),
            (&lines, b"not json\n".into(), Plausible),
            (&lines, b"[1]\n".into(), Plausible),
            (&lines, b"[\n  {\n".into(), Foreign(JsonArray)),
            (&lines, b"[{\"id\":1}]".into(), Foreign(JsonArray)),
            (&lines, b"{\n  \"id\": 1\n}".into(), Foreign(IndentedJson)),
            (&lines, wide("{\"id\":1}\n"), Foreign(Utf16(true))),
            (&lines, big("\u{feff}{\"id\":1}\n"), Foreign(Utf16(false))),
            (&lines, b"<?xml version=\"1.0\"?>".into(), Foreign(Markup)),
            (&lines, b"\x1f\x8b\x08\0".into(), Foreign(Gzip)),
            (&utf8, rows.into(), Plausible),
            (&cp1250, b"id,m\xecsto\n".into(), Plausible),
            (&low, wide(rows), Plausible),
            (&low, wide(&format!("\u{feff}{rows}")), Plausible),
            (&utf8, wide(rows), Foreign(Utf16(true))),
            (&cp1250, wide(&format!("\u{feff}{rows}")), Foreign(Utf16(true))),
            (&low, big(rows), Foreign(Utf16(false))),
            (&high, wide(&format!("\u{feff}{rows}")), Foreign(Utf16(true))),
            (&low, "id,name and more\r\n".into(), Foreign(NotUtf16)),
            (&utf8, json.into(), Foreign(Json)),
            (&utf8, b"PK\x03\x04 .. [Content_Types].xml".into(), Foreign(Workbook)),
            (&utf8, b"PK\x03\x04 .. client.csv".into(), Foreign(Zip)),
            (&utf8, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1".into(), Foreign(Workbook)),
            (&utf8, b"\x28\xb5\x2f\xfd\x04".into(), Foreign(Zstandard)),
            (&utf8, b"BZh91AY".into(), Foreign(OtherCompression)),
            (&utf8, b"%PDF-1.7".into(), Foreign(Document)),
            (&utf8, b"\r\n<TABLE border=1>".into(), Foreign(Markup)),
        ];
        for (format, body, expected) in cases {
            assert_eq!(recognise(&body, format, true), expected, "{format:?} {:?}", String::from_utf8_lossy(&body));
            for cut in 0..body.len() {
                let early = recognise(&body[..cut], format, false);
                let sound = early == Undecided || early == expected;
                // Few bytes of a pair look like one byte a character.
                assert!(sound || early == Plausible, "{early:?} of {:?}", String::from_utf8_lossy(&body[..cut]));
            }
        }
        assert_eq!(recognise(b"[", &lines, false), Undecided);
        assert_eq!(recognise(b"PK\x03\x04", &utf8, false), Undecided);
    }
}
