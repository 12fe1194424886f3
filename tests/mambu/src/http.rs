//! HTTP/1.1: reads requests and writes responses. Implemented here because no HTTP library writes a final 102, half a
//! response or no response.

use std::time::Instant;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Maximum number of bytes of a request head.
const MAX_HEAD: usize = 64 * 1024;
/// Maximum number of bytes of a request body.
const MAX_BODY: usize = 16 * 1024 * 1024;

/// A complete request.
pub struct MockRequest {
    /// Method in capital letters.
    pub method: String,
    /// Path without the query.
    pub path: String,
    /// Query without the question mark.
    pub query: String,
    /// Headers with names in lower case.
    headers: Vec<(String, String)>,
    /// Body.
    pub body: Vec<u8>,
    /// Time at which the first byte was read.
    pub arrived: Instant,
}

impl MockRequest {
    /// Returns the value of the first header with this name. The name is in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Returns true if the client asks to close the connection after the response.
    #[must_use]
    pub fn closes_connection(&self) -> bool {
        self.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"))
    }

    /// Returns a decoded parameter of the query.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<String> {
        let pairs = self.query.split('&').filter_map(|pair| pair.split_once('='));
        pairs.filter(|(key, _)| *key == name).map(|(_, value)| percent_decode(value, true)).next()
    }
}

/// A response.
#[derive(Clone, Debug)]
pub struct MockResponse {
    /// HTTP status.
    pub status: u16,
    /// Headers without `content-length`.
    pub headers: Vec<(&'static str, String)>,
    /// Body.
    pub body: Vec<u8>,
}

impl MockResponse {
    /// Creates a response without a body.
    #[must_use]
    pub fn empty(status: u16) -> Self {
        Self { status, headers: vec![], body: vec![] }
    }

    /// Creates a response with a JSON body.
    #[must_use]
    pub fn json(status: u16, body: Vec<u8>) -> Self {
        Self { status, headers: vec![("content-type", "application/vnd.mambu.v2+json".to_owned())], body }
    }

    /// Adds a header.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl ToString) -> Self {
        self.headers.push((name, value.to_string()));
        self
    }

    /// Returns the bytes of the response.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut text = format!("HTTP/1.1 {} {}\r\n", self.status, reason_phrase(self.status));
        for (name, value) in &self.headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        if self.status != 204 {
            text.push_str(&format!("content-length: {}\r\n", self.body.len()));
        }
        text.push_str("\r\n");
        [text.as_bytes(), &self.body].concat()
    }
}

/// Returns the reason phrase of a status.
fn reason_phrase(status: u16) -> &'static str {
    match status {
        102 => "Processing",
        200 => "OK",
        201 => "Created",
        204 => "No Content",
        302 => "Found",
        400 => "Bad Request",
        401 => "Unauthorized",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        409 => "Conflict",
        413 => "Content Too Large",
        415 => "Unsupported Media Type",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ => "Other",
    }
}

