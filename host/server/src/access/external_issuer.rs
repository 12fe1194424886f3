//! Tokens of an external issuer, verified with the keys that it publishes (a JWKS).

use std::sync::Mutex;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Header, Validation, decode};
use serde::Deserialize;
use uuid::Uuid;

use super::AccessError;
use super::token::{permissions, tenant};
use sluice_config::{AccessLimits, Issuer};
use sluice_model::{Domain, Grant};

/// Minimum time between two reads of the issuer's keys. Tokens with invented key ids do not cause more reads.
const LEAST_AGE: Duration = Duration::from_secs(10);

/// Age at which the server reads the keys again. A key that the issuer withdraws is valid for this time at most.
const MOST_AGE: Duration = Duration::from_secs(5 * 60);

/// Age at which the keys become invalid, even if the issuer cannot be reached.
const OLDEST: Duration = Duration::from_secs(60 * 60);

/// Accepted signature algorithms. None of them needs a shared secret.
const ALGORITHMS: [Algorithm; 7] = [
    Algorithm::EdDSA,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
];

/// Claims of an external token.
#[derive(Deserialize)]
struct ExternalClaims {
    sub: String,
    exp: i64,
    #[serde(default)]
    scope: String,
    tenant: String,
    /// Label; absent if all migrations of the tenant are granted.
    label: Option<Uuid>,
    /// Components; absent if every domain is granted.
    domains: Option<Vec<String>>,
}

/// The configured issuer.
pub struct ExternalIssuer {
    issuer: Issuer,
    /// Maximum length of the document with the keys.
    most_bytes: usize,
    http: reqwest::Client,
    held: Mutex<Option<(Instant, JwkSet)>>,
    /// Time of the last attempt to read the keys.
    attempted: tokio::sync::Mutex<Option<Instant>>,
}

impl ExternalIssuer {
    /// Makes an issuer. Its keys are read when they are first needed.
    pub fn new(issuer: Issuer, limits: &AccessLimits) -> Self {
        // The time is that of the whole answer.
        let patience = Duration::from_secs(limits.issuer_seconds);
        let http = reqwest::Client::builder().timeout(patience).redirect(reqwest::redirect::Policy::none());
        Self {
            issuer,
            most_bytes: limits.issuer_bytes,
            http: http.build().unwrap_or_default(),
            held: Mutex::default(),
            attempted: Default::default(),
        }
    }

    /// Verifies a token and returns its grant.
    pub async fn admit(&self, token: &str, header: &Header, kid: &str) -> Result<Grant, AccessError> {
        if !ALGORITHMS.contains(&header.alg) {
            return Err(AccessError::InvalidToken);
        }
        let key = self.key(kid).await?;
        let mut validation = Validation::new(header.alg);
        validation.set_issuer(&[&self.issuer.issuer]);
        validation.set_audience(&[&self.issuer.audience]);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        validation.validate_nbf = true;
        let claims = decode::<ExternalClaims>(token, &key, &validation).map_err(|_| AccessError::InvalidToken)?.claims;
        let domains = match claims.domains {
            Some(names) => names.iter().map(|name| Domain::by_component(name)).collect::<Option<_>>(),
            None => Some(Grant::all_domains()),
        };
        // The issuer may use any client id. Only ids of plain characters may appear in log files. The audit trail is stricter and
        // records a digest of other ids.
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.@|".contains(&byte);
        let id = Some(claims.sub).filter(|sub| (1..=128).contains(&sub.len()) && sub.bytes().all(plain));
        Ok(Grant {
            // The prefix keeps the id apart from the ids of the server's own clients.
            client: format!("ext.{}", id.ok_or(AccessError::InvalidToken)?),
            until: Timestamp::from_second(claims.exp).ok(),
            tenant: tenant(&claims.tenant).ok_or(AccessError::InvalidToken)?,
            label: claims.label,
            permissions: permissions(&claims.scope),
            domains: domains.ok_or(AccessError::InvalidToken)?,
        })
    }

    async fn key(&self, kid: &str) -> Result<DecodingKey, AccessError> {
        let (age, found) = self.look_up(kid);
        if let (Some(age), Some(key)) = (age, &found)
            && age < MOST_AGE
        {
            return Ok(key.clone());
        }
        // One task reads the keys, and the others wait and look again. After an attempt, successful or not, no task reads for a
        // while.
        let mut attempted = self.attempted.lock().await;
        if attempted.is_none_or(|at| at.elapsed() >= LEAST_AGE) {
            let read = self.read().await;
            *attempted = Some(Instant::now());
            if let Ok(keys) = read {
                *self.lock() = Some((Instant::now(), keys));
            }
        }
        match self.look_up(kid) {
            // If the issuer is down for a while, clients that had access keep it.
            (Some(age), Some(key)) if age < OLDEST => Ok(key),
            (Some(age), None) if age < OLDEST => Err(AccessError::InvalidToken),
            _ => Err(AccessError::IssuerUnavailable),
        }
    }

    fn look_up(&self, kid: &str) -> (Option<Duration>, Option<DecodingKey>) {
        match &*self.lock() {
            Some((read, keys)) => {
                (Some(read.elapsed()), keys.find(kid).and_then(|jwk| DecodingKey::from_jwk(jwk).ok()))
            }
            None => (None, None),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<(Instant, JwkSet)>> {
        self.held.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    async fn read(&self) -> Result<JwkSet, AccessError> {
        let read = async {
            let mut answer = self.http.get(&self.issuer.jwks_url).send().await?.error_for_status()?;
            let mut document = vec![];
            while let Some(piece) = answer.chunk().await? {
                document.extend_from_slice(&piece);
                if document.len() > self.most_bytes {
                    return Ok(None);
                }
            }
            Ok::<_, reqwest::Error>(Some(document))
        };
        let (mut timeout, mut status, mut bytes) = (false, None, None);
        match read.await {
            Ok(Some(document)) => match serde_json::from_slice::<JwkSet>(&document) {
                Ok(keys) => return Ok(keys),
                Err(_) => bytes = Some(document.len()),
            },
            Ok(None) => bytes = Some(self.most_bytes),
            Err(error) => (timeout, status) = (error.is_timeout(), error.status().map(|status| status.as_u16())),
        }
        tracing::warn!(
            code = "ISSUER_UNAVAILABLE",
            timeout,
            status,
            bytes,
            "cannot read the keys of the configured issuer, or they are longer than access.issuer_bytes"
        );
        Err(AccessError::IssuerUnavailable)
    }
}
