//! Keys that sign tokens. A new key replaces the newest at intervals; an old key is kept until its tokens have expired.

use std::sync::{Arc, RwLock};
use std::time::Duration;

use hashbrown::HashMap;
use jiff::Timestamp;
use jsonwebtoken::{DecodingKey, EncodingKey};

use super::AccessError;
use sluice_catalog::Catalog;
use sluice_config::AccessLimits;
use sluice_keys::{Keyring, random};
use sluice_model::to_hex;

/// The server's signing keys.
pub struct TokenKeys {
    store: Arc<Catalog>,
    ring: Arc<Keyring>,
    token: Duration,
    lifetime: Duration,
    /// Loaded keys, by id.
    loaded: RwLock<HashMap<String, TokenKeyPair>>,
}

#[derive(Clone)]
struct TokenKeyPair {
    encoding: EncodingKey,
    decoding: DecodingKey,
}

impl TokenKeys {
    /// Makes the set of keys in the catalogue and the keyring.
    pub fn new(store: Arc<Catalog>, ring: Arc<Keyring>, limits: &AccessLimits) -> Self {
        let (token, lifetime) =
            (Duration::from_secs(limits.token_seconds), Duration::from_secs(limits.signing_key_days * 24 * 60 * 60));
        Self { store, ring, token, lifetime, loaded: RwLock::default() }
    }

    /// Returns the newest key and its id. Makes a key if there is none, or if the newest is too old.
    pub fn signing(&self, now: Timestamp) -> Result<(String, EncodingKey), AccessError> {
        let mut newest = self.store.token_keys()?.into_iter().next();
        if newest.as_ref().is_none_or(|(_, created_at)| since(*created_at, now) >= self.lifetime) {
            newest = Some((self.rotate(now)?, now));
        }
        let (id, _) = newest.expect("a key exists");
        let pair = self.pair(&id)?;
        Ok((id, pair.encoding))
    }

    /// Returns the key that verifies a token, if the server has it and its tokens can be valid.
    pub fn verifying(&self, id: &str, now: Timestamp) -> Result<Option<DecodingKey>, AccessError> {
        if !self.taken(now)?.iter().any(|taken| taken == id) {
            return Ok(None);
        }
        Ok(Some(self.pair(id)?.decoding))
    }

    /// Returns the keys whose tokens can be valid: the newest, and each that was the newest within a token's lifetime.
    fn taken(&self, now: Timestamp) -> Result<Vec<String>, AccessError> {
        let mut taken = vec![];
        let mut superseded_at: Option<Timestamp> = None;
        for (id, created_at) in self.store.token_keys()? {
            if superseded_at.is_none_or(|at| since(at, now) <= self.token) {
                taken.push(id);
            }
            superseded_at = Some(created_at);
        }
        Ok(taken)
    }

    /// Makes a new key, which signs from now on, and returns its id. Destroys the keys whose tokens have expired.
    pub fn rotate(&self, now: Timestamp) -> Result<String, AccessError> {
        let taken = self.taken(now)?;
        for (id, _) in self.store.token_keys()? {
            if !taken.contains(&id) {
                self.ring.destroy(&name(&id))?;
                self.store.remove_token_key(&id)?;
            }
        }
        let id = to_hex(&random::<8>());
        self.ring.key(&name(&id))?;
        self.store.add_token_key(&id, now)?;
        Ok(id)
    }

    fn pair(&self, id: &str) -> Result<TokenKeyPair, AccessError> {
        let loaded = self.loaded.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(pair) = loaded.get(id) {
            return Ok(pair.clone());
        }
        drop(loaded);
        let signer = self.ring.signer(&name(id))?;
        let pair = TokenKeyPair {
            encoding: EncodingKey::from_ed_der(&signer.to_pkcs8()),
            decoding: DecodingKey::from_ed_der(&signer.public().0),
        };
        let mut loaded = self.loaded.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        loaded.insert(id.into(), pair.clone());
        Ok(pair)
    }
}

fn name(id: &str) -> String {
    format!("token-{id}")
}

fn since(then: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(then)).unwrap_or_default()
}
