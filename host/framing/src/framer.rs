//! Cuts a stream of bytes into batches of records.

use super::{Fault, Framing, RawBatch};

/// How records stand in a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// One JSON object a line.
    JsonLines,
    /// RFC 7464: each record after a record separator (0x1E).
    JsonSeq,
}

const LINE_FEED: u8 = b'\n';
const RECORD_SEPARATOR: u8 = 0x1e;
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Takes bytes as they come, gives batches of whole records.
///
/// A byte order mark at the front, carriage returns at line ends and blank lines are passed over.
/// A record longer than the limit is dropped while it comes in, and reported; memory stays bounded by
/// one record and one batch.
pub struct Framer {
    format: Format,
    max_record_bytes: usize,
    /// The unfinished record; empty while one that is too large passes by.
    partial: Vec<u8>,
    overlong: bool,
    at_start: bool,
    /// Number of the line, or of the sequence's record, that is being read.
    line: u64,
    /// Bytes taken so far, and where the unfinished record began.
    taken: u64,
    began: u64,
    batch: RawBatch,
}

impl Framer {
    /// For a body in this format, with records of at most so many bytes.
    pub fn new(format: Format, max_record_bytes: usize) -> Self {
        // What stands before the first separator is no record of a sequence: it counts as number 0.
        let line = u64::from(format == Format::JsonLines);
        let batch = RawBatch::default();
        Self {
            format,
            max_record_bytes,
            partial: vec![],
            overlong: false,
            at_start: true,
            line,
            taken: 0,
            began: 0,
            batch,
        }
    }

    fn take(&mut self, bytes: &[u8]) {
        if self.overlong {
            return;
        }
        if self.partial.len() + bytes.len() > self.max_record_bytes + BYTE_ORDER_MARK.len() {
            self.overlong = true;
            self.partial = vec![];
            return;
        }
        self.partial.extend_from_slice(bytes);
    }

    fn end_record(&mut self) {
        let mut record = self.partial.as_slice();
        if std::mem::take(&mut self.at_start) {
            record = record.strip_prefix(BYTE_ORDER_MARK).unwrap_or(record);
        }
        let before = self.partial.len() - record.len();
        let (blanks, record) = trim(record);
        let offset = self.began + (before + blanks) as u64;
        if self.overlong || record.len() > self.max_record_bytes {
            self.batch.push(self.line, offset, &[], Some(Fault::TooLarge));
        } else if !record.is_empty() {
            let fault = std::str::from_utf8(record).is_err().then_some(Fault::Encoding);
            self.batch.push(self.line, offset, record, fault);
        }
        self.partial.clear();
        self.overlong = false;
    }
}

impl Framing for Framer {
    fn push(&mut self, bytes: &[u8], max_records: usize, max_bytes: usize) -> usize {
        let separator = match self.format {
            Format::JsonLines => LINE_FEED,
            Format::JsonSeq => RECORD_SEPARATOR,
        };
        let mut start = 0;
        for end in memchr::memchr_iter(separator, bytes) {
            self.take(&bytes[start..end]);
            self.end_record();
            self.line += 1;
            self.taken += (end + 1 - start) as u64;
            self.began = self.taken;
            start = end + 1;
            if self.batch.len() >= max_records || self.batch.bytes.len() >= max_bytes {
                return start;
            }
        }
        self.take(&bytes[start..]);
        self.taken += (bytes.len() - start) as u64;
        bytes.len()
    }

    fn take_batch(&mut self) -> RawBatch {
        std::mem::take(&mut self.batch)
    }

    fn waiting(&self) -> usize {
        self.batch.len()
    }

    fn finish(&mut self) {
        self.end_record();
    }
}

