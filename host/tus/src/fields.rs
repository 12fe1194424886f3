//! Values of the header fields of tus 1.0: numbers of bytes, metadata and checksums. Pure.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use sha1::Sha1;
use sha2::{Digest as _, Sha256};

/// Reads a number of bytes: digits and nothing else.
pub fn bytes(given: &str) -> Option<u64> {
    // `parse` also accepts a sign.
    given.bytes().all(|byte| byte.is_ascii_digit()).then(|| given.parse().ok()).flatten()
}

/// Reads metadata: names with values in base64.
pub fn pairs(metadata: &str) -> Option<Vec<(String, String)>> {
    let pair = |pair: &str| {
        let (name, value) = pair.trim().split_once(' ').unwrap_or((pair.trim(), ""));
        let value = BASE64_STANDARD.decode(value.trim()).ok()?;
        // A file's name may be in any encoding. The server does not use it.
        Some((name.to_owned(), String::from_utf8_lossy(&value).into_owned()))
    };
    metadata.split(',').filter(|part| !part.trim().is_empty()).map(pair).collect()
}

/// A checksum that the bytes of a part must have.
pub enum Checksum {
    /// SHA-1: the state so far, and the sum that the client sent.
    Sha1(Sha1, Vec<u8>),
    /// SHA-256: the state so far, and the sum that the client sent.
    Sha256(Sha256, Vec<u8>),
}

impl Checksum {
    /// Reads a checksum: the name of its algorithm, a blank, and the sum in base64.
    pub fn named(given: &str) -> Option<Self> {
        let (name, sum) = given.trim().split_once(' ')?;
        let sum = BASE64_STANDARD.decode(sum.trim()).ok()?;
        match name.to_ascii_lowercase().as_str() {
            "sha1" if sum.len() == 20 => Some(Self::Sha1(Sha1::new(), sum)),
            "sha256" if sum.len() == 32 => Some(Self::Sha256(Sha256::new(), sum)),
            _ => None,
        }
    }

    /// Adds bytes of the part.
    pub fn add(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha1(hasher, _) => hasher.update(bytes),
            Self::Sha256(hasher, _) => hasher.update(bytes),
        }
    }

    /// Returns true if the bytes have the checksum.
    pub fn fits(self) -> bool {
        match self {
            Self::Sha1(hasher, sum) => hasher.finalize()[..] == sum[..],
            Self::Sha256(hasher, sum) => hasher.finalize()[..] == sum[..],
        }
    }
}
