//! The character encodings that tables come in.

use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE};

/// An encoding in which a byte or a pair of bytes is read at a time: those of the Unicode family and those of one byte a
/// character. In others a separator could be half of a character.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Charset(&'static Encoding);

impl Charset {
    pub const UTF_8: Self = Self(UTF_8);

    /// The encoding with this label, as web browsers know them; none if there is no such, or it cannot be read so.
    pub fn named(label: &str) -> Option<Self> {
        let encoding = Encoding::for_label_no_replacement(label.as_bytes())?;
        let fits = encoding == UTF_8 || encoding == UTF_16LE || encoding == UTF_16BE || encoding.is_single_byte();
        fits.then_some(Self(encoding))
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        self.0.name()
    }

    /// Bytes that are read at a time.
    pub(super) fn unit(self) -> usize {
        if self.0 == UTF_16LE || self.0 == UTF_16BE { 2 } else { 1 }
    }

    /// The ASCII character that a unit is; another byte if it is none.
    pub(super) fn ascii(self, unit: &[u8]) -> u8 {
        match *unit {
            [byte] => byte,
            [byte, 0] if self.0 == UTF_16LE => byte,
            [0, byte] if self.0 == UTF_16BE => byte,
            _ => u8::MAX,
        }
    }

    /// What may stand in front of a table, and says how it is encoded.
    pub(super) fn mark(self) -> &'static [u8] {
        match self.0 {
            encoding if encoding == UTF_8 => b"\xef\xbb\xbf",
            encoding if encoding == UTF_16LE => b"\xff\xfe",
            encoding if encoding == UTF_16BE => b"\xfe\xff",
            _ => b"",
        }
    }

    /// Whether a table begins as one of another encoding does.
    pub(super) fn contradicts(self, start: &[u8]) -> bool {
        let others = [Self(UTF_8), Self(UTF_16LE), Self(UTF_16BE)];
        others.into_iter().any(|other| other != self && start.starts_with(other.mark()))
    }

    /// Bytes as text; none if they are none in this encoding.
    pub(super) fn decode(self, bytes: &[u8]) -> Option<std::borrow::Cow<'_, str>> {
        self.0.decode_without_bom_handling_and_without_replacement(bytes)
    }
}
