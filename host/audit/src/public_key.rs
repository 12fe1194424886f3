//! Public keys in the form in which people read them.

use sluice_keys::PublicKey;
use sluice_model::{Digest, from_hex, to_hex};

/// Reads a public key of 64 hexadecimal digits.
pub fn key_from_hex(text: &str) -> Option<PublicKey> {
    from_hex(text).map(PublicKey)
}

/// Returns the fingerprint of a key: half of its SHA-256, in groups of four digits. Two people compare it to check that
/// they have the same key.
pub fn fingerprint(key: &PublicKey) -> String {
    let digits = to_hex(&Digest::of(&key.0).bytes()[..16]);
    let groups: Vec<&str> = (0..digits.len()).step_by(4).map(|at| &digits[at..at + 4]).collect();
    groups.join(" ")
}
