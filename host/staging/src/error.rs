//! Errors of a staging area. None of them is the fault of a record.

use std::io;

use sluice_keys::KeyError;

/// An error of a staging area. Its message quotes no data: an operating system's message could contain the bytes that
/// were to be written.
#[derive(Debug, thiserror::Error)]
pub enum StagingError {
    /// The operating system failed to read or write.
    #[error("staging cannot be read or written: {kind} ({number:?})")]
    Io {
        /// Kind of the error.
        kind: io::ErrorKind,
        /// Number of the error in the operating system.
        number: Option<i32>,
    },
    /// The bytes on disk are not the bytes that were written.
    #[error("staging is damaged: {what} in segment {segment} at byte {offset}")]
    Damaged {
        /// Part that is damaged.
        what: &'static str,
        /// Number of the segment file.
        segment: u32,
        /// Offset of the part in the segment file.
        offset: u64,
    },
    /// Acknowledged records are missing.
    #[error(
        "staging ends in segment {segment} at byte {offset}, before the acknowledged end: files of its journal are \
         truncated or missing, or an older copy of the migration's directory was restored"
    )]
    Behind {
        /// Number of the last segment file.
        segment: u32,
        /// End of the last segment file.
        offset: u64,
    },
    /// Another version of Sluice wrote the directory.
    #[error(
        "staging is of version {found}, and this Sluice reads version {}: start the Sluice that wrote it, and import \
         or purge the migration there; or purge it here, register it anew, and upload again",
        char::from(crate::journal::block::VERSION)
    )]
    Version {
        /// Digit of the version.
        found: char,
    },
    /// An earlier write failed. The state on disk is unknown until the area is opened again.
    #[error("staging is closed after a failed write; it is recovered when the server starts again")]
    Closed,
    /// The journal has reached its maximum of bytes.
    #[error("the migrations of the tenant take as many bytes on disk as its quota allows")]
    QuotaReached,
    /// The records exist, but their key does not.
    #[error("the key of this migration was destroyed or is not in the key directory")]
    KeyGone,
    /// The key cannot be read.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// Results for the client could not be written to the spool.
    #[error("results could not be kept for the client")]
    SpoolFailed,
    /// The records were erased while the server runs.
    #[error("the records of this migration were erased")]
    Erased,
    /// A part is larger than its length field can store.
    #[error("{part} is too large for staging")]
    TooLarge {
        /// Part that is too large.
        part: &'static str,
    },
    /// The area has as many streams as there are stream numbers that are not reserved.
    #[error("staging has {streams} streams and cannot register another: the remaining stream numbers are reserved")]
    TooManyStreams {
        /// Number of registered streams.
        streams: usize,
    },
}

impl StagingError {
    /// Returns true if the files are at fault, so that another attempt fails as well.
    pub fn is_of_files(&self) -> bool {
        matches!(self, Self::Damaged { .. } | Self::Behind { .. } | Self::Version { .. })
    }
}

impl From<io::Error> for StagingError {
    fn from(error: io::Error) -> Self {
        Self::Io { kind: error.kind(), number: error.raw_os_error() }
    }
}
