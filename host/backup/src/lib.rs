//! Backups: everything of a data directory but keys, as it was at one moment, while its server runs; and back again.
//!
//! It knows files and the order in which they have to be looked at. What is in them their own parts know.

mod check;
mod files;
mod manifest;
mod restore;
mod take;

use sluice_keys::Keyring;

pub use check::{Found, State, Summary, verify};
pub use restore::restore;
pub use take::take;

/// Who wants to know how far it has come.
pub trait Watch {
    /// Something begins, of about so many bytes.
    fn begins(&self, step: &'static str, bytes: u64);
    /// So many more are done.
    fn did(&self, bytes: u64);
}

/// The keys that a backup is checked with, as far as they are there.
pub type Keys<'a> = Option<&'a Keyring>;
