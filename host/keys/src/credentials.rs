//! Credentials of an API client.

use secrecy::{ExposeSecret, SecretString};
use sluice_model::to_hex;

/// The id and the secret of an API client. The server shows the secret once and does not store it.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// Id of the client.
    pub id: String,
    /// Secret of the client.
    pub secret: SecretString,
}

impl Credentials {
    /// Makes a random secret for this client. Its prefix lets scanners find leaked secrets.
    pub fn new(id: String) -> Self {
        let text = to_hex(&crate::random::<32>());
        Self { id, secret: format!("sluice_{text}").into() }
    }

    /// Reads `id:secret`, the form that `curl -u` accepts.
    pub fn parse(text: &str) -> Option<Self> {
        let (id, secret) = text.trim().split_once(':')?;
        Some(Self { id: id.into(), secret: secret.to_owned().into() })
    }

    /// Returns `id:secret`, the form that `curl -u` accepts. Only the place that shows the secret may call it.
    pub fn reveal(&self) -> String {
        format!("{}:{}", self.id, self.secret.expose_secret())
    }
}