/// Decodes percent escapes of a path or query. In a query, `+` is a space.
#[must_use]
pub fn percent_decode(text: &str, query: bool) -> String {
    let mut bytes = vec![];
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let hex = after.get(..2).and_then(|two| std::str::from_utf8(two).ok());
        let escaped = hex.filter(|_| *first == b'%').and_then(|two| u8::from_str_radix(two, 16).ok());
        match escaped {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            None => {
                bytes.push(if *first == b'+' && query { b' ' } else { *first });
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Buffer of bytes read from a connection, and the time of arrival of the current request.
pub struct RequestReader {
    read: Vec<u8>,
    arrived: Instant,
}

/// Error while reading a request.
pub enum RequestError {
    /// The client disconnected.
    Disconnected,
    /// The request is invalid. The server answers with this status and closes the connection.
    Rejected(u16),
}

impl From<std::io::Error> for RequestError {
    fn from(_: std::io::Error) -> Self {
        Self::Disconnected
    }
}

impl Default for RequestReader {
    fn default() -> Self {
        Self { read: vec![], arrived: Instant::now() }
    }
}

impl RequestReader {
    /// Reads the next request.
    ///
    /// # Errors
    /// Fails if the client disconnects or the request is invalid.
    pub async fn request(&mut self, stream: &mut TcpStream) -> Result<MockRequest, RequestError> {
        if !self.read.is_empty() {
            // The request was sent together with the previous one.
            self.arrived = Instant::now();
        }
        let (mut request, framing) = loop {
            if let Some((request, framing, head)) = self.parse_head()? {
                self.read.drain(..head);
                break (request, framing);
            }
            if self.read.len() > MAX_HEAD {
                return Err(RequestError::Rejected(431));
            }
            self.read_more(stream).await?;
        };
        let awaited = request.header("expect").is_some_and(|value| value.eq_ignore_ascii_case("100-continue"));
        if awaited && !matches!(framing, BodyFraming::Length(0)) {
            stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
        }
        request.body = match framing {
            BodyFraming::Length(length) if length > MAX_BODY => return Err(RequestError::Rejected(413)),
            BodyFraming::Length(length) => self.read_bytes(stream, length).await?,
            BodyFraming::Chunked => self.read_chunks(stream).await?,
        };
        Ok(request)
    }

    /// Reads more bytes. Sets the time of arrival if the buffer was empty.
    async fn read_more(&mut self, stream: &mut TcpStream) -> Result<(), RequestError> {
        let first = self.read.is_empty();
        match stream.read_buf(&mut self.read).await? {
            0 => Err(RequestError::Disconnected),
            _ => {
                if first {
                    self.arrived = Instant::now();
                }
                Ok(())
            }
        }
    }

    /// Parses the head of a request. Returns the request, the framing of its body and the length of the head, or none
    /// if the head is not complete.
    fn parse_head(&self) -> Result<Option<(MockRequest, BodyFraming, usize)>, RequestError> {
        let mut headers = [httparse::EMPTY_HEADER; 64];
        let mut parsed = httparse::Request::new(&mut headers);
        let head = match parsed.parse(&self.read).map_err(|_| RequestError::Rejected(400))? {
            httparse::Status::Partial => return Ok(None),
            httparse::Status::Complete(head) => head,
        };
        let target = parsed.path.unwrap_or("/");
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let request = MockRequest {
            method: parsed.method.unwrap_or_default().to_owned(),
            path: path.to_owned(),
            query: query.to_owned(),
            headers: parsed.headers.iter().map(|one| (one.name.to_lowercase(), text(one.value))).collect(),
            body: vec![],
            arrived: self.arrived,
        };
        let chunked = request.header("transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked"));
        let length = request.header("content-length").map(str::parse).transpose();
        let length = length.map_err(|_| RequestError::Rejected(400))?.unwrap_or(0);
        let framing = if chunked { BodyFraming::Chunked } else { BodyFraming::Length(length) };
        Ok(Some((request, framing, head)))
    }

    /// Reads this number of bytes.
    async fn read_bytes(&mut self, stream: &mut TcpStream, length: usize) -> Result<Vec<u8>, RequestError> {
        while self.read.len() < length {
            if stream.read_buf(&mut self.read).await? == 0 {
                return Err(RequestError::Disconnected);
            }
        }
        Ok(self.read.drain(..length).collect())
    }

    /// Reads a chunked body.
    async fn read_chunks(&mut self, stream: &mut TcpStream) -> Result<Vec<u8>, RequestError> {
        let mut body = vec![];
        loop {
            let size = loop {
                match httparse::parse_chunk_size(&self.read).map_err(|_| RequestError::Rejected(400))? {
                    httparse::Status::Complete((used, size)) => {
                        self.read.drain(..used);
                        break usize::try_from(size).unwrap_or(usize::MAX);
                    }
                    httparse::Status::Partial => self.read_more(stream).await?,
                }
            };
            if size > MAX_BODY || body.len() + size > MAX_BODY {
                return Err(RequestError::Rejected(413));
            }
            body.extend(self.read_bytes(stream, size).await?);
            // Reads the end of line after a chunk. Trailers are not supported, because no client sends them.
            self.read_bytes(stream, 2).await?;
            if size == 0 {
                return Ok(body);
            }
        }
    }
}

/// Framing of a request body.
enum BodyFraming {
    Length(usize),
    Chunked,
}
