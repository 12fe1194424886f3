//! Authenticated encryption of blocks of data: AES-256-GCM, with a random nonce for each block.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::hmac;

/// An error: the key is wrong, or the bytes differ from the sealed ones.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the sealed data is damaged, or was sealed with another key")]
pub struct UnsealError;

/// A sealer: it seals and opens blocks of data with one key. A random nonce of 96 bits allows about four thousand
/// million blocks under one key. At 32 KiB a block, no migration has as many.
pub struct Sealer {
    key: LessSafeKey,
    /// Key of [`Sealer::derive`].
    root: hmac::Key,
}

impl Sealer {
    /// Number of bytes by which a sealed block is longer than its content: the nonce before it and the tag after it.
    pub const OVERHEAD: usize = NONCE_LEN + 16;

    /// Makes a sealer with this key.
    pub fn new(key: &[u8; 32]) -> Self {
        let root = hmac::Key::new(hmac::HMAC_SHA256, key);
        let sealing = hmac::sign(&root, b"seal");
        let unbound = UnboundKey::new(&AES_256_GCM, sealing.as_ref()).expect("32 bytes are an AES-256 key");
        Self { key: LessSafeKey::new(unbound), root }
    }

    /// Seals `parts` as one block and appends it to `out`. `place` is not stored. [`Sealer::open`] needs the same
    /// `place`, so one block cannot replace another.
    pub fn seal(&self, place: &[u8], parts: &[&[u8]], out: &mut Vec<u8>) {
        let nonce = super::random::<NONCE_LEN>();
        out.reserve(parts.iter().map(|part| part.len()).sum::<usize>() + Self::OVERHEAD);
        out.extend_from_slice(&nonce);
        let start = out.len();
        parts.iter().for_each(|part| out.extend_from_slice(part));
        let nonce = Nonce::assume_unique_for_key(nonce);
        let tag = self
            .key
            .seal_in_place_separate_tag(nonce, Aad::from(place), &mut out[start..])
            .expect("a block is far shorter than AES-GCM's limit of 64 GiB");
        out.extend_from_slice(tag.as_ref());
    }

    /// Opens a sealed block in place. Afterwards `sealed` holds its content.
    pub fn open(&self, place: &[u8], sealed: &mut Vec<u8>) -> Result<(), UnsealError> {
        let Some((nonce, _)) = sealed.split_first_chunk::<NONCE_LEN>() else { return Err(UnsealError) };
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let opened = self.key.open_within(nonce, Aad::from(place), sealed, NONCE_LEN..).map_err(|_| UnsealError)?.len();
        sealed.truncate(opened);
        Ok(())
    }

    /// Derives another key for this purpose.
    pub fn derive(&self, purpose: &str) -> [u8; 32] {
        let tag = hmac::sign(&self.root, purpose.as_bytes());
        tag.as_ref().try_into().expect("HMAC-SHA256 has 32 bytes")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A sealed block opens at its place only, with its key only, and only if no bit has changed.
    #[test]
    fn opens_only_what_was_sealed() {
        let sealer = Sealer::new(&[7; 32]);
        let mut sealed = vec![];
        sealer.seal(b"here", &[b"what", b" it is"], &mut sealed);
        assert_eq!(sealed.len(), 10 + Sealer::OVERHEAD);
        let mut opened = sealed.clone();
        sealer.open(b"here", &mut opened).unwrap();
        assert_eq!(opened, b"what it is");
        assert!(sealer.open(b"there", &mut sealed.clone()).is_err());
        assert!(Sealer::new(&[8; 32]).open(b"here", &mut sealed.clone()).is_err());
        assert!(sealer.open(b"here", &mut vec![1, 2, 3]).is_err());
        for bit in 0..sealed.len() * 8 {
            let mut flipped = sealed.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(sealer.open(b"here", &mut flipped).is_err(), "bit {bit}");
        }
    }
}
