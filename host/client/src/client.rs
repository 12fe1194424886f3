//! Requests, tokens and the errors of connections.

use std::sync::Arc;
use std::time::{Duration, Instant};

use reqwest::{Body, Method, RequestBuilder, Response, StatusCode, Url};
use secrecy::ExposeSecret;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use sluice_keys::Credentials;

use crate::certificate;
use crate::error::ClientError;
use crate::problem::ProblemDocument;
use crate::upload_format::UploadFormat;

/// Maximum wait for a connection. A running server accepts at once.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Maximum silence of the server. It syncs results several times a second and reports on a job every second.
const READ_TIMEOUT: Duration = Duration::from_secs(120);

/// Seconds before its expiry at which a token is renewed. A token has to be valid when its request arrives.
const TOKEN_MARGIN: u64 = 30;

/// A client of one server. Clones share the connections and the token.
///
/// The methods with a `path` are generic calls: the path begins with `/`, and the body of a response is parsed as the type
/// that the caller names. They fail with:
///
/// - [`ClientError::NotReachable`], [`ClientError::Silent`] or [`ClientError::ConnectionLost`] if there is no response,
/// - [`ClientError::CredentialsRequired`], [`ClientError::CredentialsRefused`], [`ClientError::TokenRefused`] or
///   [`ClientError::NoToken`] if the server does not accept the client,
/// - [`ClientError::Refused`] with the server's problem document,
/// - [`ClientError::NotSluice`] or [`ClientError::UnexpectedResponse`] if the response is not one of Sluice.
#[derive(Clone)]
pub struct SluiceClient {
    http: reqwest::Client,
    server: String,
    credentials: Option<Credentials>,
    /// The token, and the time until which it is used.
    token: Arc<tokio::sync::Mutex<Option<(String, Instant)>>>,
}

/// Parses the address of a server.
fn parse_address(server: &str) -> Result<Url, ClientError> {
    let url = Url::parse(server).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    url.ok_or_else(|| ClientError::InvalidAddress { address: server.to_owned() })
}

