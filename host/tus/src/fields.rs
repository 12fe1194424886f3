//! How tus 1.0 writes the values of its header fields: numbers of bytes, metadata, checksums. Pure.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use sha1::Sha1;
use sha2::{Digest as _, Sha256};

/// A number of bytes: digits and nothing else.
pub fn bytes(given: &str) -> Option<u64> {
    // A sign would be taken as well.
    given.bytes().all(|byte| byte.is_ascii_digit()).then(|| given.parse().ok()).flatten()
}

/// Metadata: names with values, which are in base64.
pub fn pairs(metadata: &str) -> Option<Vec<(String, String)>> {
    let pair = |pair: &str| {
        let (name, value) = pair.trim().split_once(' ').unwrap_or((pair.trim(), ""));
        let value = BASE64_STANDARD.decode(value.trim()).ok()?;
        // A file's name may be in any encoding, and says nothing to us.
        Some((name.to_owned(), String::from_utf8_lossy(&value).into_owned()))
    };
    metadata.split(',').filter(|part| !part.trim().is_empty()).map(pair).collect()
}

/// What a part has to come to.
pub enum Checksum {
    Sha1(Sha1, Vec<u8>),
    Sha256(Sha256, Vec<u8>),
}

impl Checksum {
    /// By its algorithm's name, a blank, and what it comes to in base64.
    pub fn named(given: &str) -> Option<Self> {
        let (name, sum) = given.trim().split_once(' ')?;
        let sum = BASE64_STANDARD.decode(sum.trim()).ok()?;
        match name.to_ascii_lowercase().as_str() {
            "sha1" if sum.len() == 20 => Some(Self::Sha1(Sha1::new(), sum)),
            "sha256" if sum.len() == 32 => Some(Self::Sha256(Sha256::new(), sum)),
            _ => None,
        }
    }

    pub fn add(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha1(hasher, _) => hasher.update(bytes),
            Self::Sha256(hasher, _) => hasher.update(bytes),
        }
    }

    /// Whether that is what came.
    pub fn fits(self) -> bool {
        match self {
            Self::Sha1(hasher, sum) => hasher.finalize()[..] == sum[..],
            Self::Sha256(hasher, sum) => hasher.finalize()[..] == sum[..],
        }
    }
}
