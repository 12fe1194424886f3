//! Tests of the framer of tables: written and generated tables are read back, however they are split.

use std::sync::Arc;

use proptest::prelude::*;

use crate::{Charset, ColumnNames, CsvDialect, CsvFormat, CsvFramer, Fault, FrameLimits, Framing, HeaderFault};

const PLAIN: CsvDialect = CsvDialect { separator: b',', quote: Some(b'"'), charset: Charset::UTF_8 };

fn limits(record_bytes: usize) -> FrameLimits {
    FrameLimits { record_bytes, quoted_lines: 1_000 }
}

type Frame = (u64, String, Option<Fault>);

fn cut(table: &Arc<CsvFormat>, body: &[u8], every: usize, most: usize) -> (Vec<Frame>, Option<HeaderFault>) {
    let mut framer = CsvFramer::new(table.clone(), limits(most));
    let mut framed = vec![];
    let mut collect = |framer: &mut CsvFramer| {
        let batch = framer.take_batch();
        for place in 0..batch.len() {
            let fault = batch.faults.iter().find(|(of, _)| *of as usize == place).map(|(_, fault)| *fault);
            let text = String::from_utf8_lossy(batch.record(place)).into_owned();
            framed.push((batch.lines[place], text, fault));
        }
    };
    for mut piece in body.chunks(every) {
        while !piece.is_empty() {
            let taken = framer.push(piece, 2, 1_000);
            piece = &piece[taken..];
            if framer.waiting() >= 2 {
                collect(&mut framer);
            }
        }
    }
    while !framer.finish(2, 1_000) {
        collect(&mut framer);
    }
    collect(&mut framer);
    (framed, framer.refused())
}

fn with_header(dialect: CsvDialect) -> Arc<CsvFormat> {
    Arc::new(CsvFormat { dialect, names: ColumnNames::Header })
}

