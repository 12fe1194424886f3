//! Tokens: what a client gets for its secret, and what it is let in with.

use std::sync::Arc;

use jiff::Timestamp;
use jsonwebtoken::{Algorithm, Header, Validation, decode, decode_header, encode};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::client::{hash, knows};
use super::{External, TokenKeys};
use sluice_catalog::{Store, StoreError};
use sluice_config::AccessLimits;
use sluice_keys::{KeyError, Keyring};
use sluice_model::{Client, Grant, Permission, SecretHash, Tenant};

/// Who issues our tokens, and whom they are for.
const OURSELVES: &str = "sluice";

/// Why somebody is not let in.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// No such client, another secret, or a client that is revoked or expired: nobody is told which.
    #[error("the client is unknown, its secret is another, or it was revoked or has expired")]
    InvalidClient,
    /// More was asked for than the client was granted.
    #[error("the client was not granted all of the permissions asked for")]
    InvalidScope,
    /// The token is not one of ours, has expired, or its client is no longer let in.
    #[error("the token is not valid, has expired, or its client is no longer let in: get another one")]
    InvalidToken,
    /// The configured issuer's keys cannot be read just now.
    #[error("the keys of the configured issuer cannot be read")]
    IssuerUnavailable,
    /// The catalogue failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A key cannot be had.
    #[error(transparent)]
    Key(#[from] KeyError),
}

#[derive(Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    sub: String,
    iat: i64,
    exp: i64,
    jti: Uuid,
    /// Permissions, parted by spaces (RFC 9068).
    scope: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<Uuid>,
}

/// A token that was issued.
pub struct Issued {
    /// The token.
    pub token: String,
    /// How long it lives, in seconds.
    pub seconds: u64,
    /// What it allows.
    pub permissions: Vec<Permission>,
}

/// Lets clients in.
pub struct Access {
    store: Arc<Store>,
    keys: TokenKeys,
    external: Option<External>,
    token_seconds: u64,
}

impl Access {
    /// Access by the clients in the catalogue, and by the configured issuer's tokens.
    pub fn new(store: Arc<Store>, ring: Arc<Keyring>, limits: &AccessLimits) -> Self {
        Self {
            keys: TokenKeys::new(store.clone(), ring, limits),
            store,
            external: limits.issuer.clone().map(External::new),
            token_seconds: limits.token_seconds,
        }
    }

    /// The client that knows this secret.
    pub fn authenticate(&self, id: &str, secret: &SecretString, now: Timestamp) -> Result<Client, AccessError> {
        let given = hash(secret);
        let found = self.store.client(id)?;
        // An unknown id takes as long as a wrong secret.
        let stored = found.as_ref().map_or(SecretHash([0; 32]), |client| client.secret);
        let known = match &found {
            Some(client) => knows(client, &given, now),
            None => sluice_keys::same(&stored.0, &given.0),
        };
        found.filter(|client| known && client.is_live(now)).ok_or(AccessError::InvalidClient)
    }

    /// A token for a client, for all that it was granted or for the part of it that is asked for.
    pub fn issue(
        &self,
        client: &Client,
        asked: Option<Vec<Permission>>,
        label: Option<Uuid>,
        now: Timestamp,
    ) -> Result<Issued, AccessError> {
        let grant = client.grant();
        let permissions = match asked {
            Some(asked) if asked.is_empty() || !asked.iter().all(|permission| grant.may(*permission)) => {
                return Err(AccessError::InvalidScope);
            }
            Some(asked) => asked,
            None => grant.permissions,
        };
        let names: Vec<&str> = permissions.iter().map(|permission| permission.as_str()).collect();
        let claims = Claims {
            iss: OURSELVES.into(),
            aud: OURSELVES.into(),
            sub: client.id.clone(),
            iat: now.as_second(),
            exp: now.as_second().saturating_add_unsigned(self.token_seconds),
            jti: Uuid::new_v4(),
            scope: names.join(" "),
            label,
        };
        let (id, key) = self.keys.signing(now)?;
        let header = Header { kid: Some(id), ..Header::new(Algorithm::EdDSA) };
        let token = encode(&header, &claims, &key).map_err(|_| AccessError::InvalidToken)?;
        Ok(Issued { token, seconds: self.token_seconds, permissions })
    }

    /// What the bearer of a token of another issuer's may do now.
    pub async fn admit_other(&self, token: &str) -> Result<Grant, AccessError> {
        let header = decode_header(token).map_err(|_| AccessError::InvalidToken)?;
        let kid = header.kid.as_deref().ok_or(AccessError::InvalidToken)?;
        self.external.as_ref().ok_or(AccessError::InvalidToken)?.admit(token, &header, kid).await
    }

