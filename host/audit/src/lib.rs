//! The audit trail, pure: what an entry may say, how entries are chained and signed, and how an export is verified.
//!
//! A chain for each scope, which is a migration or the server as a whole: a migration's export is complete in
//! itself and shows nothing of another. An entry is one JSON line whose exact bytes are kept and exported, so
//! nobody who verifies has to write JSON just as we do.

mod chain;
mod entry;
mod evidence;
mod public;
mod verify;

pub use chain::{Head, Link, Scope, header};
pub use entry::{Action, Entry};
pub use evidence::{SealedDocument, open_evidence, open_manifest, seal_evidence, seal_manifest};
pub use public::{fingerprint, key_from_hex};
pub use verify::{Broken, Place, Verified, Why, extends, verify};
