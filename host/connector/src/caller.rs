//! Sends calls to a platform: to its own address and nowhere else, with credentials that nobody else sees.

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

/// Longest `Retry-After` that is obeyed; longer ones are taken for this.
const LONGEST_HOLD: Duration = Duration::from_secs(3_600);

/// One request.
pub struct Request<'a> {
    /// HTTP method.
    pub method: &'static str,
    /// Path below the platform's address.
    pub path: &'a str,
    /// Query parameters.
    pub query: &'a [(&'a str, String)],
    /// JSON body; empty for none.
    pub body: &'a str,
    /// Idempotency key.
    pub key: Option<Uuid>,
}

/// What came back.
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Body; empty where it was too long or no text.
    pub body: String,
    /// How long the platform wants to be left alone.
    pub retry_after: Option<Duration>,
}

/// Sends calls.
pub struct Caller {
    http: reqwest::Client,
    base: Url,
    auth: Auth,
    headers: HeaderMap,
    idempotency: HeaderName,
    most: usize,
    runtime: Handle,
}

enum Auth {
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

/// The address of an API: `https`, or `http` on a loopback address.
fn address(text: &str) -> Result<Url> {
    let url = Url::parse(text.trim_end_matches('/')).context("base_url is no URL")?;
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

impl Caller {
    /// For the platform of this name in the configuration.
    pub fn new(name: &str, config: &PlatformConfig, described: &PlatformDescription, runtime: Handle) -> Result<Self> {
        let http = reqwest::Client::builder()
            // A platform that sends us elsewhere does not get its customers' records there.
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .connect_timeout(Duration::from_secs(config.timeout_seconds.min(30)))
            .timeout(Duration::from_secs(config.timeout_seconds))
            .pool_max_idle_per_host(config.parallel_calls)
            .build()
            .context("no client for calls can be made")?;
        let auth = match secret(name, "API_KEY", config.api_key_file.as_deref())? {
            Some(key) => Auth::ApiKey(key),
            None => match (&config.user, secret(name, "PASSWORD", config.password_file.as_deref())?) {
                (Some(user), Some(password)) => Auth::Basic(user.clone(), password),
                (None, None) => Auth::None,
                _ => bail!("a user and a password belong together"),
            },
        };
        let mut headers = HeaderMap::new();
        for (name, value) in &described.headers {
            let name: HeaderName = name.parse().context("the plugin names a header that is none")?;
            headers.insert(name, HeaderValue::from_str(value).context("the plugin has a header that cannot be sent")?);
        }
        Ok(Self {
            http,
            base: address(&config.base_url)?,
            auth,
            headers,
            idempotency: described.idempotency_header.parse().context("the plugin names a header that is none")?,
            most: config.answer_bytes,
            runtime,
        })
    }

    /// The host that is called.
    pub fn host(&self) -> String {
        self.base.host_str().unwrap_or_default().to_owned()
    }

    /// Sends a request; an error's code says how the answer got lost: whether it was carried out is not known.
    pub fn send(&self, request: &Request) -> Result<Result<Answer, Code>, PlatformError> {
        let method: Method = request.method.parse().map_err(|_| PlatformError::Client)?;
        let mut url = self.base.clone();
        url.set_path(&format!("{}{}", self.base.path().trim_end_matches('/'), request.path));
        for (name, value) in request.query {
            url.query_pairs_mut().append_pair(name, value);
        }
        let mut builder = self.http.request(method, url).headers(self.headers.clone());
        builder = match &self.auth {
            Auth::None => builder,
            Auth::ApiKey(key) => builder.header("apikey", key.expose_secret()),
            Auth::Basic(user, password) => builder.basic_auth(user, Some(password.expose_secret())),
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
            let retry_after = retry_after.map(|seconds| Duration::from_secs(seconds).min(LONGEST_HOLD));
            let mut body = vec![];
            while let Some(piece) = response.chunk().await.map_err(|error| lost(&error))? {
                body.extend_from_slice(&piece);
                if body.len() > self.most {
                    return Err(Code::new("ANSWER_TOO_LONG"));
                }
            }
            Ok(Answer { status, body: String::from_utf8(body).unwrap_or_default(), retry_after })
        }))
    }
}

/// What may be said of an error: its text has the address, and could have more.
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
    fn only_https_or_this_machine() {
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
