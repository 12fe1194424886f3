//! Keys: a master key that the operator holds, and one wrapped key file for each purpose.
//!
//! The key of a purpose is stored in its file only. Removing the file makes everything that was sealed with the key
//! unreadable, in every copy. This is the only crate that names the cryptographic library.

mod credentials;
mod keyring;
mod seal;
mod sign;

pub use credentials::Credentials;
pub use keyring::{KeyError, Keyring};
pub use seal::{Sealer, UnsealError};
pub use sign::{PublicKey, Signer};

/// Returns random bytes from the operating system.
///
/// # Panics
///
/// Panics if the operating system gives none. A caller could not continue without them.
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes).expect("the operating system gives random bytes");
    bytes
}

/// Returns true if two secrets are equal. The time that it takes does not reveal where they differ.
pub fn constant_time_eq(one: &[u8], other: &[u8]) -> bool {
    aws_lc_rs::constant_time::verify_slices_are_equal(one, other).is_ok()
}
