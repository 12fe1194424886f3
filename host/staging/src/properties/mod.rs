//! Properties of a staging area's files for any input, for tests and fuzzing.

mod journal;
mod sealed_file;

pub use journal::check_segments;
#[cfg(test)]
pub(crate) use journal::{Contents, contents, key, open, open_acknowledged, stage, stage_source};
pub use sealed_file::check_sealed_file;
