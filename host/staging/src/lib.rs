//! A migration's directory: uploaded records, the records made from them, and nothing of any other migration.
//!
//! Every change is appended to one journal and committed as a group. Indexes are derived from the journal and can be
//! deleted. All data is sealed with the migration's own key, so destroying the key erases every copy of the directory.
//! This crate treats records as bytes.
//!
//! | module | content |
//! |---|---|
//! | `area` | staging, deleting and finding records |
//! | `journal` | segments, blocks and entries |
//! | `streams` | numbers, lengths, deletions and reading of streams |
//! | `index` | keys to ordinals: a memory table and sorted runs |
//! | `sealed` | sealed files beside the journal: append-only files, lists, scratch files, spools |
//! | `directory` | snapshots for backups, and verification |

#![warn(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_possible_wrap,
    clippy::cast_precision_loss,
    clippy::cast_lossless
)]

mod area;
mod directory;
mod error;
mod file_system;
mod index;
mod journal;
mod number;
#[cfg(any(test, fuzzing))]
pub mod properties;
mod resumable_upload;
mod root;
mod sealed;
mod streams;
#[cfg(test)]
mod tests;
mod trial_workspace;

pub use area::append::{Effect, Product, SourceRecord, StagingEffects};
pub use area::batches::{BatchMember, SourceBatch, SourceLengths};
pub use area::direct::{DeletedRecords, DirectRecord};
pub use area::transaction::SupersededEntry;
pub use area::upload_entries::UploadEntries;
pub use area::withdraw::WithdrawnRecords;
pub use area::{LEDGER, StagingArea, StreamName};
pub use directory::snapshot::{DirectorySnapshot, MigrationDirectories, SnapshotFile};
pub use directory::verify::DirectorySummary;
pub use error::StagingError;
pub use journal::block::{Origin, SourceStatus};
pub use journal::detail::{EntryDetail, ProductRef};
pub use resumable_upload::ResumableUpload;
pub use root::{StagingRoot, key_name};
pub use sealed::file::{FilePosition, MAX_CHUNK_BYTES, SealedFile, SealedFileReader, SealedFileState};
pub use sealed::lines::SealedLines;
pub use sealed::scratch::ScratchFile;
pub use sealed::spool::{Spool, SpoolReader};
pub use streams::{EntryReader, StagedBatch, StagedEntry};
pub use trial_workspace::{TRIALS, TrialWorkspace};

/// A 16-byte key: a reference id, or the hash of a source record's key.
pub type Key = [u8; 16];

/// Returns the first 16 bytes of the parts' SHA-256. Half of the hash is enough to tell records apart.
pub fn hash(parts: &[&[u8]]) -> Key {
    use sha2::{Digest, Sha256};
    let mut hasher = Sha256::new();
    parts.iter().for_each(|part| hasher.update(part));
    hasher.finalize()[..16].try_into().expect("a SHA-256 has 32 bytes")
}
