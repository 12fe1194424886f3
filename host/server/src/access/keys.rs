//! The keys that tokens are signed with: a new one every so often, the old ones until no token of theirs lives.

use std::sync::{Arc, RwLock};
use std::time::Duration;

use hashbrown::HashMap;
use jiff::Timestamp;
use jsonwebtoken::{DecodingKey, EncodingKey};

use super::AccessError;
use sluice_catalog::Store;
use sluice_config::AccessLimits;
use sluice_keys::{Keyring, random};
use sluice_model::to_hex;

/// The server's own signing keys.
pub struct TokenKeys {
    store: Arc<Store>,
    ring: Arc<Keyring>,
    token: Duration,
    lifetime: Duration,
    /// By id; filled as they are met.
    loaded: RwLock<HashMap<String, Pair>>,
}

#[derive(Clone)]
struct Pair {
    encoding: EncodingKey,
    decoding: DecodingKey,
}

impl TokenKeys {
    /// Keys as they stand in the catalogue and the keyring.
    pub fn new(store: Arc<Store>, ring: Arc<Keyring>, limits: &AccessLimits) -> Self {
        let (token, lifetime) =
            (Duration::from_secs(limits.token_seconds), Duration::from_secs(limits.signing_key_days * 24 * 60 * 60));
        Self { store, ring, token, lifetime, loaded: RwLock::default() }
    }

    /// The id of the newest key and what signs with it; made if there is none, or it has signed long enough.
    pub fn signing(&self, now: Timestamp) -> Result<(String, EncodingKey), AccessError> {
        let mut newest = self.store.token_keys()?.into_iter().next();
        if newest.as_ref().is_none_or(|(_, created_at)| since(*created_at, now) >= self.lifetime) {
            newest = Some((self.rotate(now)?, now));
        }
        let (id, _) = newest.expect("made if there was none");
        let pair = self.pair(&id)?;
        Ok((id, pair.encoding))
    }

    /// What verifies tokens that were signed with this key, if it is one of ours and still taken.
    pub fn verifying(&self, id: &str, now: Timestamp) -> Result<Option<DecodingKey>, AccessError> {
        if !self.taken(now)?.iter().any(|taken| taken == id) {
            return Ok(None);
        }
        Ok(Some(self.pair(id)?.decoding))
    }

    /// Keys of which a token can be alive: the newest, and each that was the newest a token's life ago.
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

    /// Signs with a new key from now on; its id. Keys of which no token can be alive are destroyed.
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

    fn pair(&self, id: &str) -> Result<Pair, AccessError> {
        let loaded = self.loaded.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(pair) = loaded.get(id) {
            return Ok(pair.clone());
        }
        drop(loaded);
        let signer = self.ring.signer(&name(id))?;
        let pair = Pair {
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
