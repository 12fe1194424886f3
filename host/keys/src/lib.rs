//! Keys: a master key that the operator holds, and under it a wrapped key for each purpose, a file each.
//!
//! A purpose's key is stored nowhere else: removing its file makes everything that was sealed with it
//! unreadable, wherever copies of that stand. The only place that names the cryptographic library.

mod credentials;
mod ring;
mod seal;
mod sign;

pub use credentials::Credentials;
pub use ring::{KeyError, Keyring};
pub use seal::{Sealer, Unsealed};
pub use sign::{PublicKey, Signer};

/// Random bytes from the operating system.
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    // There is no going on without randomness, and nothing that a caller could do about it.
    aws_lc_rs::rand::fill(&mut bytes).expect("the operating system gives random bytes");
    bytes
}

/// Whether two secrets are equal, in a time that does not tell where they differ.
pub fn same(one: &[u8], other: &[u8]) -> bool {
    aws_lc_rs::constant_time::verify_slices_are_equal(one, other).is_ok()
}
