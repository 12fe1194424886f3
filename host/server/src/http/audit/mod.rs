//! Audit trail and evidence.

pub mod evidence;
pub mod trail;
