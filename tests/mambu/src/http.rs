//! HTTP/1.1 as bytes: requests read, answers written. By hand, because a finished 102, half an answer or none at
//! all is what no HTTP library writes.

use std::time::Instant;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Bytes that a request's head and its body may have.
const MOST_HEAD: usize = 64 * 1024;
const MOST_BODY: usize = 16 * 1024 * 1024;

/// A request, read to its end.
pub struct Request {
    pub method: String,
    /// Without the query.
    pub path: String,
    pub query: String,
    /// Names in lower case.
    headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// When its first byte was read.
    pub arrived: Instant,
}

impl Request {
    /// The first header of that name (in lower case).
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Whether the client wants the connection closed after it.
    #[must_use]
    pub fn last(&self) -> bool {
        self.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"))
    }

    /// A parameter of the query, decoded.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<String> {
        let pairs = self.query.split('&').filter_map(|pair| pair.split_once('='));
        pairs.filter(|(key, _)| *key == name).map(|(_, value)| decoded(value, true)).next()
    }
}

/// An answer, or what stands in its place in the store of idempotency keys.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    /// Without a body.
    #[must_use]
    pub fn empty(status: u16) -> Self {
        Self { status, headers: vec![], body: vec![] }
    }

    /// With a body of JSON.
    #[must_use]
    pub fn json(status: u16, body: Vec<u8>) -> Self {
        Self { status, headers: vec![("content-type", "application/vnd.mambu.v2+json".to_owned())], body }
    }

    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl ToString) -> Self {
        self.headers.push((name, value.to_string()));
        self
    }

    /// As it goes over the wire.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let mut text = format!("HTTP/1.1 {} {}\r\n", self.status, phrase(self.status));
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

fn phrase(status: u16) -> &'static str {
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

/// A path's or query's text without its escapes; in a query, `+` is a space.
#[must_use]
pub fn decoded(text: &str, query: bool) -> String {
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

/// The bytes of a connection that are read and not yet used.
pub struct Reader {
    read: Vec<u8>,
    arrived: Instant,
}

/// Why there is no request.
pub enum NoRequest {
    /// The client is gone, or the connection broke.
    Gone,
    /// It is none that we read: answered with this status, and the connection ends.
    Refused(u16),
}

impl From<std::io::Error> for NoRequest {
    fn from(_: std::io::Error) -> Self {
        Self::Gone
    }
}

impl Default for Reader {
    fn default() -> Self {
        Self { read: vec![], arrived: Instant::now() }
    }
}

impl Reader {
    /// The next request.
    ///
    /// # Errors
    /// There is none.
    pub async fn request(&mut self, stream: &mut TcpStream) -> Result<Request, NoRequest> {
        if !self.read.is_empty() {
            // It was sent together with the one before.
            self.arrived = Instant::now();
        }
        let (mut request, framing) = loop {
            if let Some((request, framing, head)) = self.head()? {
                self.read.drain(..head);
                break (request, framing);
            }
            if self.read.len() > MOST_HEAD {
                return Err(NoRequest::Refused(431));
            }
            self.more(stream).await?;
        };
        let awaited = request.header("expect").is_some_and(|value| value.eq_ignore_ascii_case("100-continue"));
        if awaited && !matches!(framing, Framing::Length(0)) {
            stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
        }
        request.body = match framing {
            Framing::Length(length) if length > MOST_BODY => return Err(NoRequest::Refused(413)),
            Framing::Length(length) => self.take(stream, length).await?,
            Framing::Chunked => self.chunks(stream).await?,
        };
        Ok(request)
    }

    async fn more(&mut self, stream: &mut TcpStream) -> Result<(), NoRequest> {
        let first = self.read.is_empty();
        match stream.read_buf(&mut self.read).await? {
            0 => Err(NoRequest::Gone),
            _ => {
                if first {
                    self.arrived = Instant::now();
                }
                Ok(())
            }
        }
    }

    fn head(&self) -> Result<Option<(Request, Framing, usize)>, NoRequest> {
        let mut headers = [httparse::EMPTY_HEADER; 64];
        let mut parsed = httparse::Request::new(&mut headers);
        let head = match parsed.parse(&self.read).map_err(|_| NoRequest::Refused(400))? {
            httparse::Status::Partial => return Ok(None),
            httparse::Status::Complete(head) => head,
        };
        let target = parsed.path.unwrap_or("/");
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let request = Request {
            method: parsed.method.unwrap_or_default().to_owned(),
            path: path.to_owned(),
            query: query.to_owned(),
            headers: parsed.headers.iter().map(|one| (one.name.to_lowercase(), text(one.value))).collect(),
            body: vec![],
            arrived: self.arrived,
        };
        let chunked = request.header("transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked"));
        let length = request.header("content-length").map(str::parse).transpose();
        let length = length.map_err(|_| NoRequest::Refused(400))?.unwrap_or(0);
        let framing = if chunked { Framing::Chunked } else { Framing::Length(length) };
        Ok(Some((request, framing, head)))
    }

    async fn take(&mut self, stream: &mut TcpStream, length: usize) -> Result<Vec<u8>, NoRequest> {
        while self.read.len() < length {
            if stream.read_buf(&mut self.read).await? == 0 {
                return Err(NoRequest::Gone);
            }
        }
        Ok(self.read.drain(..length).collect())
    }

    async fn chunks(&mut self, stream: &mut TcpStream) -> Result<Vec<u8>, NoRequest> {
        let mut body = vec![];
        loop {
            let size = loop {
                match httparse::parse_chunk_size(&self.read).map_err(|_| NoRequest::Refused(400))? {
                    httparse::Status::Complete((used, size)) => {
                        self.read.drain(..used);
                        break usize::try_from(size).unwrap_or(usize::MAX);
                    }
                    httparse::Status::Partial => self.more(stream).await?,
                }
            };
            if size > MOST_BODY || body.len() + size > MOST_BODY {
                return Err(NoRequest::Refused(413));
            }
            body.extend(self.take(stream, size).await?);
            // The line's end after a chunk; trailers are not read, for nobody sends us any.
            self.take(stream, 2).await?;
            if size == 0 {
                return Ok(body);
            }
        }
    }
}

enum Framing {
    Length(usize),
    Chunked,
}
