//! Header fields of tus 1.0 (resumable uploads): numbers of bytes, metadata and checksums. Pure.

mod fields;
#[cfg(any(test, fuzzing))]
pub mod properties;

pub use fields::{Checksum, bytes, pairs};
