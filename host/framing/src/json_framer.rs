//! Splits JSON Lines and JSON text sequences into records.

use super::csv::is_padding;
use super::{Fault, Framing, PassedLines, RawBatch};

/// Format of a body of JSON records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JsonFormat {
    /// One JSON object on each line.
    JsonLines,
    /// A JSON text sequence, RFC 7464: a record separator (0x1E) before each record.
    JsonSeq,
}

const LINE_FEED: u8 = b'\n';
const RECORD_SEPARATOR: u8 = 0x1e;
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// A framer of JSON records.
///
/// It skips a byte order mark at the start, carriage returns at the ends of lines, and blank lines. A record longer than
/// the limit is discarded while it is received, and reported. Memory is bounded by one record and one batch.
pub struct JsonFramer {
    format: JsonFormat,
    max_record_bytes: usize,
    /// The incomplete record; empty while a record that is too long is discarded.
    partial: Vec<u8>,
    /// True while a record that is too long is discarded.
    overlong: bool,
    /// True if that record consists of the padding that some systems write at the end of a file.
    long_padding: bool,
    /// True in the first record.
    at_start: bool,
    /// Number of the present line, or of the present record of a sequence.
    line: u64,
    /// Number of bytes taken.
    taken: u64,
    /// Offset of the start of the incomplete record.
    began: u64,
    passed: PassedLines,
    batch: RawBatch,
}

impl JsonFramer {
    /// Returns a framer of a body in this format, for records of at most `max_record_bytes`.
    pub fn new(format: JsonFormat, max_record_bytes: usize) -> Self {
        // Bytes before the first separator of a sequence are no record of it. They count as number 0.
        let line = u64::from(format == JsonFormat::JsonLines);
        let batch = RawBatch::default();
        Self {
            format,
            max_record_bytes,
            partial: vec![],
            overlong: false,
            long_padding: false,
            at_start: true,
            line,
            taken: 0,
            began: 0,
            passed: PassedLines::default(),
            batch,
        }
    }

    /// Adds bytes to the incomplete record.
    fn take(&mut self, bytes: &[u8]) {
        if self.overlong {
            self.long_padding = self.long_padding && bytes.iter().all(is_padding);
            return;
        }
        if self.partial.len() + bytes.len() > self.max_record_bytes + BYTE_ORDER_MARK.len() {
            self.overlong = true;
            self.long_padding = self.partial.iter().chain(bytes).all(is_padding);
            self.partial = vec![];
            return;
        }
        self.partial.extend_from_slice(bytes);
    }

    /// Ends the record and adds it to the batch. Counts it as a blank line if it is empty.
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
        } else {
            self.passed.blank += 1;
        }
        self.partial.clear();
        self.overlong = false;
    }
}

