//! Settings of tokens and secrets.

use serde::{Deserialize, Serialize};

/// Settings of tokens.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AccessLimits {
    /// Lifetime of a token in seconds. 900: long enough for a piece of work, short enough that a leaked token soon
    /// expires.
    pub token_seconds: u64,
    /// Number of days after which the server signs tokens with a new key. 30.
    pub signing_key_days: u64,
    /// External issuer whose tokens the server accepts too.
    pub issuer: Option<Issuer>,
    /// Maximum wait in seconds for the keys of the external issuer. 5: a client waits for them.
    pub issuer_seconds: u64,
    /// Maximum length in bytes of the document with these keys. 1 MiB: a thousand keys.
    pub issuer_bytes: usize,
    /// Number of wrong secrets of one client after which the server answers further attempts with a wait. 5. 0: no limit.
    pub wrong_secrets: u32,
    /// Number of wrong secrets from one address after which the server answers further attempts with a wait. 20: several
    /// clients may share an address. 0: no limit, for a server behind a proxy, which is one address.
    pub wrong_secrets_per_address: u32,
    /// Maximum wait in seconds after wrong secrets. It begins with one second and doubles. 60: an attacker gets no further
    /// with more, and a client that was corrected is back soon.
    pub backoff_seconds: u64,
}

impl Default for AccessLimits {
    fn default() -> Self {
        Self {
            token_seconds: 900,
            signing_key_days: 30,
            issuer: None,
            issuer_seconds: 5,
            issuer_bytes: 1 << 20,
            wrong_secrets: 5,
            wrong_secrets_per_address: 20,
            backoff_seconds: 60,
        }
    }
}

/// An external issuer of tokens. Its tokens carry `tenant` (`*` for every tenant), `scope` (permissions separated by
/// spaces) and optionally `domains` (a list of components). A token without `domains` grants every domain.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Issuer {
    /// Required `iss` of the tokens.
    pub issuer: String,
    /// Required `aud` of the tokens.
    pub audience: String,
    /// URL at which the issuer publishes its keys.
    pub jwks_url: String,
}

/// Returns true if an address of HTTP is protected: by TLS, or because it does not leave this machine.
pub(super) fn is_secure_url(url: &str) -> bool {
    if url.get(..8).is_some_and(|scheme| scheme.eq_ignore_ascii_case("https://")) {
        return true;
    }
    let Some(rest) = url.strip_prefix("http://") else { return false };
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let address = host.parse().map(|address: std::net::SocketAddr| address.ip());
    let address = address.or_else(|_| host.trim_matches(['[', ']']).parse::<std::net::IpAddr>());
    let is_port = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit());
    let localhost =
        host.strip_prefix("localhost").is_some_and(|rest| rest.strip_prefix(':').map_or(rest.is_empty(), is_port));
    address.is_ok_and(|address| address.is_loopback()) || localhost
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Config;

    #[test]
    fn keys_of_an_issuer_come_over_tls_or_from_this_machine() {
        for (url, secure) in [
            ("https://id.example.com/keys", true),
            ("HTTPS://id.example.com/keys", true),
            ("http://127.0.0.1:8080/keys", true),
            ("http://127.0.0.1/keys", true),
            ("http://[::1]:8080/keys", true),
            ("http://[::1]", true),
            ("http://localhost:8080/keys", true),
            ("http://id.example.com/keys", false),
            ("http://10.0.0.1/keys", false),
            ("http://127.0.0.1@id.example.com/keys", false),
            ("http://localhost.example.com/keys", false),
            ("http://localhost@id.example.com/keys", false),
            ("http://localhost:x@id.example.com/keys", false),
            ("file:///etc/keys", false),
            ("id.example.com/keys", false),
        ] {
            let issuer = Issuer { issuer: "i".into(), audience: "a".into(), jwks_url: url.into() };
            let access = AccessLimits { issuer: Some(issuer), ..AccessLimits::default() };
            let checked = Config { access, ..Config::default() }.check();
            assert_eq!(checked.is_ok(), secure, "{url}");
        }
    }
}
