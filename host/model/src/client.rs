//! An API client, as it is kept.

use jiff::Timestamp;

use super::{Domain, Grant, Permission, Tenant};

/// SHA-256 of a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SecretHash(pub [u8; 32]);

/// A registered client.
#[derive(Clone, Debug)]
pub struct Client {
    /// Its id.
    pub id: String,
    /// Whose migrations; none stands for every tenant's.
    pub tenant: Option<Tenant>,
    /// What it may do.
    pub permissions: Vec<Permission>,
    /// On which domains.
    pub domains: Vec<&'static Domain>,
    /// When it was made.
    pub created_at: Timestamp,
    /// From when on it is no longer let in.
    pub expires_at: Option<Timestamp>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
    /// Hash of its secret.
    pub secret: SecretHash,
    /// Hash of the secret before, and until when it is still taken.
    pub old_secret: Option<(SecretHash, Timestamp)>,
}

impl Client {
    /// Whether it is let in now.
    pub fn is_live(&self, now: Timestamp) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|expires| now < expires)
    }

    /// What it was granted.
    pub fn grant(&self) -> Grant {
        Grant {
            client: self.id.clone(),
            tenant: self.tenant.clone(),
            permissions: self.permissions.clone(),
            domains: self.domains.clone(),
            until: None,
        }
    }
}
