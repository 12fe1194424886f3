//! A small client of the HTTP API: what it asks, and every failure as a sentence for a person.

use std::error::Error as _;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use reqwest::{Body, Method, RequestBuilder, Response, Url};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Longest wait for a connection. A server that is there answers at once.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Longest silence of the server. It syncs results several times a second, and answers on a job every second.
const READ_TIMEOUT: Duration = Duration::from_secs(120);

/// A client of one server.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    server: String,
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
    pub fn new(server: &str) -> Result<Self> {
        let Some(url) = Url::parse(server).ok().filter(|url| matches!(url.scheme(), "http" | "https")) else {
            bail!("`{server}` is not a server's address: that begins with http://");
        };
        if url.scheme() == "https" {
            bail!("{server} cannot be reached: this client speaks plain HTTP only");
        }
        let mut http = reqwest::Client::builder().connect_timeout(CONNECT_TIMEOUT).read_timeout(READ_TIMEOUT);
        if matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]")) {
            http = http.no_proxy();
        }
        Ok(Self { http: http.build()?, server: server.trim_end_matches('/').to_owned() })
    }

    /// The full address of a path.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.server)
    }

    /// Reads.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        self.read(self.request(Method::GET, path)).await
    }

    /// Reads something that may be worth waiting for, so many seconds at most.
    pub async fn get_within<T: DeserializeOwned>(&self, path: &str, seconds: u64) -> Result<T> {
        self.read(self.request(Method::GET, path).header("Prefer", format!("wait={seconds}"))).await
    }

    /// Registers or changes something.
    pub async fn send<T: DeserializeOwned>(&self, method: Method, path: &str, body: &Value) -> Result<T> {
        self.read(self.request(method, path).json(body)).await
    }

    /// Starts something that needs no body.
    pub async fn put<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        self.read(self.request(Method::PUT, path)).await
    }

    /// Asks for something that has no answer but its status.
    pub async fn put_silently(&self, path: &str) -> Result<()> {
        self.answer(self.request(Method::PUT, path)).await.map(drop)
    }

    /// Begins to upload records as lines of JSON; results can be read while the body is on its way.
    pub async fn upload(&self, path: &str, body: Body) -> Result<Response> {
        let request = self.request(Method::PUT, path).header("Content-Type", "application/jsonl");
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

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, self.url(path))
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
