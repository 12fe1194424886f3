//! API clients and their secrets. The server shows a secret once and stores its hash.

use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use sluice_keys as keys;
use sluice_keys::Credentials;
use sluice_model::{ApiClient, Domain, Permission, SecretHash, Tenant, to_hex};

/// Returns the hash of a secret. A secret is 256 random bits, so a slow hash would protect nothing and make token requests
/// slow.
pub(super) fn hash(secret: &SecretString) -> SecretHash {
    SecretHash(Sha256::digest(secret.expose_secret().as_bytes()).into())
}

/// Returns true if this is a secret that the client may use now. Compares in constant time.
pub(super) fn knows(client: &ApiClient, secret: &SecretHash, now: Timestamp) -> bool {
    let current = keys::constant_time_eq(&client.secret.0, &secret.0);
    let old = client
        .old_secret
        .as_ref()
        .is_some_and(|(old, until)| keys::constant_time_eq(&old.0, &secret.0) && now < *until);
    current || old
}

/// Options of a new client.
#[derive(Clone, Debug)]
pub struct NewClient {
    /// Tenant whose migrations the client sees; none for every tenant.
    pub tenant: Option<Tenant>,
    /// Label whose migrations the client sees; none for all of the tenant.
    pub label: Option<Uuid>,
    /// Permissions of the client.
    pub permissions: Vec<Permission>,
    /// Domains that the client may work on.
    pub domains: Vec<&'static Domain>,
    /// Time from which the client has no access.
    pub expires_at: Option<Timestamp>,
}

impl NewClient {
    /// Makes the client and its credentials. Only the caller knows the secret.
    pub fn make(self, now: Timestamp) -> (ApiClient, Credentials) {
        let number = to_hex(&keys::random::<6>());
        let credentials = Credentials::new(format!("client-{number}"));
        let client = ApiClient {
            id: credentials.id.clone(),
            tenant: self.tenant,
            label: self.label,
            permissions: self.permissions,
            domains: self.domains,
            created_at: now,
            expires_at: self.expires_at,
            revoked_at: None,
            secret: hash(&credentials.secret),
            old_secret: None,
        };
        (client, credentials)
    }
}

/// Replaces the secret of a client. The old secret is valid until `keep_old_until`.
pub fn rotate(client: &mut ApiClient, keep_old_until: Timestamp, now: Timestamp) -> Credentials {
    let credentials = Credentials::new(client.id.clone());
    client.old_secret = (keep_old_until > now).then_some((client.secret, keep_old_until));
    client.secret = hash(&credentials.secret);
    credentials
}
