//! Conversions between integer widths. The crate needs a target on which a `usize` has 64 bits.

use crate::StagingError;

const _: () = assert!(usize::BITS == 64, "staging addresses files of more than 4 GiB by usize");

/// Converts an ordinal, a file offset or a length to an index. Lossless on every supported target.
pub(crate) fn to_index(number: u64) -> usize {
    usize::try_from(number).expect("a usize has 64 bits")
}

/// Converts a length to the 32 bits that a block stores it in. `part` names the stored part in the error.
pub(crate) fn length_u32(length: usize, part: &'static str) -> Result<u32, StagingError> {
    u32::try_from(length).map_err(|_| StagingError::TooLarge { part })
}

/// Converts a segment's index to its number. A journal of 2^32 segments would have a million terabytes.
pub(crate) fn segment_number(index: usize) -> u32 {
    u32::try_from(index).expect("a journal has fewer than 2^32 segments")
}