/// Name, dialect and bytes of a table, and the lines, records and faults that are expected.
type Case = (&'static str, CsvDialect, Vec<u8>, &'static [(u64, &'static str, Option<Fault>)]);

fn charset(name: &str) -> CsvDialect {
    CsvDialect { charset: Charset::named(name).unwrap(), ..PLAIN }
}

/// Names of the columns, a body, and the expected frames.
type Headless = (Option<Vec<String>>, &'static [u8], Vec<Frame>);

#[test]
fn rows() {
    let semicolons = CsvDialect { separator: b';', quote: Some(b'\''), ..PLAIN };
    let unquoted = CsvDialect { separator: b'\t', quote: None, ..PLAIN };
    let wide = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
    let big = |text: &str| text.encode_utf16().flat_map(u16::to_be_bytes).collect::<Vec<u8>>();
    let one = r#"{"a":"1","b":"2"}"#;
    let cases: Vec<Case> = vec![
        ("lines", PLAIN, b"a,b\n1,2\n".into(), &[(2, r#"{"a":"1","b":"2"}"#, None)]),
        (
            "CRLF",
            PLAIN,
            b"a,b\r\n1,2\r\n1,2\r\n".into(),
            &[(2, r#"{"a":"1","b":"2"}"#, None), (3, r#"{"a":"1","b":"2"}"#, None)],
        ),
        (
            "CR alone",
            PLAIN,
            b"a,b\r1,2\r\r1,2".into(),
            &[(2, r#"{"a":"1","b":"2"}"#, None), (4, r#"{"a":"1","b":"2"}"#, None)],
        ),
        ("no last end", PLAIN, b"a,b\n1,2".into(), &[(2, r#"{"a":"1","b":"2"}"#, None)]),
        ("empty lines", PLAIN, b"\n\r\na,b\n\n\r\n1,2\n\n".into(), &[(6, r#"{"a":"1","b":"2"}"#, None)]),
        ("BOM", PLAIN, b"\xef\xbb\xbfa,b\n1,2\n".into(), &[(2, r#"{"a":"1","b":"2"}"#, None)]),
        (
            "empty fields",
            PLAIN,
            b"a,b\n,\n\"\",\n".into(),
            &[(2, ",", Some(Fault::Blank)), (3, r#"{"a":"","b":""}"#, None)],
        ),
        (
            "quotes and ends of lines within",
            PLAIN,
            b"a,b\n\"x,\"\"y\"\"\r\n\nz\",\"\"\"\"\n1,2\n".into(),
            &[(2, "{\"a\":\"x,\\\"y\\\"\\r\\n\\nz\",\"b\":\"\\\"\"}", None), (5, r#"{"a":"1","b":"2"}"#, None)],
        ),
        ("blanks are kept", PLAIN, b"a,b\n 1 ,\t2\n".into(), &[(2, "{\"a\":\" 1 \",\"b\":\"\\t2\"}", None)]),
        (
            "other separator and quote",
            semicolons,
            b"a;b\n'1;''';\"2\n".into(),
            &[(2, "{\"a\":\"1;'\",\"b\":\"\\\"2\"}", None)],
        ),
        ("nothing is quoted", unquoted, b"a\tb\n\"1\t2\"\n".into(), &[(2, "{\"a\":\"\\\"1\",\"b\":\"2\\\"\"}", None)]),
        (
            "too few and too many",
            PLAIN,
            b"a,b\n1\n1,2\n1,2,3\n".into(),
            &[
                (2, "1", Some(Fault::FieldCount)),
                (3, r#"{"a":"1","b":"2"}"#, None),
                (4, "1,2,3", Some(Fault::FieldCount)),
            ],
        ),
        (
            "quotes where there may be none",
            PLAIN,
            b"a,b\n1\",2\n\"1\"x,2\n1,2\n\"1,2\n".into(),
            &[
                (2, "1\",2", Some(Fault::Quotes)),
                (3, "\"1\"x,2", Some(Fault::Quotes)),
                (4, r#"{"a":"1","b":"2"}"#, None),
                (5, "\"1,2", Some(Fault::Quotes)),
            ],
        ),
        (
            "too long",
            PLAIN,
            format!("a,b\n{},2\n1,2\n\"{}\n\",2\n1,2\n", "x".repeat(40), "y\n".repeat(20)).into(),
            &[
                (2, "", Some(Fault::TooLarge)),
                (3, r#"{"a":"1","b":"2"}"#, None),
                (4, "\"y\ny\ny\ny\ny\ny\ny\ny\ny\ny\ny\ny\ny\ny\ny\ny\ny", Some(Fault::Quotes)),
                (21, "y\ny\ny\n\n\",2", Some(Fault::Quotes)),
                (26, r#"{"a":"1","b":"2"}"#, None),
            ],
        ),
        (
            "too long once it is an object",
            PLAIN,
            b"a,b\n\x01\x01\x01\x01\x01,\x01\n".into(),
            &[(2, "", Some(Fault::TooLarge))],
        ),
        (
            "no UTF-8",
            PLAIN,
            b"a,b\n\xff,2\n1,2\n".into(),
            &[(2, "\u{fffd},2", Some(Fault::Encoding)), (3, r#"{"a":"1","b":"2"}"#, None)],
        ),
        (
            "windows-1250",
            charset("windows-1250"),
            b"a,b\n\x8e,\xf8\n".into(),
            &[(2, "{\"a\":\"Ž\",\"b\":\"ř\"}", None)],
        ),
        ("iso-8859-2", charset("ISO-8859-2"), b"a,b\n\xae,\xf8\n".into(), &[(2, "{\"a\":\"Ž\",\"b\":\"ř\"}", None)]),
        (
            "a byte that windows-1253 has not",
            charset("windows-1253"),
            b"a,b\n\xd2,2\n1,2\n".into(),
            &[(2, "\u{fffd},2", Some(Fault::Encoding)), (3, r#"{"a":"1","b":"2"}"#, None)],
        ),
        (
            "UTF-16, little end first",
            charset("utf-16le"),
            wide("\u{feff}a,b\r\n\"Ž\n\",ř\r\n"),
            &[(2, "{\"a\":\"Ž\\n\",\"b\":\"ř\"}", None)],
        ),
        (
            "UTF-16, big end first",
            charset("utf-16be"),
            big("a,b\r\nŽ,𝄞\r\n"),
            &[(2, "{\"a\":\"Ž\",\"b\":\"𝄞\"}", None)],
        ),
        (
            "half a pair at the end",
            charset("utf-16le"),
            [wide("a,b\n"), wide(one), vec![0x41]].concat(),
            &[(2, "{\0\"\0a\0\"\0:\0\"\x001\0\"\0,\0\"\0b\0\"\0:\0\"\x002\0\"\0}\0A", Some(Fault::Quotes))],
        ),
        (
            "half of a surrogate pair",
            charset("utf-16le"),
            [wide("a,b\n1,2\nx,"), vec![0x00, 0xd8], wide("\n")].concat(),
            &[(2, r#"{"a":"1","b":"2"}"#, None), (3, "x\0,\0\0\u{fffd}", Some(Fault::Encoding))],
        ),
        ("a header alone", PLAIN, b"a,b\n".into(), &[]),
        ("nothing", PLAIN, b"".into(), &[]),
    ];
    for (name, dialect, body, expected) in cases {
        let table = with_header(dialect);
        let expected: Vec<Frame> =
            expected.iter().map(|(line, text, fault)| (*line, text.to_string(), *fault)).collect();
        for every in [1, 2, 3, 7, 1_000] {
            assert_eq!(cut(&table, &body, every, 35), (expected.clone(), None), "{name}, cut every {every}");
        }
    }
}

#[test]
fn headers() {
    use HeaderFault::*;
    let long = format!("a,{}\n1,2\n", "b".repeat(40));
    let cases: &[(&str, &[u8], HeaderFault)] = &[
        ("a name twice", b"a,b,a\n1,2,3\n", Duplicate(1, 3)),
        ("no name", b"a,,b\n1,2,3\n", Empty(2)),
        ("a blank", b"a, \n1,2\n", Empty(2)),
        ("a quote", b"a\",b\n1,2\n", Misquoted),
        ("an open quote", b"\"a,b\n1,2\n", Misquoted),
        ("no UTF-8", b"\xff,b\n1,2\n", Encoding),
        ("UTF-16 all the same", b"\xff\xfea\0,\0b\0\n\0", Encoding),
        ("too long", long.as_bytes(), TooLong),
    ];
    for (name, body, fault) in cases {
        for every in [1, 2, 1_000] {
            assert_eq!(cut(&with_header(PLAIN), body, every, 30), (vec![], Some(*fault)), "{name}, cut every {every}");
        }
    }
    let marked = b"\xef\xbb\xbfa,b\n1,2\n";
    assert_eq!(cut(&with_header(charset("windows-1250")), marked, 3, 30), (vec![], Some(Encoding)));
}

#[test]
fn tables_without_a_header() {
    let given = Some(vec!["x".to_owned(), "y\"".to_owned()]);
    let cases: Vec<Headless> = vec![
        (None, b"1,2\n3\n", vec![(1, r#"{"1":"1","2":"2"}"#.into(), None), (2, "3".into(), Some(Fault::FieldCount))]),
        (None, b"\"1\n1,2\n", vec![(1, "\"1".into(), Some(Fault::Quotes)), (2, r#"{"1":"1","2":"2"}"#.into(), None)]),
        (None, b"1\",2\n1\n", vec![(1, "1\",2".into(), Some(Fault::Quotes)), (2, r#"{"1":"1"}"#.into(), None)]),
        (
            None,
            b"\"1\"\xc5\x98;\"2\n1\n",
            vec![(1, "\"1\"\u{158};\"2".into(), Some(Fault::Quotes)), (2, r#"{"1":"1"}"#.into(), None)],
        ),
        (given, b"1,2\n", vec![(1, r#"{"x":"1","y\"":"2"}"#.into(), None)]),
    ];
    for (names, body, expected) in cases {
        let table = Arc::new(CsvFormat { dialect: PLAIN, names: ColumnNames::Given(names) });
        assert_eq!(cut(&table, body, 1, 100), (expected, None));
    }
}

#[test]
fn charsets() {
    for (name, known) in [("utf8", true), ("UTF-16", true), ("latin2", true), ("cp1250", true), ("cp437", false)] {
        assert_eq!(Charset::named(name).is_some(), known, "{name}");
    }
    for name in ["shift_jis", "gb18030", "iso-2022-jp", "big5", "iso-2022-kr", "replacement", ""] {
        assert_eq!(Charset::named(name), None, "{name}");
    }
}

/// Each row is at its offset.
#[test]
fn offsets() {
    let body = b"\xef\xbb\xbfa,b\r\n\r\n1,2\r\n\"3\r\n\",4\n5,6";
    for every in 1..body.len() {
        let mut framer = CsvFramer::new(with_header(PLAIN), limits(100));
        body.chunks(every).for_each(|piece| assert_eq!(framer.push(piece, 100, 1_000), piece.len()));
        assert!(framer.finish(100, 1_000));
        let offsets = framer.take_batch().offsets;
        for (row, offset) in [&b"1,2"[..], b"\"3", b"5,6"].into_iter().zip(&offsets) {
            assert!(body[usize::try_from(*offset).unwrap()..].starts_with(row), "{offsets:?}, cut every {every}");
        }
        assert_eq!(offsets.len(), 3);
    }
}

fn quoted(value: &str, dialect: CsvDialect) -> String {
    let quote = char::from(dialect.quote.unwrap()).to_string();
    format!("{quote}{}{quote}", value.replace(&quote, &quote.repeat(2)))
}

proptest! {
    /// A written table is read back as written, and as `csv-core` reads it.
    #[test]
    fn written_tables_are_read_back(
        rows in prop::collection::vec(prop::collection::vec(("[a-z,;'\" \r\n\u{e9}\u{17d}]{0,6}", any::<bool>()), 3), 1..8),
        semicolons in any::<bool>(),
        wide in any::<bool>(),
        ends in prop::sample::select(vec!["\n", "\r\n"]),
        every in 1usize..40,
    ) {
        let dialect = match semicolons {
            true => CsvDialect { separator: b';', quote: Some(b'\''), ..charset(if wide { "utf-16be" } else { "utf-8" }) },
            false => charset(if wide { "utf-16le" } else { "utf-8" }),
        };
        let special = |value: &str| value.bytes().any(|byte| b",;'\"\r\n".contains(&byte)) || value.is_empty();
        let mut text = ["x", "y", "z"].join(&char::from(dialect.separator).to_string()) + ends;
        for row in &rows {
            let fields = row.iter().map(|(value, quotes)| {
                if *quotes || special(value) { quoted(value, dialect) } else { value.clone() }
            });
            text += &(fields.collect::<Vec<_>>().join(&char::from(dialect.separator).to_string()) + ends);
        }
        let body = match (wide, semicolons) {
            (false, _) => text.clone().into_bytes(),
            (true, false) => text.encode_utf16().flat_map(u16::to_le_bytes).collect(),
            (true, true) => text.encode_utf16().flat_map(u16::to_be_bytes).collect(),
        };
        let (framed, refused) = cut(&with_header(dialect), &body, every, 1 << 20);
        prop_assert_eq!(refused, None);
        let read: Vec<Vec<String>> = framed.iter().map(|(_, record, fault)| {
            assert_eq!(*fault, None, "{record}");
            let object: serde_json::Value = serde_json::from_str(record).unwrap();
            ["x", "y", "z"].map(|name| object[name].as_str().unwrap().to_owned()).to_vec()
        }).collect();
        let written: Vec<Vec<String>> =
            rows.iter().map(|row| row.iter().map(|(value, _)| value.clone()).collect()).collect();
        prop_assert_eq!(&read, &written);
        prop_assert_eq!(others_reading(&text, dialect), written);
        let lines: Vec<u64> = framed.iter().map(|(line, _, _)| *line).collect();
        prop_assert!(lines.windows(2).all(|pair| pair[0] < pair[1]));
    }

    /// Any bytes give the same frames, however they are split.
    #[test]
    fn any_bytes_give_the_same_frames(body in prop::collection::vec(prop::sample::select(b"a1,;\"\r\n\xff\0".to_vec()), 0..80), every in 1usize..9) {
        for dialect in [PLAIN, charset("utf-16le"), CsvDialect { quote: None, ..PLAIN }] {
            let table = Arc::new(CsvFormat { dialect, names: ColumnNames::Given(None) });
            prop_assert_eq!(cut(&table, &body, every, 12), cut(&table, &body, 1_000, 12));
        }
    }
}

/// Returns the rows below the header as `csv-core` reads them.
fn others_reading(text: &str, dialect: CsvDialect) -> Vec<Vec<String>> {
    let mut reader = csv_core::ReaderBuilder::new().delimiter(dialect.separator).quote(dialect.quote.unwrap()).build();
    let (mut rows, mut rest, mut out, mut ends) = (vec![], text.as_bytes(), [0; 1_024], [0; 16]);
    loop {
        let (result, taken, _, fields) = reader.read_record(rest, &mut out, &mut ends);
        rest = &rest[taken..];
        match result {
            csv_core::ReadRecordResult::Record => {
                let starts = std::iter::once(0).chain(ends.iter().copied());
                let field = |(start, end): (usize, &usize)| String::from_utf8(out[start..*end].to_vec()).unwrap();
                rows.push(starts.zip(&ends[..fields]).map(field).collect());
            }
            csv_core::ReadRecordResult::InputEmpty => {}
            _ => break,
        }
    }
    rows.split_off(1)
}
