//! Properties of framing for any bytes, however they are split, for tests and fuzzing.

use std::sync::Arc;

use arbitrary::Unstructured;
use serde::de::IgnoredAny;

use super::{
    BodyFormat, Charset, ColumnNames, CsvDialect, CsvFormat, CsvFramer, Fault, FrameLimits, Framing, JsonFormat,
    JsonFramer, LineCounter, RawBatch, member_of, scalar_text, scan_object,
};

/// Converts an offset to an index.
fn index(offset: u64) -> usize {
    usize::try_from(offset).expect("a body in memory")
}

/// A record as framing returns it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// First and last line.
    pub lines: (u64, u64),
    /// Offset in the body.
    pub offset: u64,
    /// Bytes.
    pub record: Vec<u8>,
    /// Fault, if it has one.
    pub fault: Option<Fault>,
}

/// Iterates over the frames of a batch.
fn frames_of(batch: &RawBatch) -> impl Iterator<Item = Frame> {
    assert!(
        batch.faults.is_sorted_by(|(one, _), (next, _)| one < next),
        "a record has at most one fault, and faults are in order"
    );
    let fault_at = |place: usize| batch.faults.iter().find(|(of, _)| *of as usize == place).map(|(_, fault)| *fault);
    (0..batch.len()).map(move |place| Frame {
        lines: (batch.lines[place], batch.span(place).map_or(batch.lines[place], |span| span.last)),
        offset: batch.offsets[place],
        record: batch.record(place).to_vec(),
        fault: fault_at(place),
    })
}

/// Returns all frames of a body that arrives in pieces of these lengths, repeated, in batches of at most this many records
/// or bytes.
pub fn frames(
    framer: &mut dyn Framing,
    mut body: &[u8],
    lengths: &[usize],
    (max_records, max_bytes): (usize, usize),
) -> Vec<Frame> {
    let mut framed = vec![];
    let mut lengths = lengths.iter().cycle();
    let add = |framer: &mut dyn Framing, framed: &mut Vec<Frame>| {
        // A correct row can end a refused span as well as itself.
        assert!(framer.waiting() <= max_records.saturating_add(1), "a batch is not longer than the limit");
        framed.extend(frames_of(&framer.take_batch()));
    };
    while !body.is_empty() {
        let length = lengths.next().map_or(body.len(), |length| body.len().min(*length));
        let (mut piece, rest) = body.split_at(length);
        body = rest;
        while !piece.is_empty() {
            let taken = framer.push(piece, max_records, max_bytes);
            piece = &piece[taken..];
            if framer.waiting() >= max_records || !piece.is_empty() {
                add(framer, &mut framed);
            }
        }
    }
    while !framer.finish(max_records, max_bytes) {
        add(framer, &mut framed);
    }
    add(framer, &mut framed);
    framed
}

/// Checks that every line of a body belongs to one record, to the header, or is passed over.
pub fn check_lines(format: &BodyFormat, framer: &dyn Framing, body: &[u8], framed: &[Frame]) {
    let mut counter = LineCounter::new(format);
    counter.push(body);
    let of_records: u64 = framed.iter().map(|Frame { lines: (first, last), .. }| last - first + 1).sum();
    let passed = framer.passed();
    assert_eq!(of_records + passed.header + passed.blank, counter.lines(), "{passed:?} {framed:?}");
    let mut split = LineCounter::new(format);
    body.iter().for_each(|byte| split.push(&[*byte]));
    assert_eq!(split.lines(), counter.lines());
}

/// Reads lengths of pieces and limits of batches from the input.
fn cuts(input: &mut Unstructured) -> arbitrary::Result<(Vec<usize>, (usize, usize))> {
    let lengths = (0..input.int_in_range(1..=4)?).map(|_| input.int_in_range(1..=40)).collect::<Result<_, _>>()?;
    Ok((lengths, (input.int_in_range(1..=5)?, input.int_in_range(1..=200)?)))
}