impl Framing for JsonFramer {
    fn push(&mut self, bytes: &[u8], max_records: usize, max_bytes: usize) -> usize {
        let separator = match self.format {
            JsonFormat::JsonLines => LINE_FEED,
            JsonFormat::JsonSeq => RECORD_SEPARATOR,
        };
        let mut start = 0;
        for end in memchr::memchr_iter(separator, bytes) {
            self.take(&bytes[start..end]);
            // A sequence begins with a separator, and nothing is before it.
            if self.format == JsonFormat::JsonLines || self.taken > 0 || end > 0 {
                self.end_record();
            }
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

    fn finish(&mut self, _: usize, _: usize) -> bool {
        let empty = match self.format {
            JsonFormat::JsonLines => self.began == self.taken,
            JsonFormat::JsonSeq => self.taken == 0,
        };
        // Some systems pad a file at its end.
        let padding = self.partial.iter().rev().take_while(|byte| is_padding(byte)).count();
        self.partial.truncate(self.partial.len() - padding);
        self.overlong = self.overlong && !self.long_padding;
        if !empty {
            self.end_record();
        }
        true
    }

    fn passed(&self) -> PassedLines {
        self.passed
    }
}

/// Returns the number of blanks before a record, and the record without blanks around it. Only JSON's blanks count, so
/// that a line with a form feed is reported and not skipped.
fn trim(record: &[u8]) -> (usize, &[u8]) {
    let blank = |byte: &u8| b" \t\r\n".contains(byte);
    let start = record.iter().position(|byte| !blank(byte)).unwrap_or(record.len());
    let end = record.iter().rposition(|byte| !blank(byte)).map_or(start, |last| last + 1);
    (start, &record[start..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(format: JsonFormat, body: &[u8], cut: usize) -> Vec<(u64, String, Option<Fault>)> {
        let mut framer = JsonFramer::new(format, 20);
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
        assert!(framer.finish(2, 1_000));
        collect(framer.take_batch());
        framed
    }

    /// Each record is at its offset.
    #[test]
    fn offsets() {
        for (format, body) in [
            (JsonFormat::JsonLines, "\u{feff} {\"a\":1}\r\n\n  {\"b\":2}\n{\"c\":3}".as_bytes()),
            (JsonFormat::JsonSeq, b"\x1e{\"a\":1}\n\x1e \n{\"b\":2}\n\x1e{\"c\":3}"),
        ] {
            for cut in 1..body.len() {
                let mut framer = JsonFramer::new(format, 20);
                for piece in body.chunks(cut) {
                    assert_eq!(framer.push(piece, 100, 1_000), piece.len());
                }
                assert!(framer.finish(100, 1_000));
                let batch = framer.take_batch();
                let records: Vec<&[u8]> = vec![b"{\"a\":1}", b"{\"b\":2}", b"{\"c\":3}"];
                assert_eq!(batch.records().collect::<Vec<_>>(), records, "{format:?} in pieces of {cut}");
                for (record, offset) in records.iter().zip(&batch.offsets) {
                    assert!(
                        body[usize::try_from(*offset).unwrap()..].starts_with(record),
                        "{format:?} in pieces of {cut}"
                    );
                }
            }
        }
    }

    /// The records are the same, however the bytes are split.
    #[test]
    fn frames() {
        let long = "x".repeat(21);
        type Frame = (u64, &'static str, Option<Fault>);
        let cases: &[(&str, JsonFormat, Vec<u8>, &[Frame])] = &[
            ("lines", JsonFormat::JsonLines, b"{}\n{1}\n".into(), &[(1, "{}", None), (2, "{1}", None)]),
            ("no last newline", JsonFormat::JsonLines, b"{}\n{1}".into(), &[(1, "{}", None), (2, "{1}", None)]),
            (
                "CRLF and blanks",
                JsonFormat::JsonLines,
                b"{}\r\n\r\n  \n{1}\r\n".into(),
                &[(1, "{}", None), (4, "{1}", None)],
            ),
            ("BOM", JsonFormat::JsonLines, b"\xef\xbb\xbf{}\n".into(), &[(1, "{}", None)]),
            (
                "BOM inside",
                JsonFormat::JsonLines,
                b"{}\n\xef\xbb\xbf{}\n".into(),
                &[(1, "{}", None), (2, "\u{feff}{}", None)],
            ),
            (
                "invalid UTF-8",
                JsonFormat::JsonLines,
                b"{}\n\"\xff\"\n{1}".into(),
                &[(1, "{}", None), (2, "\"\u{fffd}\"", Some(Fault::Encoding)), (3, "{1}", None)],
            ),
            (
                "too long",
                JsonFormat::JsonLines,
                format!("{{}}\n{long}\n{{1}}\n").into(),
                &[(1, "{}", None), (2, "", Some(Fault::TooLarge)), (3, "{1}", None)],
            ),
            (
                "as long as allowed",
                JsonFormat::JsonLines,
                format!("{}\n", "x".repeat(20)).into(),
                &[(1, "xxxxxxxxxxxxxxxxxxxx", None)],
            ),
            ("nothing", JsonFormat::JsonLines, b"".into(), &[]),
            (
                "other blanks",
                JsonFormat::JsonLines,
                b" \t{}\r\n \x0c\n \n".into(),
                &[(1, "{}", None), (2, "\x0c", None)],
            ),
            ("sequence", JsonFormat::JsonSeq, b"\x1e{}\n\x1e{\n1}\n".into(), &[(1, "{}", None), (2, "{\n1}", None)]),
            (
                "sequence, no last newline",
                JsonFormat::JsonSeq,
                b"\x1e{}\x1e\x1e{1}".into(),
                &[(1, "{}", None), (3, "{1}", None)],
            ),
            (
                "before the first separator",
                JsonFormat::JsonSeq,
                b"{0}\x1e{}".into(),
                &[(0, "{0}", None), (1, "{}", None)],
            ),
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
