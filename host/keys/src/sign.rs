//! Ed25519 signatures.

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};

/// A signer with one private key.
pub struct Signer(Ed25519KeyPair);

impl Signer {
    /// Makes a signer whose key is derived from this seed.
    pub fn new(seed: &[u8; 32]) -> Self {
        Self(Ed25519KeyPair::from_seed_unchecked(seed).expect("32 bytes are a seed"))
    }

    /// Signs a message.
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message).as_ref().try_into().expect("an Ed25519 signature has 64 bytes")
    }

    /// Returns the public key, which verifies the signatures.
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.public_key().as_ref().try_into().expect("an Ed25519 public key has 32 bytes"))
    }

    /// Returns the private key as PKCS #8, for libraries that sign themselves.
    pub fn to_pkcs8(&self) -> Vec<u8> {
        self.0.to_pkcs8v1().expect("the key pair is complete").as_ref().to_vec()
    }
}

/// A public key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublicKey(pub [u8; 32]);

impl PublicKey {
    /// Returns true if the signature is this key's signature of this message.
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ED25519, &self.0).verify(message, signature).is_ok()
    }
}