/// A record without the blanks around it, and how many there were before it: JSON's blanks, and no others, or a line of a
/// form feed would be nothing at all.
fn trim(record: &[u8]) -> (usize, &[u8]) {
    let blank = |byte: &u8| b" \t\r\n".contains(byte);
    let start = record.iter().position(|byte| !blank(byte)).unwrap_or(record.len());
    let end = record.iter().rposition(|byte| !blank(byte)).map_or(start, |last| last + 1);
    (start, &record[start..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(format: Format, body: &[u8], cut: usize) -> Vec<(u64, String, Option<Fault>)> {
        let mut framer = Framer::new(format, 20);
        let mut framed = vec![];
        let mut collect = |batch: RawBatch| {
            for position in 0..batch.len() {
                let fault = batch.faults.iter().find(|(of, _)| *of as usize == position).map(|(_, fault)| *fault);
                let text = String::from_utf8_lossy(batch.record(position)).into_owned();
                framed.push((batch.lines[position], text, fault));
            }
        };
        for mut piece in body.chunks(cut) {
            while !piece.is_empty() {
                let taken = framer.push(piece, 2, 1_000);
                piece = &piece[taken..];
                if framer.waiting() >= 2 {
                    collect(framer.take_batch());
                }
            }
        }
        framer.finish();
        collect(framer.take_batch());
        framed
    }

    /// Each record is found again where it is said to have begun.
    #[test]
    fn offsets() {
        for (format, body) in [
            (Format::JsonLines, "\u{feff} {\"a\":1}\r\n\n  {\"b\":2}\n{\"c\":3}".as_bytes()),
            (Format::JsonSeq, b"\x1e{\"a\":1}\n\x1e \n{\"b\":2}\n\x1e{\"c\":3}"),
        ] {
            for cut in 1..body.len() {
                let mut framer = Framer::new(format, 20);
                for piece in body.chunks(cut) {
                    assert_eq!(framer.push(piece, 100, 1_000), piece.len());
                }
                framer.finish();
                let batch = framer.take_batch();
                let records: Vec<&[u8]> = vec![b"{\"a\":1}", b"{\"b\":2}", b"{\"c\":3}"];
                assert_eq!(batch.records().collect::<Vec<_>>(), records, "{format:?} in pieces of {cut}");
                for (record, offset) in records.iter().zip(&batch.offsets) {
                    assert!(body[*offset as usize..].starts_with(record), "{format:?} in pieces of {cut}");
                }
            }
        }
    }

    /// However the bytes are cut, the same records come out.
    #[test]
    fn frames() {
        let long = "x".repeat(21);
        type Frame = (u64, &'static str, Option<Fault>);
        let cases: &[(&str, Format, Vec<u8>, &[Frame])] = &[
            ("lines", Format::JsonLines, b"{}\n{1}\n".into(), &[(1, "{}", None), (2, "{1}", None)]),
            ("no last newline", Format::JsonLines, b"{}\n{1}".into(), &[(1, "{}", None), (2, "{1}", None)]),
            (
                "CRLF and blanks",
                Format::JsonLines,
                b"{}\r\n\r\n  \n{1}\r\n".into(),
                &[(1, "{}", None), (4, "{1}", None)],
            ),
            ("BOM", Format::JsonLines, b"\xef\xbb\xbf{}\n".into(), &[(1, "{}", None)]),
            (
                "BOM inside",
                Format::JsonLines,
                b"{}\n\xef\xbb\xbf{}\n".into(),
                &[(1, "{}", None), (2, "\u{feff}{}", None)],
            ),
            (
                "invalid UTF-8",
                Format::JsonLines,
                b"{}\n\"\xff\"\n{1}".into(),
                &[(1, "{}", None), (2, "\"\u{fffd}\"", Some(Fault::Encoding)), (3, "{1}", None)],
            ),
            (
                "too long",
                Format::JsonLines,
                format!("{{}}\n{long}\n{{1}}\n").into(),
                &[(1, "{}", None), (2, "", Some(Fault::TooLarge)), (3, "{1}", None)],
            ),
            (
                "as long as allowed",
                Format::JsonLines,
                format!("{}\n", "x".repeat(20)).into(),
                &[(1, "xxxxxxxxxxxxxxxxxxxx", None)],
            ),
            ("nothing", Format::JsonLines, b"".into(), &[]),
            ("other blanks", Format::JsonLines, b" \t{}\r\n \x0c\n \n".into(), &[(1, "{}", None), (2, "\x0c", None)]),
            ("sequence", Format::JsonSeq, b"\x1e{}\n\x1e{\n1}\n".into(), &[(1, "{}", None), (2, "{\n1}", None)]),
            (
                "sequence, no last newline",
                Format::JsonSeq,
                b"\x1e{}\x1e\x1e{1}".into(),
                &[(1, "{}", None), (3, "{1}", None)],
            ),
            ("before the first separator", Format::JsonSeq, b"{0}\x1e{}".into(), &[(0, "{0}", None), (1, "{}", None)]),
        ];
        for (name, format, body, expected) in cases {
            let expected: Vec<_> =
                expected.iter().map(|(line, text, fault)| (*line, text.to_string(), *fault)).collect();
            for cut in [1, 2, 3, 7, 1_000] {
                assert_eq!(frame(*format, body, cut), expected, "{name}, cut every {cut}");
            }
        }
    }
}
