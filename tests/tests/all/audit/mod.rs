//! The audit trail and the evidence of a migration.

mod evidence;
pub mod trail;
