//! Tests of tables as people have them: stray quotes, padding, a line that names the separator, columns without a name.

use std::sync::Arc;

use proptest::prelude::*;
use sluice_test_seeds::{DamagedTable, Random};

use crate::properties::{check_lines, frames};
use crate::{
    BodyFormat, Charset, ColumnNames, CsvDialect, CsvFormat, CsvFramer, Fault, FrameLimits, Framing, HeaderFault,
    LineCounter, PassedLines,
};

const LIMITS: FrameLimits = FrameLimits { record_bytes: 1 << 16, quoted_lines: 100 };

/// First and last line, line and column of the quote, and the fault. A correct record is told apart by its first field.
type Found = (u64, u64, Option<(u64, u32)>, Result<String, Fault>);

fn dialect(separator: u8, charset: &str) -> CsvDialect {
    CsvDialect { separator, quote: Some(b'"'), charset: Charset::named(charset).unwrap() }
}

/// Frames a table in pieces of this length, and checks that every line is accounted for.
fn frame(dialect: CsvDialect, body: &[u8], every: usize, limits: FrameLimits) -> (Vec<Found>, PassedLines) {
    let table = Arc::new(CsvFormat { dialect, names: ColumnNames::Header });
    let mut framer = CsvFramer::new(table.clone(), limits);
    let mut counter = LineCounter::new(&BodyFormat::Csv(table));
    let mut found = vec![];
    let mut collect = |framer: &mut CsvFramer| {
        let batch = framer.take_batch();
        for place in 0..batch.len() {
            let fault = batch.faults.iter().find(|(of, _)| *of as usize == place).map(|(_, fault)| *fault);
            let (line, span) = (batch.lines[place], batch.span(place));
            let record = batch.record(place);
            let offset = usize::try_from(batch.offsets[place]).unwrap();
            assert!(fault.is_none() || body[offset..].starts_with(record), "refused lines are as they came");
            let first = || {
                let object: serde_json::Value = serde_json::from_slice(record).unwrap();
                object.as_object().unwrap().values().next().unwrap().as_str().unwrap().to_owned()
            };
            let quote = span.and_then(|span| span.quote).map(|quote| (quote.line, quote.column));
            found.push((line, span.map_or(line, |span| span.last), quote, fault.map_or_else(|| Ok(first()), Err)));
        }
    };
    for piece in body.chunks(every) {
        counter.push(piece);
        let mut rest = piece;
        while !rest.is_empty() {
            let taken = framer.push(rest, 3, 1_000);
            rest = &rest[taken..];
            collect(&mut framer);
        }
    }
    while !framer.finish(3, 1_000) {
        collect(&mut framer);
    }
    collect(&mut framer);
    assert_eq!(framer.refused(), None);
    let lines: u64 = found.iter().map(|(first, last, ..)| last - first + 1).sum();
    assert_eq!(lines + framer.passed().header + framer.passed().blank, counter.lines(), "every line is accounted for");
    (found, framer.passed())
}

fn right(line: u64, first: &str) -> Found {
    (line, line, None, Ok(first.to_owned()))
}

fn refused(first: u64, last: u64, quote: (u64, u32)) -> Found {
    (first, last, Some(quote), Err(Fault::Quotes))
}

fn wide(text: &[u8]) -> Vec<u8> {
    String::from_utf8_lossy(text).encode_utf16().flat_map(u16::to_le_bytes).collect()
}

