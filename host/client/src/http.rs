//! A small client of the HTTP API: what it asks, and every failure as a sentence for a person.

use std::error::Error as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use reqwest::{Body, Method, RequestBuilder, Response, Url};
use secrecy::ExposeSecret;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use sluice_keys::Credentials;

use crate::form::Form;

/// Longest wait for a connection. A server that is there answers at once.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Longest silence of the server. It syncs results several times a second, and answers on a job every second.
const READ_TIMEOUT: Duration = Duration::from_secs(120);

/// A token is renewed so many seconds before it ends: it must hold until its request arrives.
const TOKEN_MARGIN: u64 = 30;

/// A client of one server.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    server: String,
    credentials: Option<Credentials>,
    /// The token, and until when it is used.
    token: Arc<tokio::sync::Mutex<Option<(String, Instant)>>>,
}

/// Reads a file with an id and a secret.
pub fn read_credentials(file: &Path) -> Result<Credentials> {
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    Credentials::parse(&text).with_context(|| format!("{} does not hold id:secret", file.display()))
}

#[derive(Deserialize)]
struct Token {
    access_token: String,
    expires_in: u64,
}

/// A problem document (RFC 9457), as far as it is shown.
#[derive(Deserialize)]
pub struct Problem {
    title: Option<String>,
    detail: Option<String>,
    code: Option<String>,
}

impl Problem {
    /// Title, detail and code in one line.
    pub fn sentence(&self) -> String {
        let title = self.title.as_deref().unwrap_or("Problem");
        let detail = self.detail.as_deref().map(|detail| format!(": {detail}")).unwrap_or_default();
        let code = self.code.as_deref().map(|code| format!(" ({code})")).unwrap_or_default();
        format!("{title}{detail}{code}")
    }
}

