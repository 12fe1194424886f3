//! Migrations' directories as a whole: snapshots for backups, and verification.

pub(crate) mod snapshot;
pub(crate) mod verify;
