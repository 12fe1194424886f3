//! Digests and keys as text: lower-case hexadecimal, and nothing else.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use sha2::{Digest as _, Sha256};

use crate::keys::PublicKey;

/// A SHA-256 digest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// The digest of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// Reads 64 lower-case hexadecimal digits. Upper case is another text, and texts are what is verified.
    pub fn parse(text: &str) -> Option<Self> {
        from_hex(text).map(Self)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&to_hex(&self.0))
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| D::Error::custom("no digest"))
    }
}

/// Bytes as lower-case hexadecimal digits.
pub fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The bytes of exactly so many lower-case hexadecimal digits.
pub(super) fn from_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let pairs = text.as_bytes().chunks_exact(2).map(|pair| Some(digit(pair[0])? << 4 | digit(pair[1])?));
    let bytes: Vec<u8> = pairs.collect::<Option<_>>()?;
    (text.len() == N * 2).then(|| bytes.try_into().ok()).flatten()
}

/// A public key of 64 hexadecimal digits.
pub fn key_from_hex(text: &str) -> Option<PublicKey> {
    from_hex(text).map(PublicKey)
}

/// What two people read to each other to know that they have the same key: half of its SHA-256, in groups of four.
pub fn fingerprint(key: &PublicKey) -> String {
    let digits = to_hex(&Digest::of(&key.0).0[..16]);
    let groups: Vec<&str> = (0..digits.len()).step_by(4).map(|at| &digits[at..at + 4]).collect();
    groups.join(" ")
}

#[cfg(test)]
mod tests {
    use super::Digest;

    #[test]
    fn only_lower_case_digits() {
        let text = Digest::of(b"x").to_string();
        assert_eq!(Digest::parse(&text), Some(Digest::of(b"x")));
        for wrong in [text.to_uppercase(), text[1..].into(), format!("{text}0"), text.replace('d', "g"), String::new()]
        {
            assert_eq!(Digest::parse(&wrong), None, "{wrong}");
        }
    }
}