impl Client {
    /// A client of the server at this address, such as `http://127.0.0.1:8080`.
    pub fn new(server: &str, credentials: Option<Credentials>, ca: Option<reqwest::Certificate>) -> Result<Self> {
        let Some(url) = Url::parse(server).ok().filter(|url| matches!(url.scheme(), "http" | "https")) else {
            bail!("`{server}` is not a server's address: that begins with http://");
        };
        let mut http = reqwest::Client::builder().connect_timeout(CONNECT_TIMEOUT).read_timeout(READ_TIMEOUT);
        if matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]")) {
            http = http.no_proxy();
        }
        if let Some(ca) = ca {
            http = http.tls_certs_merge([ca]);
        }
        let (http, server) = (http.build()?, server.trim_end_matches('/').to_owned());
        Ok(Self { http, server, credentials, token: Arc::default() })
    }

    /// The full address of a path.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.server)
    }

    /// Reads.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        self.read(self.request(Method::GET, path).await?).await
    }

    /// Reads a page, as text.
    pub async fn page(&self, path: &str) -> Result<String> {
        let request = self.request(Method::GET, path).await?.header("Accept", "text/html");
        self.answer(request).await?.text().await.map_err(|error| self.broken(error))
    }

    /// Reads something that may be worth waiting for, so many seconds at most.
    pub async fn get_within<T: DeserializeOwned>(&self, path: &str, seconds: u64) -> Result<T> {
        self.read(self.request(Method::GET, path).await?.header("Prefer", format!("wait={seconds}"))).await
    }

    /// Reads lines as they come, whatever stands in them, and hands each piece on.
    pub async fn pieces(&self, path: &str, mut each: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
        let request = self.request(Method::GET, path).await?.header("Accept", "application/jsonl");
        let mut response = self.answer(request).await?;
        while let Some(piece) = response.chunk().await.map_err(|error| self.broken(error))? {
            each(&piece)?;
        }
        Ok(())
    }

    /// Reads lines of JSON as they come, and hands each on.
    pub async fn lines(&self, path: &str, mut each: impl FnMut(&str) -> Result<()>) -> Result<()> {
        let mut rest = vec![];
        self.pieces(path, |piece| {
            rest.extend_from_slice(piece);
            let whole = memchr::memrchr(b'\n', &rest).map_or(0, |end| end + 1);
            std::str::from_utf8(&rest[..whole])?.lines().try_for_each(&mut each)?;
            rest.drain(..whole);
            Ok(())
        })
        .await
    }

    /// Registers or changes something.
    pub async fn send<T: DeserializeOwned>(&self, method: Method, path: &str, body: &Value) -> Result<T> {
        self.read(self.request(method, path).await?.json(body)).await
    }

    /// Starts something that needs no body.
    pub async fn put<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        self.read(self.request(Method::PUT, path).await?).await
    }

    /// Does something that has no answer but its status.
    pub async fn act(&self, method: Method, path: &str) -> Result<()> {
        self.answer(self.request(method, path).await?).await.map(drop)
    }

    /// Reads something with the tag that it has at the moment.
    pub async fn get_tagged<T: DeserializeOwned>(&self, path: &str) -> Result<(T, String)> {
        let response = self.answer(self.request(Method::GET, path).await?).await?;
        let tag = response.headers().get("etag").and_then(|tag| tag.to_str().ok()).unwrap_or("*").to_owned();
        Ok((response.json().await.map_err(|error| self.broken(error))?, tag))
    }

    /// Changes something, if it is still what has this tag.
    pub async fn send_if<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: &Value,
        tag: String,
    ) -> Result<T> {
        self.read(self.request(method, path).await?.header("If-Match", tag).json(body)).await
    }

    /// Pushes a component, with its signature if it has one.
    pub async fn push<T: DeserializeOwned>(
        &self,
        path: &str,
        component: Vec<u8>,
        signature: Option<String>,
    ) -> Result<T> {
        let mut request = self.request(Method::POST, path).await?.header("Content-Type", "application/wasm");
        if let Some(signature) = signature {
            request = request.header("Sluice-Signature", signature);
        }
        self.read(request.body(component)).await
    }

    /// Begins to upload records; results can be read while the body is on its way.
    pub async fn upload(&self, path: &str, form: &Form, body: Body) -> Result<Response> {
        let query = serde_urlencoded::to_string(&form.query)?;
        let path = if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") };
        let mut request = self.request(Method::PUT, &path).await?.header("Content-Type", &form.media_type);
        if let Some(coding) = form.coding {
            request = request.header("Content-Encoding", coding);
        }
        self.answer(request.header("Accept", "application/jsonl").body(body)).await
    }

    /// Why an answer broke off, in a sentence.
    pub fn broken(&self, error: reqwest::Error) -> anyhow::Error {
        if error.is_connect() {
            return anyhow!(
                "no server answers at {} ({}): start one with `sluice serve`, or name another with --server",
                self.server,
                root(&error)
            );
        }
        if error.is_timeout() {
            return anyhow!("the server at {} has been silent for {} s", self.server, READ_TIMEOUT.as_secs());
        }
        anyhow!("the connection to {} broke off: {}", self.server, root(&error))
    }

    async fn request(&self, method: Method, path: &str) -> Result<RequestBuilder> {
        let request = self.http.request(method, self.url(path));
        Ok(match &self.credentials {
            Some(credentials) => request.bearer_auth(self.token(credentials).await?),
            None => request,
        })
    }

    /// A token that holds, a new one if need be.
    async fn token(&self, credentials: &Credentials) -> Result<String> {
        let mut held = self.token.lock().await;
        if let Some((token, until)) = &*held
            && Instant::now() < *until
        {
            return Ok(token.clone());
        }
        let request = self.http.post(self.url("/oauth2/token"));
        let request = request.basic_auth(&credentials.id, Some(credentials.secret.expose_secret()));
        let request = request.form(&[("grant_type", "client_credentials")]);
        let response = request.send().await.map_err(|error| self.broken(error))?;
        if response.status() == reqwest::StatusCode::UNAUTHORIZED {
            bail!(
                "{} does not let {} in: its secret is another, or it was revoked or has expired",
                self.server,
                credentials.id
            );
        }
        let Ok(token) = response.error_for_status()?.json::<Token>().await else {
            bail!("no token from {}: is it a Sluice server of this version?", self.server);
        };
        let life = Duration::from_secs(token.expires_in.saturating_sub(TOKEN_MARGIN));
        *held = Some((token.access_token.clone(), Instant::now() + life));
        Ok(token.access_token)
    }

    async fn read<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T> {
        let response = self.answer(request).await?;
        let path = response.url().path().to_owned();
        let body = response.bytes().await.map_err(|error| self.broken(error))?;
        serde_json::from_slice(&body).with_context(|| {
            format!("the answer to {path} cannot be understood: is {} a Sluice server of this version?", self.server)
        })
    }

    async fn answer(&self, request: RequestBuilder) -> Result<Response> {
        let response = request.send().await.map_err(|error| self.broken(error))?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let path = response.url().path().to_owned();
        let body = response.bytes().await.map_err(|error| self.broken(error))?;
        match serde_json::from_slice::<Problem>(&body) {
            Ok(_) if status == reqwest::StatusCode::UNAUTHORIZED && self.credentials.is_none() => bail!(
                "{} lets in API clients only: name a file with id:secret with --client-file, such as admin-client in the \
                 server's data directory",
                self.server
            ),
            Ok(problem) if problem.code.is_some() => bail!("{}", problem.sentence()),
            _ => bail!("{path} was answered with {status}: is {} a Sluice server?", self.server),
        }
    }
}

/// The deepest cause, which is the one that says something.
fn root(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    let mut next = error.source();
    while let Some(deeper) = next {
        (cause, next) = (deeper, deeper.source());
    }
    cause.to_string()
}
