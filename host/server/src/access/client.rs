//! Secrets of API clients: made here, shown once, kept as hashes.

use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

use sluice_keys as keys;
use sluice_keys::Credentials;
use sluice_model::{Client, Domain, Permission, SecretHash, Tenant, to_hex};

/// The hash of a secret. Secrets are 256 random bits of ours, never chosen by people: there is nothing that a slow
/// hash would slow down, and a token request stays cheap.
pub(super) fn hash(secret: &SecretString) -> SecretHash {
    SecretHash(Sha256::digest(secret.expose_secret().as_bytes()).into())
}

/// Whether this is the client's secret now, in a time that does not tell.
pub(super) fn knows(client: &Client, secret: &SecretHash, now: Timestamp) -> bool {
    let current = keys::same(&client.secret.0, &secret.0);
    let old = client.old_secret.as_ref().is_some_and(|(old, until)| keys::same(&old.0, &secret.0) && now < *until);
    current || old
}

/// A client that is to be made.
#[derive(Clone, Debug)]
pub struct NewClient {
    /// Whose migrations; none stands for every tenant's.
    pub tenant: Option<Tenant>,
    /// What it may do.
    pub permissions: Vec<Permission>,
    /// On which domains.
    pub domains: Vec<&'static Domain>,
    /// From when on it is no longer let in.
    pub expires_at: Option<Timestamp>,
}

impl NewClient {
    /// The client, and the secret that only the caller knows.
    pub fn make(self, now: Timestamp) -> (Client, Credentials) {
        let number = to_hex(&keys::random::<6>());
        let credentials = Credentials::new(format!("client-{number}"));
        let client = Client {
            id: credentials.id.clone(),
            tenant: self.tenant,
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

/// Gives a client another secret; the old one is taken until `keep_old_until`.
pub fn rotate(client: &mut Client, keep_old_until: Timestamp, now: Timestamp) -> Credentials {
    let credentials = Credentials::new(client.id.clone());
    client.old_secret = (keep_old_until > now).then_some((client.secret, keep_old_until));
    client.secret = hash(&credentials.secret);
    credentials
}
