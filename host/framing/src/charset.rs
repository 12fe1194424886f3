//! Character encodings of tables.

use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE};

/// An encoding that is read one byte or one pair of bytes at a time: UTF-8, UTF-16, and encodings of one byte a
/// character. In other encodings a separator could be half of a character.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Charset(&'static Encoding);

impl Charset {
    /// UTF-8.
    pub const UTF_8: Self = Self(UTF_8);

    /// Returns the encoding with this label, as defined for web browsers. Returns `None` if the label is unknown or the
    /// encoding is not supported.
    pub fn named(label: &str) -> Option<Self> {
        let encoding = Encoding::for_label_no_replacement(label.as_bytes())?;
        let fits = encoding == UTF_8 || encoding == UTF_16LE || encoding == UTF_16BE || encoding.is_single_byte();
        fits.then_some(Self(encoding))
    }

    /// Returns the name of the encoding.
    pub fn name(self) -> &'static str {
        self.0.name()
    }

    /// Returns the number of bytes that are read at a time.
    pub(super) fn unit(self) -> usize {
        if self.0 == UTF_16LE || self.0 == UTF_16BE { 2 } else { 1 }
    }

    /// Returns the ASCII character of a unit, or 255 if it is none.
    pub(super) fn ascii(self, unit: &[u8]) -> u8 {
        match *unit {
            [byte] => byte,
            [byte, 0] if self.0 == UTF_16LE => byte,
            [0, byte] if self.0 == UTF_16BE => byte,
            _ => u8::MAX,
        }
    }

    /// Returns an ASCII character in this encoding.
    pub(super) fn encode_ascii(self, character: u8) -> Vec<u8> {
        match self.0 {
            encoding if encoding == UTF_16LE => vec![character, 0],
            encoding if encoding == UTF_16BE => vec![0, character],
            _ => vec![character],
        }
    }

    /// Returns the byte order mark that may precede a table in this encoding.
    pub(super) fn mark(self) -> &'static [u8] {
        match self.0 {
            encoding if encoding == UTF_8 => b"\xef\xbb\xbf",
            encoding if encoding == UTF_16LE => b"\xff\xfe",
            encoding if encoding == UTF_16BE => b"\xfe\xff",
            _ => b"",
        }
    }

    /// Returns true if a table begins with the byte order mark of another encoding.
    pub(super) fn contradicts(self, start: &[u8]) -> bool {
        let others = [Self(UTF_8), Self(UTF_16LE), Self(UTF_16BE)];
        others.into_iter().any(|other| other != self && start.starts_with(other.mark()))
    }

    /// Decodes bytes. Returns `None` if they are not valid in this encoding.
    pub(super) fn decode(self, bytes: &[u8]) -> Option<std::borrow::Cow<'_, str>> {
        self.0.decode_without_bom_handling_and_without_replacement(bytes)
    }
}
