//! What holds of framing whatever bytes come and however they are cut: for tests, and for fuzzing.

use std::sync::Arc;

use arbitrary::Unstructured;
use serde::de::IgnoredAny;

use super::{
    Charset, CsvFramer, Dialect, Fault, Format, Framer, Framing, HeaderFault, Names, RawBatch, Table, member_of,
    scalar_text, scan_object,
};

/// A record's line, offset, bytes and fault.
pub type Frame = (u64, u64, Vec<u8>, Option<Fault>);

/// All frames of a batch.
fn frames_of(batch: &RawBatch) -> impl Iterator<Item = Frame> {
    assert!(batch.faults.is_sorted_by(|(one, _), (next, _)| one < next), "a record has one fault, and in its order");
    let fault_at = |place: usize| batch.faults.iter().find(|(of, _)| *of as usize == place).map(|(_, fault)| *fault);
    (0..batch.len())
        .map(move |place| (batch.lines[place], batch.offsets[place], batch.record(place).to_vec(), fault_at(place)))
}

/// All that comes out of a body that comes in pieces of these lengths, over and over, in batches of at most so many
/// records or bytes.
pub fn frames(
    framer: &mut dyn Framing,
    mut body: &[u8],
    lengths: &[usize],
    (most_records, most_bytes): (usize, usize),
) -> Vec<Frame> {
    let mut framed = vec![];
    let mut lengths = lengths.iter().cycle();
    while !body.is_empty() {
        let length = lengths.next().map_or(body.len(), |length| body.len().min(*length));
        let (mut piece, rest) = body.split_at(length);
        body = rest;
        while !piece.is_empty() {
            let taken = framer.push(piece, most_records, most_bytes);
            piece = &piece[taken..];
            assert!(framer.waiting() <= most_records, "a batch is not longer than it may be");
            if framer.waiting() >= most_records || !piece.is_empty() {
                framed.extend(frames_of(&framer.take_batch()));
            }
        }
    }
    framer.finish();
    framed.extend(frames_of(&framer.take_batch()));
    framed
}

/// Chance's choice of how bytes are cut.
fn cuts(chance: &mut Unstructured) -> arbitrary::Result<(Vec<usize>, (usize, usize))> {
    let lengths = (0..chance.int_in_range(1..=4)?).map(|_| chance.int_in_range(1..=40)).collect::<Result<_, _>>()?;
    Ok((lengths, (chance.int_in_range(1..=5)?, chance.int_in_range(1..=200)?)))
}

/// JSON Lines and sequences: what comes out is what stands between separators, whatever the cut; and of each record all
/// that reads it says the same.
pub fn check_json(data: &[u8]) {
    let mut chance = Unstructured::new(data);
    let choose = |chance: &mut Unstructured| {
        let format = *chance.choose(&[Format::JsonLines, Format::JsonSeq])?;
        Ok::<_, arbitrary::Error>((format, chance.int_in_range(0..=200)?, cuts(chance)?))
    };
    let Ok((format, most, (lengths, batches))) = choose(&mut chance) else { return };
    let body = chance.take_rest();
    let framed = frames(&mut Framer::new(format, most), body, &lengths, batches);
    assert_eq!(framed, split(format, most, body));
    for (_, offset, record, fault) in framed {
        if fault != Some(Fault::TooLarge) {
            assert!(body[offset as usize..].starts_with(&record), "it begins where it is said to");
        }
        if fault.is_none() {
            check_record(std::str::from_utf8(&record).expect("it has no fault"));
        }
    }
}

/// The records of a body that is there as a whole.
fn split(format: Format, most: usize, body: &[u8]) -> Vec<Frame> {
    let (separator, first) = match format {
        Format::JsonLines => (b'\n', 1),
        Format::JsonSeq => (b'\x1e', 0),
    };
    let mut framed = vec![];
    let mut at = 0;
    for (part, line) in body.split(|byte| *byte == separator).zip(first..) {
        let text = if line == first { part.strip_prefix(b"\xef\xbb\xbf").unwrap_or(part) } else { part };
        let blank = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\r' | b'\n');
        let blanks = text.iter().take_while(|byte| blank(byte)).count();
        let length = text[blanks..].len() - text[blanks..].iter().rev().take_while(|byte| blank(byte)).count();
        let record = &text[blanks..blanks + length];
        let offset = at + part.len() - text.len() + blanks;
        if part.len() > most + 3 {
            // Dropped while it came in, blanks and all.
            framed.push((line, at as u64, vec![], Some(Fault::TooLarge)));
        } else if record.len() > most {
            framed.push((line, offset as u64, vec![], Some(Fault::TooLarge)));
        } else if !record.is_empty() {
            let fault = std::str::from_utf8(record).err().map(|_| Fault::Encoding);
            framed.push((line, offset as u64, record.to_vec(), fault));
        }
        at += part.len() + 1;
    }
    framed
}