/// Returns true if an address is of this machine.
fn is_local(url: &Url) -> bool {
    let address = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    address == "localhost" || address.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[derive(Deserialize)]
struct AccessTokenView {
    access_token: String,
    expires_in: u64,
}

impl SluiceClient {
    /// Returns a client of the server at an address such as `http://127.0.0.1:8080`. The client trusts `ca` in addition to
    /// the certificate authorities of this machine. It sends no request yet.
    ///
    /// # Errors
    ///
    /// Fails if the address is not an HTTP URL ([`ClientError::InvalidAddress`]), if it is plain HTTP on another machine
    /// ([`ClientError::PlainHttp`]), or if TLS cannot be set up ([`ClientError::Setup`]).
    pub fn new(
        server: &str,
        credentials: Option<Credentials>,
        ca: Option<reqwest::Certificate>,
    ) -> Result<Self, ClientError> {
        let url = parse_address(server)?;
        if url.scheme() == "http" && !is_local(&url) {
            return Err(ClientError::PlainHttp { address: server.to_owned() });
        }
        Self::allowing_plain_http(server, credentials, ca)
    }

    /// Returns a client as [`SluiceClient::new`] does, also for plain HTTP on another machine. Secrets, tokens and records
    /// then cross the network unprotected, unless something else protects them.
    ///
    /// # Errors
    ///
    /// Fails if the address is not an HTTP URL ([`ClientError::InvalidAddress`]) or TLS cannot be set up
    /// ([`ClientError::Setup`]).
    pub fn allowing_plain_http(
        server: &str,
        credentials: Option<Credentials>,
        ca: Option<reqwest::Certificate>,
    ) -> Result<Self, ClientError> {
        let url = parse_address(server)?;
        let mut http = reqwest::Client::builder().connect_timeout(CONNECT_TIMEOUT).read_timeout(READ_TIMEOUT);
        if is_local(&url) {
            http = http.no_proxy();
        }
        if let Some(ca) = ca {
            http = http.tls_certs_merge([ca]);
        }
        let (http, server) = (http.build().map_err(ClientError::Setup)?, server.trim_end_matches('/').to_owned());
        Ok(Self { http, server, credentials, token: Arc::default() })
    }

    /// Returns the full address of a path.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.server)
    }

    /// Sends `GET` and parses the response.
    ///
    /// # Errors
    ///
    /// See [`SluiceClient`].
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        self.read(self.request(Method::GET, path).await?).await
    }

    /// Sends `GET` for an HTML page and returns its text.
    ///
    /// # Errors
    ///
    /// See [`SluiceClient`].
    pub async fn get_html(&self, path: &str) -> Result<String, ClientError> {
        let request = self.request(Method::GET, path).await?.header("Accept", "text/html");
        self.response(request).await?.text().await.map_err(|error| self.connection_error(error))
    }

    /// Sends `GET` with `Prefer: wait`: the server may delay its response by up to `seconds` until there is news.
    ///
    /// # Errors
    ///
    /// See [`SluiceClient`].
    pub async fn get_with_wait<T: DeserializeOwned>(&self, path: &str, seconds: u64) -> Result<T, ClientError> {
        self.read(self.request(Method::GET, path).await?.header("Prefer", format!("wait={seconds}"))).await
    }

    /// Sends `GET` and returns the parsed response with its entity tag, or with `*` if it has none.
    ///
    /// # Errors
    ///
    /// See [`SluiceClient`].
    pub async fn get_with_etag<T: DeserializeOwned>(&self, path: &str) -> Result<(T, String), ClientError> {
        let response = self.response(self.request(Method::GET, path).await?).await?;
        let tag = response.headers().get("etag").and_then(|tag| tag.to_str().ok()).unwrap_or("*").to_owned();
        Ok((response.json().await.map_err(|error| self.connection_error(error))?, tag))
    }

    /// Sends `GET` for lines and passes their bytes to `each` as they arrive. A piece may end within a line.
    ///
    /// # Errors
    ///
    /// See [`SluiceClient`]. Also fails with the first error of `each`.
    pub async fn stream<E: From<ClientError>>(
        &self,
        path: &str,
        mut each: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let request = self.request(Method::GET, path).await?.header("Accept", "application/jsonl");
        let mut response = self.response(request).await?;
        while let Some(piece) = response.chunk().await.map_err(|error| self.connection_error(error))? {
            each(&piece)?;
        }
        Ok(())
    }

    /// Sends `GET` for a file. Passes its header fields to `begin`, and its bytes to what that returns as they arrive.
    ///
    /// # Errors
    ///
    /// See [`SluiceClient`]. Also fails with the first error of `begin` or of what it returns.
    pub async fn download<E: From<ClientError>, W: FnMut(&[u8]) -> Result<(), E>>(
        &self,
        path: &str,
        begin: impl FnOnce(&reqwest::header::HeaderMap) -> Result<W, E>,
    ) -> Result<(), E> {
        let mut response = self.response(self.request(Method::GET, path).await?).await?;
        let mut each = begin(response.headers())?;
        while let Some(piece) = response.chunk().await.map_err(|error| self.connection_error(error))? {
            each(&piece)?;
        }
        Ok(())
    }

    /// Sends `GET` for lines and passes each whole line to `each` as it arrives.
    ///
    /// # Errors
    ///
    /// See [`SluiceClient`]. Also fails with the first error of `each`, or with [`ClientError::NotText`].
    pub async fn stream_lines<E: From<ClientError>>(
        &self,
        path: &str,
        mut each: impl FnMut(&str) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut rest = vec![];
        self.stream(path, |piece| {
            rest.extend_from_slice(piece);
            let whole = memchr::memrchr(b'\n', &rest).map_or(0, |end| end + 1);
            std::str::from_utf8(&rest[..whole]).map_err(ClientError::from)?.lines().try_for_each(&mut each)?;
            rest.drain(..whole);
            Ok(())
        })
        .await
    }

    /// Sends a request with a JSON body and parses the response.
    ///
    /// # Errors
    ///
    /// See [`SluiceClient`].
    pub async fn send_json<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: &Value,
    ) -> Result<T, ClientError> {
        self.read(self.request(method, path).await?.json(body)).await
    }

    /// Sends a request with a JSON body and `If-Match`, and parses the response. The server refuses the request if the
    /// resource no longer has this entity tag.
    ///
    /// # Errors
    ///
    /// See [`SluiceClient`].
    pub async fn send_json_if_match<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: &Value,
        tag: String,
    ) -> Result<T, ClientError> {
        self.read(self.request(method, path).await?.header("If-Match", tag).json(body)).await
    }

    /// Sends `PUT` without a body and parses the response.
    ///
    /// # Errors
    ///
    /// See [`SluiceClient`].
    pub async fn put<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        self.read(self.request(Method::PUT, path).await?).await
    }

    /// Sends `DELETE` and parses the response.
    ///
    /// # Errors
    ///
    /// See [`SluiceClient`].
    pub async fn delete<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        self.read(self.request(Method::DELETE, path).await?).await
    }

    /// Sends a request without a body and ignores the body of the response.
    ///
    /// # Errors
    ///
    /// See [`SluiceClient`].
    pub async fn send(&self, method: Method, path: &str) -> Result<(), ClientError> {
        self.response(self.request(method, path).await?).await.map(drop)
    }

    /// Sends a plugin's component, with its signature if there is one.
    ///
    /// # Errors
    ///
    /// See [`SluiceClient`].
    pub async fn push_plugin<T: DeserializeOwned>(
        &self,
        path: &str,
        component: Vec<u8>,
        signature: Option<String>,
    ) -> Result<T, ClientError> {
        let mut request = self.request(Method::POST, path).await?.header("Content-Type", "application/wasm");
        if let Some(signature) = signature {
            request = request.header("Sluice-Signature", signature);
        }
        self.read(request.body(component)).await
    }

    /// Begins an upload of records. The results can be read while the body is sent.
    pub(crate) async fn begin_upload(
        &self,
        path: &str,
        format: &UploadFormat,
        body: Body,
    ) -> Result<Response, ClientError> {
        let query = serde_urlencoded::to_string(&format.query)?;
        let path = if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") };
        let mut request = self.request(Method::PUT, &path).await?.header("Content-Type", &format.media_type);
        if let Some(encoding) = format.content_encoding {
            request = request.header("Content-Encoding", encoding);
        }
        self.response(request.header("Accept", "application/jsonl").body(body)).await
    }

    /// Returns the error for a failed exchange.
    pub(crate) fn connection_error(&self, error: reqwest::Error) -> ClientError {
        let server = self.server.clone();
        if let Some(reason) = certificate::refusal(&error) {
            return ClientError::CertificateRefused { server, reason };
        }
        if error.is_connect() {
            return ClientError::NotReachable { server, error };
        }
        if error.is_timeout() {
            return ClientError::Silent { server, seconds: READ_TIMEOUT.as_secs() };
        }
        ClientError::ConnectionLost { server, error }
    }

    async fn request(&self, method: Method, path: &str) -> Result<RequestBuilder, ClientError> {
        let request = self.http.request(method, self.url(path));
        Ok(match &self.credentials {
            Some(credentials) => request.bearer_auth(self.token(credentials).await?),
            None => request,
        })
    }

    /// Returns a valid token, and obtains a new one if necessary.
    async fn token(&self, credentials: &Credentials) -> Result<String, ClientError> {
        let mut current = self.token.lock().await;
        if let Some((token, until)) = &*current
            && Instant::now() < *until
        {
            return Ok(token.clone());
        }
        let request = self.http.post(self.url("/oauth2/token"));
        let request = request.basic_auth(&credentials.id, Some(credentials.secret.expose_secret()));
        let request = request.form(&[("grant_type", "client_credentials")]);
        let response = request.send().await.map_err(|error| self.connection_error(error))?;
        if response.status() == StatusCode::UNAUTHORIZED {
            return Err(ClientError::CredentialsRefused { server: self.server.clone(), id: credentials.id.clone() });
        }
        let response = response.error_for_status().map_err(ClientError::TokenRefused)?;
        let Ok(token) = response.json::<AccessTokenView>().await else {
            return Err(ClientError::NoToken { server: self.server.clone() });
        };
        let life = Duration::from_secs(token.expires_in.saturating_sub(TOKEN_MARGIN));
        *current = Some((token.access_token.clone(), Instant::now() + life));
        Ok(token.access_token)
    }

    async fn read<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, ClientError> {
        let response = self.response(request).await?;
        let path = response.url().path().to_owned();
        let body = response.bytes().await.map_err(|error| self.connection_error(error))?;
        serde_json::from_slice(&body).map_err(|error| ClientError::UnexpectedResponse {
            server: self.server.clone(),
            path,
            source: error,
        })
    }

    async fn response(&self, request: RequestBuilder) -> Result<Response, ClientError> {
        let response = request.send().await.map_err(|error| self.connection_error(error))?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let path = response.url().path().to_owned();
        let body = response.bytes().await.map_err(|error| self.connection_error(error))?;
        let server = self.server.clone();
        Err(match serde_json::from_slice::<ProblemDocument>(&body) {
            Ok(_) if status == StatusCode::UNAUTHORIZED && self.credentials.is_none() => {
                ClientError::CredentialsRequired { server }
            }
            Ok(problem) if problem.code.is_some() => ClientError::Refused { status, problem },
            _ => ClientError::NotSluice { server, path, status },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_stays_on_this_machine() {
        for (address, refused) in [
            ("http://127.0.0.1:8080", false),
            ("http://127.0.0.2", false),
            ("http://[::1]:8080", false),
            ("http://localhost:8080", false),
            ("https://sluice.example.com", false),
            ("http://sluice.example.com", true),
            ("HTTP://10.0.0.1:8080", true),
            ("http://localhost.example.com", true),
            ("http://127.0.0.1@sluice.example.com", true),
        ] {
            let made = SluiceClient::new(address, None, None);
            assert_eq!(matches!(made, Err(ClientError::PlainHttp { .. })), refused, "{address}");
            assert!(SluiceClient::allowing_plain_http(address, None, None).is_ok(), "{address}");
        }
    }
}
