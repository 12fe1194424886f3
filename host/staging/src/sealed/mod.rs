//! Sealed files beside the journal.

pub(crate) mod file;
pub(crate) mod lines;
pub(crate) mod scratch;
pub(crate) mod spool;
