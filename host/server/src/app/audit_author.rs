//! Author of audit entries.

use uuid::Uuid;

use sluice_audit::{Action, AuditEntry};
use sluice_model::Actor;

/// The actor and the request that audit entries name.
#[derive(Clone)]
pub struct AuditAuthor {
    actor: Actor,
    request: Option<Uuid>,
}

impl AuditAuthor {
    /// Makes an author of an actor and the id of a request.
    pub fn new(actor: Actor, request: Option<Uuid>) -> Self {
        Self { actor, request }
    }

    /// Returns the id of the request.
    pub fn request(&self) -> Option<Uuid> {
        self.request
    }

    /// Returns an audit entry for an action of this author.
    pub fn entry(&self, action: Action) -> AuditEntry {
        AuditEntry::new(self.actor.clone(), action).request(self.request)
    }
}
