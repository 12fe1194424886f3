//! Reports on a migration: verification counts, evidence and its verification, and the provenance of a record.

pub(crate) mod counts;
mod evidence;
mod evidence_verify;
pub(crate) mod line_counts;
mod provenance;

pub use counts::{VerificationCount, count, count_sources};
pub use evidence::{EvidenceBundle, evidence};
pub use evidence_verify::{EvidenceVerifyError, FigureComparison, verify_counts};
pub use provenance::{RecordProvenance, provenance};
