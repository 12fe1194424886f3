//! Backup and restore of a data directory without its keys, while its server runs.
//!
//! [`take`] copies the state of one moment, [`verify`] checks a backup, and [`restore`] fills a new data directory. This
//! crate knows the files of a data directory and the order in which they have to be read. The crates that write the files
//! check their contents.

mod check;
mod error;
mod files;
mod manifest;
mod restore;
mod take;

pub use check::{BackupMigration, BackupMigrationState, BackupSummary, verify};
pub use error::BackupError;
pub use restore::restore;
pub use take::take;

/// A receiver of progress reports.
pub trait BackupProgress {
    /// Reports the start of a step that processes about this many bytes.
    fn step_started(&self, step: &'static str, bytes: u64);
    /// Reports that this many further bytes are processed.
    fn advanced(&self, bytes: u64);
}

/// A receiver that ignores progress reports.
struct SilentProgress;

impl BackupProgress for SilentProgress {
    fn step_started(&self, _: &'static str, _: u64) {}
    fn advanced(&self, _: u64) {}
}
