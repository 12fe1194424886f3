//! A body in pieces: as fast as a client has to be, expanded where it is compressed, and no longer than it may be.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use async_compression::tokio::bufread::{GzipDecoder, ZstdDecoder};
use async_compression::zstd::DParameter;
use axum::body::{Body, BodyDataStream, Bytes};
use axum::http::{HeaderMap, StatusCode, header};
use futures_util::stream::{BoxStream, unfold};
use futures_util::{Stream, StreamExt};
use tokio::io::AsyncRead;
use tokio_util::io::{ReaderStream, StreamReader};

use super::problem::Problem;
use sluice_config::UploadLimits;
use sluice_pipeline::BrokenOff;

/// Wait for the next piece at least: it may be there already when the time of its window is over.
const LEAST_WAIT: Duration = Duration::from_millis(100);

/// Bytes that are expanded at once.
const EXPANDED_BYTES: usize = 64 * 1024;

/// Compressed bytes that are worked on at once: what comes before a broken place in other pieces is handed on.
const COMPRESSED_BYTES: usize = 16 * 1024;

/// Expanded bytes before it counts how far they are expanded: any small body may be of one letter.
const UNMEASURED_BYTES: u64 = 1 << 20;

/// The largest window of a Zstandard body, as a power of two: 8 MiB, which RFC 9659 allows at most, so that an upload
/// cannot ask for 128 MiB of memory.
const ZSTD_WINDOW: u32 = 23;

/// What a body may be encoded with, as a client is told.
const CODINGS: &str = "gzip, zstd";

/// How a body is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    Plain,
    Gzip,
    Zstd,
}

impl Coding {
    /// By the `Content-Encoding` of a request.
    pub fn of(headers: &HeaderMap) -> Result<Self, Problem> {
        let mut given = headers.get_all(header::CONTENT_ENCODING).iter();
        match (given.next(), given.next()) {
            (None, _) => Ok(Self::Plain),
            (Some(one), None) => Self::named(one.to_str().unwrap_or_default()),
            _ => Err(unknown_coding()),
        }
    }

    /// By its name.
    pub fn named(name: &str) -> Result<Self, Problem> {
        match name.trim().to_ascii_lowercase().as_str() {
            "" | "identity" => Ok(Self::Plain),
            "gzip" | "x-gzip" => Ok(Self::Gzip),
            "zstd" => Ok(Self::Zstd),
            _ => Err(unknown_coding()),
        }
    }
}

fn unknown_coding() -> Problem {
    let detail = "Send the body as it is, or with one Content-Encoding: gzip or zstd.";
    let problem = Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "UNSUPPORTED_CONTENT_ENCODING", detail);
    problem.with(header::ACCEPT_ENCODING, CODINGS)
}

/// Why a body broke off, as the client is told.
pub fn broken_off(reason: BrokenOff) -> Problem {
    let status = match reason {
        BrokenOff::TooLong | BrokenOff::Expansion => StatusCode::PAYLOAD_TOO_LARGE,
        BrokenOff::Gone | BrokenOff::Slow | BrokenOff::Compression | BrokenOff::Unreadable => StatusCode::BAD_REQUEST,
    };
    Problem::new(status, reason.code(), reason.told())
}

/// How slow a body may be.
struct Paced {
    pieces: BodyDataStream,
    idle: Duration,
    /// Bytes that must arrive within `idle`.
    least: u64,
    window: Instant,
    of_window: u64,
}

impl Paced {
    async fn next(&mut self) -> Option<Result<Bytes, BrokenOff>> {
        if self.of_window >= self.least {
            (self.window, self.of_window) = (Instant::now(), 0);
        }
        // Time that we took to work on what came does not count against the client.
        let left = self.idle.saturating_sub(self.window.elapsed()).max(LEAST_WAIT);
        match tokio::time::timeout(left, self.pieces.next()).await {
            Ok(Some(Ok(piece))) => {
                self.of_window += piece.len() as u64;
                Some(Ok(piece))
            }
            Ok(Some(Err(_))) => Some(Err(BrokenOff::Gone)),
            Ok(None) => None,
            Err(_) => Some(Err(BrokenOff::Slow)),
        }
    }
}

