//! An HTTP client that writes requests byte by byte and reads answers when a test asks for it.

use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use crate::harness::server::Server;

/// Longest wait for one read or write. A longer one means that the server hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// The way in which a request marks the end of its body.
#[derive(Clone, Copy)]
pub enum Length {
    Chunked,
    Declared(usize),
}

/// A request on a connection of its own.
pub struct RawRequest {
    stream: BufReader<TcpStream>,
    chunked: bool,
    /// State of the answer: the status once the head is read, and bytes that no caller has read yet.
    status: Option<u16>,
    read: Vec<u8>,
}

async fn within<T>(what: &str, future: impl Future<Output = std::io::Result<T>>) -> T {
    let done = tokio::time::timeout(PATIENCE, future).await;
    done.unwrap_or_else(|_| panic!("{what} hangs")).unwrap_or_else(|error| panic!("{what}: {error}"))
}

impl RawRequest {
    /// Begins an upload: writes the head of a PUT request.
    pub async fn put(server: &Server, path: &str, media_type: &str, length: Length) -> Self {
        Self::begin("PUT", server, path, media_type, length).await
    }

    /// Writes the head of a request with any method.
    pub async fn begin(method: &str, server: &Server, path: &str, media_type: &str, length: Length) -> Self {
        let host = server.url.strip_prefix("http://").unwrap();
        let stream = BufReader::new(within("connecting", TcpStream::connect(host)).await);
        let chunked = matches!(length, Length::Chunked);
        let framing = match length {
            Length::Chunked => "transfer-encoding: chunked".to_owned(),
            Length::Declared(bytes) => format!("content-length: {bytes}"),
        };
        let mut raw = Self { stream, chunked, status: None, read: vec![] };
        raw.write(format!("{method} {path} HTTP/1.1\r\nhost: {host}\r\ncontent-type: {media_type}\r\n").as_bytes())
            .await;
        raw.write(format!("authorization: Bearer {}\r\n{framing}\r\n\r\n", server.token).as_bytes()).await;
        raw
    }

    async fn write(&mut self, bytes: &[u8]) {
        within("writing", self.stream.write_all(bytes)).await;
    }

    /// Sends a part of the body.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let bytes = bytes.as_ref();
        if self.chunked {
            self.write(&[format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat()).await;
        } else {
            self.write(bytes).await;
        }
        within("writing", self.stream.flush()).await;
    }

    /// Ends a chunked body.
    pub async fn end(&mut self) {
        self.write(b"0\r\n\r\n").await;
    }

    /// Closes the connection before the end of the body.
    pub async fn cut(mut self) {
        within("hanging up", self.stream.shutdown()).await;
    }

    async fn text_line(&mut self) -> String {
        let mut line = String::new();
        within("reading", self.stream.read_line(&mut line)).await;
        line.trim_end().to_owned()
    }

    /// Returns the answer's status.
    pub async fn status(&mut self) -> u16 {
        if let Some(status) = self.status {
            return status;
        }
        let status = self.text_line().await.split(' ').nth(1).unwrap_or_default().parse().unwrap();
        while !self.text_line().await.is_empty() {}
        self.status = Some(status);
        status
    }

    /// Returns the next line of a streamed answer; none at its end.
    pub async fn line(&mut self) -> Option<Value> {
        assert_eq!(self.status().await, 200);
        loop {
            if let Some(end) = self.read.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.read.drain(..=end).collect();
                return Some(serde_json::from_slice(&line).unwrap());
            }
            let bytes = usize::from_str_radix(&self.text_line().await, 16).unwrap();
            let mut chunk = vec![0; bytes + 2];
            within("reading", self.stream.read_exact(&mut chunk)).await;
            if bytes == 0 {
                assert!(self.read.is_empty(), "the answer ends with a complete line");
                return None;
            }
            self.read.extend_from_slice(&chunk[..bytes]);
        }
    }
}