/// Lists and objects inside each other that a record may have here.
const MOST_DEPTH: usize = 8;

/// One record, as everybody reads it who reads it before the plugins do.
pub fn check_record(record: &str) {
    let mut members = vec![];
    let scanned = scan_object(record.as_bytes(), MOST_DEPTH, |name, value| members.push((name.to_owned(), value)));
    let json = serde_json::from_str::<IgnoredAny>(record).is_ok();
    let object = record.starts_with('{');
    match scanned {
        Ok(()) => assert!(json && object, "{record}"),
        Err(Fault::NotAnObject) => assert!(json && !object, "{record}"),
        Err(Fault::DuplicateField) => assert!(json && object, "{record}"),
        Err(Fault::Depth) => assert!(record.matches(['{', '[']).count() > MOST_DEPTH, "{record}"),
        // A name with half a surrogate is no text.
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

/// Tables: whatever the cut, the same comes out; every row is a record or has a fault, and every record is an object of
/// as many texts as there are names.
pub fn check_table(data: &[u8]) {
    let mut chance = Unstructured::new(data);
    let choose = |chance: &mut Unstructured| {
        let charsets = ["utf-8", "utf-16le", "utf-16be", "windows-1250"];
        let dialect = Dialect {
            separator: *chance.choose(b",;\t|")?,
            quote: *chance.choose(&[Some(b'"'), Some(b'\''), None])?,
            charset: Charset::named(chance.choose(&charsets)?).expect("it is known"),
        };
        let given = Names::Given(Some(vec!["a".into(), "b".into()]));
        let names = chance.choose(&[Names::Header, Names::Given(None), given])?.clone();
        Ok::<_, arbitrary::Error>((Table { dialect, names }, chance.int_in_range(0..=200)?, cuts(chance)?))
    };
    let Ok((table, most, (lengths, batches))) = choose(&mut chance) else { return };
    let (table, body) = (Arc::new(table), chance.take_rest());
    let mut framer = CsvFramer::new(table.clone(), most);
    let framed = frames(&mut framer, body, &lengths, batches);
    let mut whole = CsvFramer::new(table.clone(), most);
    assert_eq!(framed, frames(&mut whole, body, &[], (usize::MAX, usize::MAX)));
    assert_eq!(framer.refused(), whole.refused());
    assert!(
        framed.is_sorted_by(|(line, offset, ..), next| (*line, *offset) < (next.0, next.1)),
        "in order: {framed:?}"
    );
    let mut fields = None;
    for (_, offset, record, fault) in &framed {
        assert!(record.len() <= most.max(body.len()));
        match fault {
            Some(Fault::TooLarge) => assert!(record.is_empty()),
            Some(_) => assert!(body[*offset as usize..].starts_with(record), "it is shown as it stands there"),
            None => {
                let texts: std::collections::BTreeMap<String, String> =
                    serde_json::from_slice(record).expect("a row is an object of texts");
                assert_eq!(*fields.get_or_insert(texts.len()), texts.len(), "as many fields as the others");
            }
        }
    }
    if table.dialect == (Dialect { quote: None, charset: Charset::UTF_8, ..table.dialect }) {
        check_rows(&table, body, &framed, framer.refused());
    }
}

/// Where nothing is quoted a row is a line: none is swallowed.
fn check_rows(table: &Table, body: &[u8], framed: &[Frame], refused: Option<HeaderFault>) {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    let rows = body.split(|byte| b"\r\n".contains(byte)).filter(|row| !row.is_empty()).count();
    let header = usize::from(table.names == Names::Header).min(rows);
    assert_eq!(framed.len(), if refused.is_some() { 0 } else { rows - header });
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What was once found, and what fuzzing begins with.
    #[test]
    fn seeds() {
        sluice_test_seeds::seeds("framing").iter().for_each(|seed| check_json(seed));
        sluice_test_seeds::seeds("csv").iter().for_each(|seed| check_table(seed));
    }

    /// Chance's settings, and a body of what means something to framing.
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