    /// What the bearer of a token may do now: revoking a client, or taking a permission away, counts at once. None
    /// where the token is not signed with a key of ours.
    pub fn admit(&self, token: &str, now: Timestamp) -> Result<Option<Grant>, AccessError> {
        let header = decode_header(token).map_err(|_| AccessError::InvalidToken)?;
        let kid = header.kid.as_deref().ok_or(AccessError::InvalidToken)?;
        let Some(key) = self.keys.verifying(kid, now)? else { return Ok(None) };
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_issuer(&[OURSELVES]);
        validation.set_audience(&[OURSELVES]);
        // Held against the time that we were given, below.
        validation.validate_exp = false;
        let claims = decode::<Claims>(token, &key, &validation).map_err(|_| AccessError::InvalidToken)?.claims;
        if claims.exp <= now.as_second() {
            return Err(AccessError::InvalidToken);
        }
        let client = self.store.client(&claims.sub)?.filter(|client| client.is_live(now));
        let mut grant = client.ok_or(AccessError::InvalidToken)?.grant();
        grant.until = Timestamp::from_second(claims.exp).ok();
        let permissions = permissions(&claims.scope);
        grant.permissions = permissions.into_iter().filter(|permission| grant.may(*permission)).collect();
        Ok(Some(grant))
    }

    /// Whether what was granted still holds, for work that goes on long after it was asked for.
    pub fn still_holds(&self, grant: &Grant, now: Timestamp) -> Result<bool, AccessError> {
        let in_time = grant.until.is_none_or(|until| now < until);
        // Another issuer's clients are not in the catalogue: for them the token's end is the end.
        Ok(in_time && self.store.client(&grant.client)?.is_none_or(|client| client.is_live(now)))
    }

    /// Signs with a new key from now on. Tokens that are alive stay so.
    pub fn rotate_keys(&self, now: Timestamp) -> Result<String, AccessError> {
        self.keys.rotate(now)
    }
}

/// The permissions that a scope names; what it names beside them is for others.
pub(super) fn permissions(scope: &str) -> Vec<Permission> {
    scope.split(' ').filter_map(Permission::parse).collect()
}

/// The tenant of a claim: `*` stands for every tenant.
pub(super) fn tenant(claim: &str) -> Option<Option<Tenant>> {
    if claim == "*" { Some(None) } else { claim.parse().ok().map(Some) }
}

#[cfg(test)]
mod tests {
    use jiff::ToSpan;

    use super::*;
    use crate::access::NewClient;

    /// A token holds for its life and no longer, also over a change of keys; no other key's token holds.
    #[test]
    fn a_tokens_life() {
        let held = tempfile::tempdir().unwrap();
        let store = Arc::new(Store::open(&held.path().join("catalogue.db")).unwrap());
        let ring = Arc::new(Keyring::open(&held.path().join("keys"), &held.path().join("master.key")).unwrap());
        let limits = AccessLimits { token_seconds: 100, signing_key_days: 1, issuer: None };
        let access = Access::new(store.clone(), ring.clone(), &limits);
        let start = Timestamp::from_second(1_800_000_000).unwrap();
        let at = |seconds: i64| start + seconds.seconds();
        let (permissions, domains) = (vec![Permission::Read], Grant::every_domain());
        let (client, credentials) = NewClient { tenant: None, permissions, domains, expires_at: None }.make(start);
        store.add_client(&client).unwrap();
        access.authenticate(&client.id, &credentials.secret, start).unwrap();
        let issue = |now| access.issue(&client, None, None, now).unwrap().token;

        let first = issue(at(0));
        access.rotate_keys(at(50)).unwrap();
        let second = issue(at(51));
        let mut parts: Vec<&str> = second.split('.').collect();
        parts[2] = first.rsplit('.').next().unwrap();
        assert!(access.admit(&parts.join("."), at(52)).is_err(), "another token's signature");
        parts[2] = "";
        assert!(access.admit(&parts.join("."), at(52)).is_err(), "no signature");
        let day = 24 * 60 * 60;
        // Token, seconds, and whether it holds then.
        for (token, seconds, holds) in [
            (&first, 0, true),
            (&first, 99, true),
            (&first, 100, false),
            (&second, 52, true),
            (&second, 150, true),
            (&second, 151, false),
        ] {
            assert_eq!(access.admit(token, at(seconds)).is_ok_and(|grant| grant.is_some()), holds, "after {seconds} s");
        }
        // A key that has signed long enough is replaced, and what nobody's token is signed with is destroyed.
        let third = issue(at(50 + day));
        assert_eq!(store.token_keys().unwrap().len(), 2);
        for (token, seconds, holds) in [
            (&first, 51 + day, false),
            (&second, 51 + day, false),
            (&third, 51 + day, true),
            (&third, 150 + day, false),
        ] {
            assert_eq!(access.admit(token, at(seconds)).is_ok_and(|grant| grant.is_some()), holds, "after {seconds} s");
        }
    }
}