#[test]
fn a_stray_quote_costs_its_lines_only() {
    let long: String = (3..300).map(|id| format!("{id},x,y\n")).collect();
    let cases: Vec<(&str, String, Vec<Found>)> = vec![
        (
            "open to the end of the table",
            "a,b,c\n1,x,y\n2,\"x,y\n3,x,y\n4,x,y".into(),
            vec![right(2, "1"), refused(3, 3, (3, 2)), right(4, "3"), right(5, "4")],
        ),
        (
            "closed by the quote of the next row",
            "a,b,c\n1,\"x\",y\n2,\"x,y\n3,\"x\",y\n4,\"x\",y\n".into(),
            vec![right(2, "1"), refused(3, 3, (3, 2)), right(4, "3"), right(5, "4")],
        ),
        (
            "in the last field",
            "\"a\",\"b\"\r\n\"1\",\"x\r\n\"2\",\"x\"\r\n\"3\",\"x\"\"\r\n\"4\",\"x\"\r\n".into(),
            vec![refused(2, 2, (2, 2)), right(3, "2"), refused(4, 4, (4, 2)), right(5, "4")],
        ),
        (
            "with lines after it that are no rows",
            "a,b,c\n1,x,y\n2,\"x,y\nno row\nno,row\n\n3,x,y\n".into(),
            vec![right(2, "1"), refused(3, 6, (3, 2)), right(7, "3")],
        ),
        (
            "before a row whose own field spans lines",
            "a,b,c\n1,\"x,y\n2,\"x\ny\",z\n3,x,y\n".into(),
            vec![refused(2, 2, (2, 2)), (3, 4, None, Ok("2".into())), right(5, "3")],
        ),
        (
            "after a field that spans lines and is correct",
            "a,b,c\n1,\"x\ny\",\"z\n2,x,y\n".into(),
            vec![refused(2, 3, (3, 3)), right(4, "2")],
        ),
        ("in the last line", "a,b\n1,x\n2,\"x".into(), vec![right(2, "1"), refused(3, 3, (3, 2))]),
        ("in the last line, ended", "a,b\n1,x\n2,\"x\n".into(), vec![right(2, "1"), refused(3, 3, (3, 2))]),
        (
            "two of them",
            "a,b,c\n1,\"x,y\n2,x,y\n3,x,\"y\n4,x,y\n".into(),
            vec![refused(2, 2, (2, 2)), right(3, "2"), refused(4, 4, (4, 3)), right(5, "4")],
        ),
        (
            "a field with too many lines",
            format!("a,b,c\n1,x,y\n2,\"x,y\n{long}\"\",x,y\n"),
            [right(2, "1"), refused(3, 3, (3, 2))]
                .into_iter()
                .chain((3..300).map(|id| right(id + 1, &id.to_string())))
                .chain([right(301, "")])
                .collect(),
        ),
        (
            "a correct field with ends of lines",
            "a,b\n1,\"x\n\ny\"\n\"2\r\n\",\"\"\"\n\"\n".into(),
            vec![(2, 4, None, Ok("1".into())), (5, 7, None, Ok("2\r\n".into()))],
        ),
        (
            "correct quotes and a wrong number of fields",
            "a,b\n1,\"x\ny,z\nw\",more\n2,x\n".into(),
            vec![(2, 4, None, Err(Fault::FieldCount)), right(5, "2")],
        ),
    ];
    for (name, text, expected) in cases {
        for ends in ["\n", "\r\n", "\r"] {
            if ends != "\n" && text.contains('\r') {
                continue;
            }
            let text = text.replace('\n', ends);
            let expected: Vec<Found> = expected
                .iter()
                .map(|(first, last, quote, found)| {
                    let found = found.clone().map(|value| if ends == "\n" { value } else { value.replace('\n', ends) });
                    (*first, *last, *quote, found)
                })
                .collect();
            for every in [1, 2, 5, 1 << 20] {
                let (found, _) = frame(dialect(b',', "utf-8"), text.as_bytes(), every, LIMITS);
                assert_eq!(found, expected, "{name}, {ends:?}, cut every {every}");
                let (found, _) = frame(dialect(b',', "utf-16le"), &wide(text.as_bytes()), every, LIMITS);
                assert_eq!(found, expected, "{name}, {ends:?}, UTF-16, cut every {every}");
            }
        }
    }
}

