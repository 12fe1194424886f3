//! Id and secret of an API client.

use secrecy::{ExposeSecret, SecretString};
use sluice_model::to_hex;

/// An id with its secret: shown once, and stored nowhere.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// The client's id.
    pub id: String,
    /// Its secret.
    pub secret: SecretString,
}

impl Credentials {
    /// A secret for this client. What it begins with lets scanners for leaked secrets find it.
    pub fn new(id: String) -> Self {
        let text = to_hex(&crate::random::<32>());
        Self { id, secret: format!("sluice_{text}").into() }
    }

    /// Reads `id:secret`, as `curl -u` takes it.
    pub fn parse(text: &str) -> Option<Self> {
        let (id, secret) = text.trim().split_once(':')?;
        Some(Self { id: id.into(), secret: secret.to_owned().into() })
    }

    /// As `curl -u` takes them: for the one place where they are shown.
    pub fn reveal(&self) -> String {
        format!("{}:{}", self.id, self.secret.expose_secret())
    }
}
