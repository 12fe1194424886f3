//! Tokens of another issuer, verified with the keys that it publishes (a JWKS).

use std::sync::Mutex;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Header, Validation, decode};
use serde::Deserialize;

use super::AccessError;
use super::token::{permissions, tenant};
use sluice_config::Issuer;
use sluice_model::{Domain, Grant};

/// Least time between two readings of an issuer's keys: tokens with made-up key ids do not make us ask more often.
const LEAST_AGE: Duration = Duration::from_secs(10);

/// Age at which keys are read again: what an issuer withdraws is no longer taken after this.
const MOST_AGE: Duration = Duration::from_secs(5 * 60);

/// Age beyond which keys are not taken, however long the issuer cannot be reached.
const OLDEST: Duration = Duration::from_secs(60 * 60);

/// Longest wait for the issuer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Signatures that are taken: none that is made with a secret we would have to share.
const ALGORITHMS: [Algorithm; 7] = [
    Algorithm::EdDSA,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
];

/// What we read of another issuer's token.
#[derive(Deserialize)]
struct Claims {
    sub: String,
    exp: i64,
    #[serde(default)]
    scope: String,
    tenant: String,
    /// Components; absent where every domain is granted.
    domains: Option<Vec<String>>,
}

/// The configured issuer.
pub struct External {
    issuer: Issuer,
    http: reqwest::Client,
    held: Mutex<Option<(Instant, JwkSet)>>,
    /// When its keys were last asked for.
    attempted: tokio::sync::Mutex<Option<Instant>>,
}

impl External {
    /// An issuer whose keys are read when they are first needed.
    pub fn new(issuer: Issuer) -> Self {
        let http = reqwest::Client::builder().timeout(PATIENCE).redirect(reqwest::redirect::Policy::none());
        Self { issuer, http: http.build().unwrap_or_default(), held: Mutex::default(), attempted: Default::default() }
    }

    /// What the bearer of the issuer's token may do.
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
        let claims = decode::<Claims>(token, &key, &validation).map_err(|_| AccessError::InvalidToken)?.claims;
        let domains = match claims.domains {
            Some(names) => names.iter().map(|name| Domain::by_component(name)).collect::<Option<_>>(),
            None => Some(Grant::every_domain()),
        };
        // A client id of another issuer is anything: only a plain one may stand in our logs. The trail is stricter, and
        // names others by their digest.
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.@|".contains(&byte);
        let id = Some(claims.sub).filter(|sub| (1..=128).contains(&sub.len()) && sub.bytes().all(plain));
        Ok(Grant {
            // Nobody of another issuer's can have the id of a client of ours.
            client: format!("ext.{}", id.ok_or(AccessError::InvalidToken)?),
            until: Timestamp::from_second(claims.exp).ok(),
            tenant: tenant(&claims.tenant).ok_or(AccessError::InvalidToken)?,
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
        // One reads, the others wait and look again; and after an attempt, good or not, nobody asks for a while.
        let mut attempted = self.attempted.lock().await;
        if attempted.is_none_or(|at| at.elapsed() >= LEAST_AGE) {
            let read = self.read().await;
            *attempted = Some(Instant::now());
            if let Ok(keys) = read {
                *self.lock() = Some((Instant::now(), keys));
            }
        }
        match self.look_up(kid) {
            // An issuer that is down for a while does not lock out whoever it let in before.
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
            let answer = self.http.get(&self.issuer.jwks_url).send().await?.error_for_status()?;
            answer.json::<JwkSet>().await
        };
        read.await.map_err(|error| {
            tracing::warn!(
                code = "ISSUER_UNAVAILABLE",
                timeout = error.is_timeout(),
                status = error.status().map(|status| status.as_u16()),
                "the keys of the configured issuer cannot be read"
            );
            AccessError::IssuerUnavailable
        })
    }
}
