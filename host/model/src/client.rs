//! An API client, as the catalog stores it.

use jiff::Timestamp;
use uuid::Uuid;

use super::{Domain, Grant, Permission, Tenant};

/// SHA-256 of a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SecretHash(pub [u8; 32]);

/// A registered API client.
#[derive(Clone, Debug)]
pub struct ApiClient {
    /// Id of the client.
    pub id: String,
    /// Tenant whose migrations the client may access. `None` grants access to every tenant.
    pub tenant: Option<Tenant>,
    /// Label whose migrations the client may access. `None` grants access to all migrations of the tenant.
    pub label: Option<Uuid>,
    /// Permissions of the client.
    pub permissions: Vec<Permission>,
    /// Domains on which the client may use its permissions.
    pub domains: Vec<&'static Domain>,
    /// Time of creation.
    pub created_at: Timestamp,
    /// Time from which the server refuses the client.
    pub expires_at: Option<Timestamp>,
    /// Time of revocation.
    pub revoked_at: Option<Timestamp>,
    /// Hash of the secret.
    pub secret: SecretHash,
    /// Hash of the previous secret, and the time until which the server accepts it.
    pub old_secret: Option<(SecretHash, Timestamp)>,
}

impl ApiClient {
    /// Returns true if the client is neither revoked nor expired at `now`.
    pub fn is_active(&self, now: Timestamp) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|expires| now < expires)
    }

    /// Returns the grant of the client.
    pub fn grant(&self) -> Grant {
        Grant {
            client: self.id.clone(),
            tenant: self.tenant.clone(),
            label: self.label,
            permissions: self.permissions.clone(),
            domains: self.domains.clone(),
            until: None,
        }
    }
}
