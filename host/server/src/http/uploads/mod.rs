//! Uploads of a migration: list and withdraw.

pub mod list;
pub mod withdraw;
