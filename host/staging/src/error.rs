//! What can go wrong with a staging area: always the host's trouble, never a record's.

use std::io;

use sluice_keys::KeyError;

/// A failure of the staging area. It quotes nothing: an error's own message could hold what was to be written.
#[derive(Debug, thiserror::Error)]
pub enum StagingError {
    /// The operating system refused.
    #[error("staging cannot be read or written: {kind} ({number:?})")]
    Io {
        /// What kind of refusal.
        kind: io::ErrorKind,
        /// The operating system's own number for it.
        number: Option<i32>,
    },
    /// What stands on disk is not what was written.
    #[error("staging is damaged: {what} in segment {segment} at byte {offset}")]
    Damaged {
        /// What did not fit.
        what: &'static str,
        /// Number of the segment file.
        segment: u32,
        /// Where in it.
        offset: u64,
    },
    /// Records are gone that were acknowledged.
    #[error(
        "staging ends in segment {segment} at byte {offset}, and more than that was acknowledged: files of its journal \
         are cut or missing, or an older copy of the migration's directory was put back"
    )]
    Behind {
        /// Number of the last segment file.
        segment: u32,
        /// Where it ends.
        offset: u64,
    },
    /// Another version of Sluice has written it.
    #[error(
        "staging is of version {found}, and this Sluice reads version {}: start the Sluice that wrote it, and import \
         or purge the migration there; or purge it here, register it anew, and upload again",
        char::from(super::block::VERSION)
    )]
    Version {
        /// The version's digit.
        found: char,
    },
    /// A write failed before: what is on disk is not known until the area is opened again.
    #[error("staging is closed after a failed write; it is recovered when the server starts again")]
    Poisoned,
    /// The records are there, and nothing opens them.
    #[error("the key of this migration was destroyed or is not in the key directory")]
    KeyGone,
    /// A key cannot be had.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// Results could not be written on their way to a client.
    #[error("results could not be kept for the client")]
    Cut,
    /// The records were erased while the server runs.
    #[error("the records of this migration were erased")]
    Erased,
}

impl StagingError {
    /// Whether the files are at fault, and trying again will not help.
    pub fn is_of_files(&self) -> bool {
        matches!(self, Self::Damaged { .. } | Self::Behind { .. } | Self::Version { .. })
    }
}

impl From<io::Error> for StagingError {
    fn from(error: io::Error) -> Self {
        Self::Io { kind: error.kind(), number: error.raw_os_error() }
    }
}
