//! Tokens: issues them for a client's secret, and verifies them.

use std::sync::Arc;

use jiff::Timestamp;
use jsonwebtoken::{Algorithm, Header, Validation, decode, decode_header, encode};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::client::{hash, knows};
use super::{ExternalIssuer, TokenKeys};
use sluice_catalog::{Catalog, CatalogError};
use sluice_config::AccessLimits;
use sluice_keys::{KeyError, Keyring};
use sluice_model::{ApiClient, Grant, Permission, SecretHash, Tenant};

/// Issuer and audience of the server's tokens.
const OURSELVES: &str = "sluice";

/// Reason why access is refused.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// The client does not exist, the secret is wrong, or the client is revoked or expired. The caller does not learn which.
    #[error("the client or its secret is not known, or the client was revoked or has expired")]
    InvalidClient,
    /// The client asks for a permission that it was not granted.
    #[error("the client was not granted all of the requested permissions")]
    InvalidScope,
    /// The token is invalid or expired, or its client was revoked or has expired.
    #[error("the token is not valid or has expired, or its client was revoked or has expired: get another one")]
    InvalidToken,
    /// The keys of the configured issuer cannot be read.
    #[error("cannot read the keys of the configured issuer")]
    IssuerUnavailable,
    /// The catalogue failed.
    #[error(transparent)]
    Store(#[from] CatalogError),
    /// A key cannot be read or written.
    #[error(transparent)]
    Key(#[from] KeyError),
}

#[derive(Serialize, Deserialize)]
struct TokenClaims {
    iss: String,
    aud: String,
    sub: String,
    iat: i64,
    exp: i64,
    jti: Uuid,
    /// Permissions, separated by spaces (RFC 9068).
    scope: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<Uuid>,
}

/// An issued token.
pub struct IssuedToken {
    /// Token as text.
    pub token: String,
    /// Lifetime in seconds.
    pub seconds: u64,
    /// Permissions of the token.
    pub permissions: Vec<Permission>,
}

/// Authentication of clients.
pub struct Access {
    store: Arc<Catalog>,
    keys: TokenKeys,
    external: Option<ExternalIssuer>,
    token_seconds: u64,
}

impl Access {
    /// Makes the authentication of the catalogue's clients and of the configured issuer's tokens.
    pub fn new(store: Arc<Catalog>, ring: Arc<Keyring>, limits: &AccessLimits) -> Self {
        Self {
            keys: TokenKeys::new(store.clone(), ring, limits),
            store,
            external: limits.issuer.clone().map(|issuer| ExternalIssuer::new(issuer, limits)),
            token_seconds: limits.token_seconds,
        }
    }

    /// Returns the client with this id and secret.
    pub fn authenticate(&self, id: &str, secret: &SecretString, now: Timestamp) -> Result<ApiClient, AccessError> {
        let given = hash(secret);
        let found = self.store.client(id)?;
        // An unknown id takes as long as a wrong secret.
        let stored = found.as_ref().map_or(SecretHash([0; 32]), |client| client.secret);
        let known = match &found {
            Some(client) => knows(client, &given, now),
            None => sluice_keys::constant_time_eq(&stored.0, &given.0),
        };
        found.filter(|client| known && client.is_active(now)).ok_or(AccessError::InvalidClient)
    }

    /// Issues a token for a client: with all of its permissions, or with the requested ones. A token with a label gives
    /// access to migrations of this label alone.
    pub fn issue(
        &self,
        client: &ApiClient,
        asked: Option<Vec<Permission>>,
        label: Option<Uuid>,
        now: Timestamp,
    ) -> Result<IssuedToken, AccessError> {
        let grant = client.grant();
        if grant.label.is_some_and(|own| label.is_some_and(|asked| asked != own)) {
            return Err(AccessError::InvalidClient);
        }
        let permissions = match asked {
            Some(asked) if asked.is_empty() || !asked.iter().all(|permission| grant.may(*permission)) => {
                return Err(AccessError::InvalidScope);
            }
            Some(asked) => asked,
            None => grant.permissions,
        };
        let names: Vec<&str> = permissions.iter().map(|permission| permission.as_str()).collect();
        let claims = TokenClaims {
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
        Ok(IssuedToken { token, seconds: self.token_seconds, permissions })
    }

    /// Verifies a token of the configured issuer and returns its grant.
    pub async fn admit_external(&self, token: &str) -> Result<Grant, AccessError> {
        let header = decode_header(token).map_err(|_| AccessError::InvalidToken)?;
        let kid = header.kid.as_deref().ok_or(AccessError::InvalidToken)?;
        self.external.as_ref().ok_or(AccessError::InvalidToken)?.admit(token, &header, kid).await
    }

    /// Verifies a token and returns its grant. Returns none if the server did not sign it. Revoking a client or removing a
    /// permission takes effect at once.
    pub fn admit(&self, token: &str, now: Timestamp) -> Result<Option<Grant>, AccessError> {
        let header = decode_header(token).map_err(|_| AccessError::InvalidToken)?;
        let kid = header.kid.as_deref().ok_or(AccessError::InvalidToken)?;
        let Some(key) = self.keys.verifying(kid, now)? else { return Ok(None) };
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_issuer(&[OURSELVES]);
        validation.set_audience(&[OURSELVES]);
        // Compared with `now` below.
        validation.validate_exp = false;
        let claims = decode::<TokenClaims>(token, &key, &validation).map_err(|_| AccessError::InvalidToken)?.claims;
        if claims.exp <= now.as_second() {
            return Err(AccessError::InvalidToken);
        }
        let client = self.store.client(&claims.sub)?.filter(|client| client.is_active(now));
        let mut grant = client.ok_or(AccessError::InvalidToken)?.grant();
        grant.until = Timestamp::from_second(claims.exp).ok();
        grant.label = match (grant.label, claims.label) {
            (Some(own), Some(label)) if own != label => return Err(AccessError::InvalidToken),
            (own, label) => own.or(label),
        };
        let permissions = permissions(&claims.scope);
        grant.permissions = permissions.into_iter().filter(|permission| grant.may(*permission)).collect();
        Ok(Some(grant))
    }

    /// Returns true if a grant still holds. Work that runs for a long time checks this.
    pub fn still_holds(&self, grant: &Grant, now: Timestamp) -> Result<bool, AccessError> {
        let in_time = grant.until.is_none_or(|until| now < until);
        // The catalogue has no clients of the external issuer. Their grants hold until the token expires.
        Ok(in_time && self.store.client(&grant.client)?.is_none_or(|client| client.is_active(now)))
    }

    /// Makes a new signing key. Valid tokens stay valid.
    pub fn rotate_keys(&self, now: Timestamp) -> Result<String, AccessError> {
        self.keys.rotate(now)
    }
}

/// Returns the permissions in a scope. Ignores names for other servers.
pub(super) fn permissions(scope: &str) -> Vec<Permission> {
    scope.split(' ').filter_map(Permission::parse).collect()
}

/// Returns the tenant of a claim: `*` stands for every tenant.
pub(super) fn tenant(claim: &str) -> Option<Option<Tenant>> {
    if claim == "*" { Some(None) } else { claim.parse().ok().map(Some) }
}

#[cfg(test)]
mod tests {
    use jiff::ToSpan;

    use super::*;
    use crate::access::NewClient;

    /// A token is valid for its lifetime, also after a change of keys. A token with another signature is not.
    #[test]
    fn a_tokens_life() {
        let held = tempfile::tempdir().unwrap();
        let store = Arc::new(Catalog::open(&held.path().join("catalogue.db")).unwrap());
        let ring = Arc::new(Keyring::open(&held.path().join("keys"), &held.path().join("master.key")).unwrap());
        let limits = AccessLimits { token_seconds: 100, signing_key_days: 1, ..AccessLimits::default() };
        let access = Access::new(store.clone(), ring.clone(), &limits);
        let start = Timestamp::from_second(1_800_000_000).unwrap();
        let at = |seconds: i64| start + seconds.seconds();
        let (permissions, domains) = (vec![Permission::Read], Grant::all_domains());
        let (client, credentials) =
            NewClient { tenant: None, label: None, permissions, domains, expires_at: None }.make(start);
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
        // Token, seconds, and whether it is valid then.
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
        // A key that is old enough is replaced. A key without valid tokens is destroyed.
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
