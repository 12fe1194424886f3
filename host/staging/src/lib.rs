//! A migration's own directory: what was uploaded and what came of it, and nothing of any other migration.
//!
//! Everything is appended to one journal and committed a group at a time; indexes are derived from it
//! and can be thrown away. Whatever is written is sealed with the migration's own key: destroying that erases
//! every copy of the directory. It does not know what a record means.

mod append;
mod area;
mod aside;
mod batches;
mod block;
mod change;
mod check;
mod copy;
#[cfg(test)]
mod crash;
mod detail;
mod error;
mod index;
mod journal;
mod lines;
mod marks;
mod numbers;
#[cfg(any(test, fuzzing))]
pub mod piece_properties;
mod pieces;
#[cfg(any(test, fuzzing))]
pub mod properties;
mod received;
mod root;
mod run;
mod scratch;
#[cfg(test)]
mod sealed;
mod spool;
mod streams;

pub use append::{DirectRecord, Effect, Product, SourceRecord};
pub use area::{LEDGER, StagingArea, StreamName};
pub use aside::{Aside, TRIALS};
pub use batches::{Member, Seen, SourceBatch};
pub use block::{Origin, SourceStatus};
pub use check::Checked;
pub use copy::{Migrations, Noted, Part};
pub use detail::{EntryDetail, ProductRef};
pub use error::StagingError;
pub use lines::Lines;
pub use pieces::{Left, PIECE_BYTES, PieceFile, PieceReader};
pub use received::ReceivedUpload;
pub use root::{StagingRoot, key_name};
pub use scratch::Scratch;
pub use spool::{Spool, SpoolReader};
pub use streams::{EntryReader, StagedBatch, StagedEntry};

/// A 16-byte key: a reference id, or the hash of a source record's key.
pub type Key = [u8; 16];

/// The first 16 bytes of SHA-256: enough to tell records apart, and cheap.
pub fn hash(parts: &[&[u8]]) -> Key {
    use sha2::{Digest, Sha256};
    let mut hasher = Sha256::new();
    parts.iter().for_each(|part| hasher.update(part));
    hasher.finalize()[..16].try_into().expect("a SHA-256 has 32 bytes")
}
