//! The audit trail: its entries, their chain and signatures, and the verification of an export. It performs no IO.
//!
//! Each scope has a chain of its own. A scope is a migration or the server. So the export of a migration is complete
//! and shows nothing of another migration. An entry is one line of JSON. The server stores and exports its exact bytes,
//! so a verifier does not have to reproduce our JSON.

mod chain;
mod entry;
mod public_key;
mod signed_document;
mod verify;

pub use chain::{AuditScope, Head, Link, header};
pub use entry::{Action, AuditEntry};
pub use public_key::{fingerprint, key_from_hex};
pub use signed_document::{SignedDocument, sign_evidence, sign_manifest, verify_evidence, verify_manifest};
pub use verify::{ExportLocation, VerificationError, VerificationFault, VerifiedExport, extends, verify};