/// A request's body as it comes, unless it comes too slowly.
pub fn paced(body: Body, limits: &UploadLimits) -> BoxStream<'static, Result<Bytes, BrokenOff>> {
    let (idle, least) = (Duration::from_secs(limits.idle_seconds), limits.least_bytes);
    let paced = Paced { pieces: body.into_data_stream(), idle, least, window: Instant::now(), of_window: 0 };
    unfold(paced, |mut paced| async move { Some((paced.next().await?, paced)) }).boxed()
}

/// A body in pieces, as what it was before it was compressed.
pub struct Pieces {
    stream: BoxStream<'static, Result<Bytes, BrokenOff>>,
    /// Bytes that came, and that they were expanded to.
    came: Arc<AtomicU64>,
    expanded: u64,
    most: u64,
    /// Bytes that one byte that came may be expanded to.
    expansion: u64,
}

impl Pieces {
    /// What comes from here, and is encoded so.
    pub fn new(
        from: impl Stream<Item = Result<Bytes, BrokenOff>> + Send + 'static,
        coding: Coding,
        limits: &UploadLimits,
    ) -> Self {
        let came = Arc::new(AtomicU64::new(0));
        let counted = came.clone();
        let from = from.inspect(move |piece| {
            let bytes = piece.as_ref().map_or(0, Bytes::len) as u64;
            counted.fetch_add(bytes, Ordering::Relaxed);
        });
        let stream = match coding {
            Coding::Plain => from.boxed(),
            Coding::Gzip => {
                let mut decoder = GzipDecoder::new(reader(from));
                // As `cat a.gz b.gz` makes it.
                decoder.multiple_members(true);
                expanded(decoder)
            }
            Coding::Zstd => {
                let window = [DParameter::window_log_max(ZSTD_WINDOW)];
                let mut decoder = ZstdDecoder::with_params(reader(from), &window);
                decoder.multiple_members(true);
                expanded(decoder)
            }
        };
        Self { stream, came, expanded: 0, most: limits.max_bytes, expansion: limits.max_expansion }
    }

    /// The next piece; none at the end. Nothing comes after a piece that broke off.
    pub async fn next(&mut self) -> Option<Result<Bytes, BrokenOff>> {
        let piece = match self.stream.next().await? {
            Ok(piece) => piece,
            Err(reason) => return Some(Err(reason)),
        };
        self.expanded += piece.len() as u64;
        let may_be = self.came.load(Ordering::Relaxed).saturating_mul(self.expansion).max(UNMEASURED_BYTES);
        Some(match self.expanded {
            bytes if bytes > self.most => Err(BrokenOff::TooLong),
            bytes if bytes > may_be => Err(BrokenOff::Expansion),
            _ => Ok(piece),
        })
    }
}

type Compressed = Pin<Box<dyn tokio::io::AsyncBufRead + Send>>;

/// For a decoder. It is made to wait between pieces, so that it hands on what it has expanded before it learns that the
/// next one is broken.
fn reader(from: impl Stream<Item = Result<Bytes, BrokenOff>> + Send + 'static) -> Compressed {
    let waiting = unfold((from.boxed(), Bytes::new()), |(mut from, mut rest)| async move {
        tokio::task::yield_now().await;
        if rest.is_empty() {
            rest = match from.next().await? {
                Ok(piece) => piece,
                Err(reason) => return Some((Err(std::io::Error::other(reason)), (from, rest))),
            };
        }
        let piece = rest.split_to(rest.len().min(COMPRESSED_BYTES));
        Some((Ok(piece), (from, rest)))
    });
    Box::pin(StreamReader::new(waiting.boxed()))
}

fn expanded(decoder: impl AsyncRead + Send + 'static) -> BoxStream<'static, Result<Bytes, BrokenOff>> {
    let pieces = ReaderStream::with_capacity(Box::pin(decoder), EXPANDED_BYTES);
    // What is not the body's own end is the decoder's.
    let reason = |error: std::io::Error| {
        error.get_ref().and_then(|inner| inner.downcast_ref()).copied().unwrap_or(BrokenOff::Compression)
    };
    pieces.map(move |piece| piece.map_err(reason)).boxed()
}