/// Checks JSON Lines and sequences: the frames are the texts between separators, however the body is split, and all
/// readers agree on each record.
pub fn check_json(data: &[u8]) {
    let mut input = Unstructured::new(data);
    let choose = |input: &mut Unstructured| {
        let format = *input.choose(&[JsonFormat::JsonLines, JsonFormat::JsonSeq])?;
        Ok::<_, arbitrary::Error>((format, input.int_in_range(0..=200)?, cuts(input)?))
    };
    let Ok((format, most, (lengths, batches))) = choose(&mut input) else { return };
    let body = input.take_rest();
    let mut framer = JsonFramer::new(format, most);
    let framed = frames(&mut framer, body, &lengths, batches);
    assert_eq!(framed, split(format, most, body));
    check_lines(&BodyFormat::Json(format), &framer, body, &framed);
    for Frame { offset, record, fault, .. } in framed {
        if fault != Some(Fault::TooLarge) {
            assert!(body[index(offset)..].starts_with(&record), "a record is at its offset");
        }
        if fault.is_none() {
            check_record(std::str::from_utf8(&record).expect("it has no fault"));
        }
    }
}

/// Splits a complete body at its separators.
fn split(format: JsonFormat, most: usize, body: &[u8]) -> Vec<Frame> {
    let (separator, first) = match format {
        JsonFormat::JsonLines => (b'\n', 1),
        JsonFormat::JsonSeq => (b'\x1e', 0),
    };
    let mut framed = vec![];
    let mut at = 0;
    for (part, line) in body.split(|byte| *byte == separator).zip(first..) {
        let (begin, ends) = (at, at + part.len() == body.len());
        at += part.len() + 1;
        let padding = part.iter().rev().take_while(|byte| ends && matches!(byte, 0 | 0x1a)).count();
        let part = &part[..part.len() - padding];
        let text = if line == first { part.strip_prefix(b"\xef\xbb\xbf").unwrap_or(part) } else { part };
        let blank = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\r' | b'\n');
        let blanks = text.iter().take_while(|byte| blank(byte)).count();
        let length = text[blanks..].len() - text[blanks..].iter().rev().take_while(|byte| blank(byte)).count();
        let record = &text[blanks..blanks + length];
        let mut add = |offset: usize, record: &[u8], fault| {
            framed.push(Frame { lines: (line, line), offset: offset as u64, record: record.to_vec(), fault });
        };
        let offset = begin + part.len() - text.len() + blanks;
        if part.len() + padding > most + 3 && !part.is_empty() {
            // The framer discards it together with its blanks.
            add(begin, &[], Some(Fault::TooLarge));
        } else if record.len() > most {
            add(offset, &[], Some(Fault::TooLarge));
        } else if !record.is_empty() {
            add(offset, record, std::str::from_utf8(record).err().map(|_| Fault::Encoding));
        }
    }
    framed
}

/// Maximum nesting of a record in these checks.
const MAX_DEPTH: usize = 8;

/// Checks that all readers of a record agree.
pub fn check_record(record: &str) {
    let mut members = vec![];
    let scanned = scan_object(record.as_bytes(), MAX_DEPTH, |name, value| members.push((name.to_owned(), value)));
    let json = serde_json::from_str::<IgnoredAny>(record).is_ok();
    let object = record.starts_with('{');
    match scanned {
        Ok(()) => assert!(json && object, "{record}"),
        Err(Fault::NotAnObject) => assert!(json && !object, "{record}"),
        Err(Fault::DuplicateField) => assert!(json && object, "{record}"),
        Err(Fault::Depth) => assert!(record.matches(['{', '[']).count() > MAX_DEPTH, "{record}"),
        // A name with half of a surrogate pair is not text.
        Err(Fault::Json) => assert!(!json || record.contains("\\u"), "{record}"),
        Err(fault) => panic!("{fault:?}: {record}"),
    }
    for (name, value) in &members {
        if scanned.is_ok() {
            assert_eq!(member_of(record, name), Some(*value), "{name} of {record}");
        }
        if let Some(text) = scalar_text(value) {
            assert!(!text.is_empty() && !value.starts_with(['{', '[', 'n']), "{value}");
        }
    }
    let absent = "no such name";
    assert!(member_of(record, absent).is_none() || record.contains("such"), "{record}");
}