/// A quoted field that is longer than a record may be is abandoned as well. Its line may itself be too long.
#[test]
fn a_stray_quote_is_abandoned_at_the_length_of_a_record() {
    let limits = FrameLimits { record_bytes: 200, quoted_lines: 1 << 20 };
    let rows: String = (3..60).map(|id| format!("{id},x,y\n")).collect();
    let long = "z".repeat(300);
    let expected: Vec<Found> = [right(2, "1"), refused(3, 3, (3, 2))]
        .into_iter()
        .chain((3..60).map(|id| right(id + 1, &id.to_string())))
        .collect();
    let mut too_long = expected.clone();
    too_long[1].3 = Err(Fault::TooLarge);
    for every in [1, 7, 1 << 20] {
        let plain = frame(dialect(b',', "utf-8"), format!("a,b,c\n1,x,y\n2,\"x,y\n{rows}").as_bytes(), every, limits);
        assert_eq!(plain.0, expected);
        let body = format!("a,b,c\n1,x,y\n2,\"{long},y\n{rows}");
        assert_eq!(frame(dialect(b',', "utf-8"), body.as_bytes(), every, limits).0, too_long);
    }
}

/// Body, the records found, and the lines of header and padding.
type Kept = (&'static str, CsvDialect, Vec<u8>, Vec<Found>, (u64, u64));

#[test]
fn tables_as_people_have_them() {
    let commas = dialect(b',', "utf-8");
    let one = || vec![right(2, "1")];
    let cases: Vec<Kept> = vec![
        ("a mark before quotes", commas, b"\xef\xbb\xbf\"a\",\"b\"\r\n\"1\",\"x\"\r\n".into(), one(), (1, 0)),
        (
            "the same in UTF-16",
            dialect(b'\t', "utf-16le"),
            wide("\u{feff}\"a\"\t\"b\"\r\n\"1\"\t\"x\"\r\n".as_bytes()),
            one(),
            (1, 0),
        ),
        ("half a mark", dialect(b',', "utf-8"), b"\xef\xbb,b\n1,x\n".into(), vec![], (0, 0)),
        ("a line with the separator", commas, b"sep=;\r\na;b\r\n1;x,y\r\n".into(), vec![right(3, "1")], (2, 0)),
        (
            "the same after a mark, in quotes",
            commas,
            b"\xef\xbb\xbf\"SEP=|\"\na|b\n1|x\n".into(),
            vec![right(3, "1")],
            (2, 0),
        ),
        (
            "the same in UTF-16",
            dialect(b',', "utf-16le"),
            wide("\u{feff}sep=\t\r\na\tb\r\n1\tx\r\n".as_bytes()),
            vec![right(3, "1")],
            (2, 0),
        ),
        ("a column of that name", commas, b"sep=ab\n1\n".into(), one(), (1, 0)),
        (
            "columns without a name",
            dialect(b';', "utf-8"),
            b"a;b;;\n1;x;;\n2;x\n3;x;;;\n4;x;;y\n".into(),
            vec![
                right(2, "1"),
                right(3, "2"),
                (4, 4, None, Err(Fault::FieldCount)),
                (5, 5, None, Err(Fault::FieldCount)),
            ],
            (1, 0),
        ),
        (
            "rows of separators",
            commas,
            b",\n\na,b\n,\n1,x\n,,,\n".into(),
            vec![(4, 4, None, Err(Fault::Blank)), right(5, "1"), (6, 6, None, Err(Fault::Blank))],
            (1, 2),
        ),
        ("padding", commas, b"a,b\n1,x\n\0\0\0\0\x1a\0".into(), one(), (1, 1)),
        ("an end-of-file character", commas, b"a,b\r\n1,x\r\n\x1a".into(), one(), (1, 1)),
        ("much padding", commas, [&b"a,b\n1,x\n"[..], &[0; 1 << 18]].concat(), one(), (1, 1)),
        (
            "padding that is none",
            commas,
            b"a,b\n\0\0\n1,x\n".into(),
            vec![(2, 2, None, Err(Fault::FieldCount)), right(3, "1")],
            (1, 0),
        ),
    ];
    for (name, dialect, body, expected, (header, blank)) in cases {
        for every in [1, 2, 3, 1 << 20] {
            if name == "half a mark" {
                let table = Arc::new(CsvFormat { dialect, names: ColumnNames::Header });
                let mut framer = CsvFramer::new(table, LIMITS);
                body.chunks(every).for_each(|piece| assert_eq!(framer.push(piece, 9, 1_000), piece.len()));
                assert_eq!(framer.refused(), Some(HeaderFault::Encoding), "{name}, cut every {every}");
                continue;
            }
            let (found, passed) = frame(dialect, &body, every, LIMITS);
            assert_eq!(found, expected, "{name}, cut every {every}");
            assert_eq!(passed, PassedLines { header, blank }, "{name}, cut every {every}");
        }
    }
}

proptest! {
    /// With one stray quote anywhere in a table without quotes, each row without it is found.
    #[test]
    fn one_stray_quote_costs_one_row(
        rows in 1usize..40,
        at in any::<prop::sample::Index>(),
        every in 1usize..60,
        ends in prop::sample::select(vec!["\n", "\r\n", "\r"]),
        utf16 in any::<bool>(),
    ) {
        let mut lines: Vec<String> = (0..rows).map(|id| format!("{id},Name of {id},{id}.50,Street {id}")).collect();
        let damaged = at.index(rows);
        let places: Vec<usize> = (0..=lines[damaged].len()).collect();
        lines[damaged].insert(places[at.index(places.len())], '"');
        let text = format!("a,b,c,d{ends}{}{ends}", lines.join(ends));
        let (body, dialect) = match utf16 {
            true => (wide(text.as_bytes()), dialect(b',', "utf-16le")),
            false => (text.into_bytes(), dialect(b',', "utf-8")),
        };
        let (found, _) = frame(dialect, &body, every, LIMITS);
        let expected: Vec<String> = (0..rows).filter(|id| *id != damaged).map(|id| id.to_string()).collect();
        let kept: Vec<String> = found.iter().filter_map(|(.., found)| found.clone().ok()).collect();
        prop_assert_eq!(kept, expected);
        let lost: Vec<u64> = found.iter().filter(|(.., found)| found.is_err()).map(|(line, ..)| *line).collect();
        prop_assert_eq!(lost, vec![damaged as u64 + 2]);
    }
}

/// Number of generated tables, unless `SLUICE_DAMAGED_TABLES` names another.
const TABLES: u64 = 3_000;

/// Every line of a table with random damage is accounted for, and the frames do not depend on how the table is split.
#[test]
fn every_line_of_a_damaged_table_is_accounted_for() {
    let count = std::env::var("SLUICE_DAMAGED_TABLES").ok().and_then(|count| count.parse().ok()).unwrap_or(TABLES);
    let (mut refused, mut spans, mut records) = (0, 0, 0);
    for seed in 0..count {
        let mut random = Random::new(seed);
        let DamagedTable { charset, separator, body } = DamagedTable::new(&mut random, &["id", "name"]);
        let dialect = CsvDialect { separator, quote: Some(b'"'), charset: Charset::named(charset).unwrap() };
        let table = Arc::new(CsvFormat { dialect, names: ColumnNames::Header });
        let limits = FrameLimits { record_bytes: 20 + random.below(400), quoted_lines: 1 + random.below(20) as u64 };
        let mut framer = CsvFramer::new(table.clone(), limits);
        let pieces = [1 + random.below(50), 1 + random.below(9)];
        let found = frames(&mut framer, &body, &pieces, (1 + random.below(5), 1_000));
        let mut whole = CsvFramer::new(table.clone(), limits);
        assert_eq!(found, frames(&mut whole, &body, &[], (usize::MAX, usize::MAX)), "seed {seed}");
        if framer.refused().is_some() {
            refused += 1;
            continue;
        }
        check_lines(&BodyFormat::Csv(table), &framer, &body, &found);
        records += found.iter().filter(|frame| frame.fault.is_none()).count();
        spans += found.iter().filter(|frame| frame.fault.is_some() && frame.lines.1 > frame.lines.0).count();
    }
    println!("{count} tables: {refused} with a damaged header, {records} records, {spans} refused spans of lines");
    assert!(refused * 4 < count && records > 0 && spans > 0, "the damage is varied");
}
