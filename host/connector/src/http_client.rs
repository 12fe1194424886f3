//! HTTP client for a platform. It calls only the platform's own address, and no other part of the server sees its
//! credentials.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::{Method, Url};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::runtime::Handle;
use uuid::Uuid;

use super::PlatformError;
use sluice_config::PlatformConfig;
use sluice_contract::PlatformDescription;
use sluice_model::Code;

/// Longest `Retry-After` that the client obeys. Longer ones are shortened to it.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(3_600);

/// A request to the platform.
pub struct PlatformRequest<'a> {
    /// HTTP method.
    pub method: &'static str,
    /// Path below the platform's address.
    pub path: &'a str,
    /// Query parameters.
    pub query: &'a [(&'a str, String)],
    /// JSON body; empty if there is none.
    pub body: &'a str,
    /// Idempotency key.
    pub key: Option<Uuid>,
}

/// A response of the platform.
pub struct PlatformResponse {
    /// HTTP status.
    pub status: u16,
    /// Body; empty if it was too long or not text.
    pub body: String,
    /// Time for which the platform asks for no further calls.
    pub retry_after: Option<Duration>,
}

/// A client that sends calls to one platform.
pub struct PlatformClient {
    http: reqwest::Client,
    base: Url,
    auth: PlatformAuth,
    headers: HeaderMap,
    idempotency: HeaderName,
    max_body_bytes: usize,
    runtime: Handle,
}

enum PlatformAuth {
    None,
    ApiKey(SecretString),
    Basic(String, SecretString),
}

fn secret(name: &str, what: &str, file: Option<&Path>) -> Result<Option<SecretString>> {
    let name: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' }).collect();
    let variable = std::env::var(format!("SLUICE_{name}_{what}")).ok();
    let text = match (variable, file) {
        (Some(text), _) => text,
        (None, Some(file)) => {
            std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?
        }
        (None, None) => return Ok(None),
    };
    Ok(Some(text.trim().into()))
}

/// Parses the address of an API: `https`, or `http` on a loopback address.
fn address(text: &str) -> Result<Url> {
    let url = Url::parse(text.trim_end_matches('/')).context("base_url is not a URL")?;
    let loopback = match url.host_str() {
        Some(host) => host.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback()),
        None => bail!("base_url has no host"),
    };
    ensure!(url.scheme() == "https" || (url.scheme() == "http" && loopback), "base_url is not https");
    ensure!(
        url.username().is_empty() && url.password().is_none(),
        "base_url has credentials in it: name files for them"
    );
    ensure!(url.query().is_none() && url.fragment().is_none(), "base_url has a query");
    Ok(url)
}

impl PlatformClient {
    /// Creates a client for the platform of this name in the configuration.
    pub fn new(
        name: &str,
        config: &PlatformConfig,
        description: &PlatformDescription,
        runtime: Handle,
    ) -> Result<Self> {
        let http = reqwest::Client::builder()
            // Redirects are not followed, so that records cannot reach another address.
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .connect_timeout(Duration::from_secs(config.timeout_seconds.min(30)))
            .timeout(Duration::from_secs(config.timeout_seconds))
            .pool_max_idle_per_host(config.parallel_calls)
            .build()
            .context("the HTTP client could not be created")?;
        let auth = match secret(name, "API_KEY", config.api_key_file.as_deref())? {
            Some(key) => PlatformAuth::ApiKey(key),
            None => match (&config.user, secret(name, "PASSWORD", config.password_file.as_deref())?) {
                (Some(user), Some(password)) => PlatformAuth::Basic(user.clone(), password),
                (None, None) => PlatformAuth::None,
                _ => bail!("a user and a password belong together"),
            },
        };
        let mut headers = HeaderMap::new();
        for (name, value) in &description.headers {
            let name: HeaderName = name.parse().context("the plugin names an invalid header")?;
            headers.insert(name, HeaderValue::from_str(value).context("the plugin has a header that cannot be sent")?);
        }
        Ok(Self {
            http,
            base: address(&config.base_url)?,
            auth,
            headers,
            idempotency: description.idempotency_header.parse().context("the plugin names an invalid header")?,
            max_body_bytes: config.answer_bytes,
            runtime,
        })
    }

    /// Returns the host that is called.
    pub fn host(&self) -> String {
        self.base.host_str().unwrap_or_default().to_owned()
    }

    /// Sends a request. A code as an inner error says how the response was lost. Then it is not known if the platform
    /// carried out the request.
    pub fn send(&self, request: &PlatformRequest) -> Result<Result<PlatformResponse, Code>, PlatformError> {
        let method: Method = request.method.parse().map_err(|_| PlatformError::Client)?;
        let mut url = self.base.clone();
        url.set_path(&format!("{}{}", self.base.path().trim_end_matches('/'), request.path));
        for (name, value) in request.query {
            url.query_pairs_mut().append_pair(name, value);
        }
        let mut builder = self.http.request(method, url).headers(self.headers.clone());
        builder = match &self.auth {
            PlatformAuth::None => builder,
            PlatformAuth::ApiKey(key) => builder.header("apikey", key.expose_secret()),
            PlatformAuth::Basic(user, password) => builder.basic_auth(user, Some(password.expose_secret())),
        };
        if let Some(key) = request.key {
            builder = builder.header(self.idempotency.clone(), key.to_string());
        }
        if !request.body.is_empty() {
            builder = builder.header("content-type", "application/json").body(request.body.to_owned());
        }
        Ok(self.runtime.block_on(async {
            let mut response = builder.send().await.map_err(|error| lost(&error))?;
            let status = response.status().as_u16();
            let retry_after = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
            let retry_after = retry_after.map(|seconds| Duration::from_secs(seconds).min(MAX_RETRY_AFTER));
            let mut body = vec![];
            while let Some(piece) = response.chunk().await.map_err(|error| lost(&error))? {
                body.extend_from_slice(&piece);
                if body.len() > self.max_body_bytes {
                    return Err(Code::new("ANSWER_TOO_LONG"));
                }
            }
            Ok(PlatformResponse { status, body: String::from_utf8(body).unwrap_or_default(), retry_after })
        }))
    }
}

/// Converts an error into a code. The text of the error has the address in it, and possibly more.
fn lost(error: &reqwest::Error) -> Code {
    if error.is_timeout() {
        Code::new("NO_ANSWER_IN_TIME")
    } else if error.is_connect() {
        Code::new("NO_CONNECTION")
    } else {
        Code::new("CONNECTION_LOST")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_https_or_loopback() {
        for good in ["https://example.mambu.com/api", "http://127.0.0.1:8080/api", "http://[::1]:1/api/"] {
            assert!(address(good).is_ok(), "{good}");
        }
        for bad in [
            "http://example.mambu.com/api",
            "http://localhost/api",
            "ftp://127.0.0.1/",
            "https://u:p@example.com/",
            "api",
        ] {
            assert!(address(bad).is_err(), "{bad}");
        }
    }
}