/// Checks tables: the frames are the same, however the body is split. Every row is a record or has a fault, and every
/// record is an object with one string for each name.
pub fn check_table(data: &[u8]) {
    let mut input = Unstructured::new(data);
    let choose = |input: &mut Unstructured| {
        let charsets = ["utf-8", "utf-16le", "utf-16be", "windows-1250"];
        let dialect = CsvDialect {
            separator: *input.choose(b",;\t|")?,
            quote: *input.choose(&[Some(b'"'), Some(b'\''), None])?,
            charset: Charset::named(input.choose(&charsets)?).expect("it is known"),
        };
        let given = ColumnNames::Given(Some(vec!["a".into(), "b".into()]));
        let names = input.choose(&[ColumnNames::Header, ColumnNames::Given(None), given])?.clone();
        let (record_bytes, quoted_lines) = (input.int_in_range(0..=200)?, input.int_in_range(1..=8)?);
        let limits = FrameLimits { record_bytes, quoted_lines };
        Ok::<_, arbitrary::Error>((CsvFormat { dialect, names }, limits, cuts(input)?))
    };
    let Ok((table, limits, (lengths, batches))) = choose(&mut input) else { return };
    let (table, body) = (Arc::new(table), input.take_rest());
    let mut framer = CsvFramer::new(table.clone(), limits);
    let framed = frames(&mut framer, body, &lengths, batches);
    let mut whole = CsvFramer::new(table.clone(), limits);
    assert_eq!(framed, frames(&mut whole, body, &[], (usize::MAX, usize::MAX)));
    assert_eq!(framer.refused(), whole.refused());
    for pair in framed.windows(2) {
        assert!(pair[0].lines.1 < pair[1].lines.0 && pair[0].offset < pair[1].offset, "in order: {framed:?}");
    }
    if framer.refused().is_none() {
        check_lines(&BodyFormat::Csv(table.clone()), &framer, body, &framed);
    }
    let mut fields = None;
    for Frame { lines, offset, record, fault } in &framed {
        assert!(record.len() <= limits.record_bytes.max(body.len()));
        assert!(table.dialect.quote.is_some() || lines.0 == lines.1, "without quotes, a record is a line");
        match fault {
            Some(Fault::TooLarge) => assert!(record.is_empty()),
            Some(_) => {
                assert!(body[index(*offset)..].starts_with(record), "an invalid row is returned as it was received")
            }
            None => {
                let texts: std::collections::BTreeMap<String, String> =
                    serde_json::from_slice(record).expect("a row is an object of texts");
                assert_eq!(*fields.get_or_insert(texts.len()), texts.len(), "as many fields as the others");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Checks the seeds of fuzzing and inputs of earlier failures.
    #[test]
    fn seeds() {
        sluice_test_seeds::seeds("framing").iter().for_each(|seed| check_json(seed));
        sluice_test_seeds::seeds("csv").iter().for_each(|seed| check_table(seed));
    }

    /// Generates settings, and a body of meaningful pieces.
    fn data(letters: &'static [&'static [u8]]) -> impl Strategy<Value = Vec<u8>> {
        let body = prop::collection::vec(prop::sample::select(letters), 0..60).prop_map(|parts| parts.concat());
        (prop::collection::vec(any::<u8>(), 12), body).prop_map(|(settings, body)| [settings, body].concat())
    }

    const JSON: &[&[u8]] = &[
        b"{",
        b"}",
        b"[",
        b"]",
        b",",
        b":",
        b"\"",
        b"\\",
        b"\\u00e9",
        b"\\ud800",
        b"\"a\"",
        b"\"a\":1",
        b"{\"b\":[]}",
        b"1",
        b"-0.5e9",
        b"null",
        b"true",
        b"\n",
        b"\r\n",
        b"\x1e",
        b" ",
        b"\xef\xbb\xbf",
        b"\xff",
        b"\0",
        b"\xc3\xa9",
        b"\x0c",
    ];
    const CSV: &[&[u8]] = &[
        b",",
        b";",
        b"\"",
        b"'",
        b"\"\"",
        b"a",
        b"b",
        b"\n",
        b"\r\n",
        b"\r",
        b"\t",
        b"|",
        b" ",
        b"\xef\xbb\xbf",
        b"\xff",
        b"\0",
        b"\xc3\xa9",
        b"\xd8",
        b"\xff\xfe",
        b"\x1a",
        b"sep=;\n",
        b"a,b\n",
        b"1,2\n",
        b"\"x\ny\"",
    ];

    proptest! {
        #[test]
        fn json(data in data(JSON)) {
            check_json(&data);
        }

        #[test]
        fn tables(data in data(CSV)) {
            check_table(&data);
        }

        #[test]
        fn records(parts in prop::collection::vec(prop::sample::select(JSON), 0..20)) {
            if let Ok(record) = std::str::from_utf8(&parts.concat()) {
                check_record(record.trim_matches([' ', '\t', '\r', '\n']));
            }
        }
    }
}
