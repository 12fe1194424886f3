//! Request body: paced, expanded and limited in length.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use async_compression::tokio::bufread::{GzipDecoder, ZstdDecoder};
use async_compression::zstd::DParameter;
use axum::body::{Body, BodyDataStream, Bytes};
use futures_util::stream::{BoxStream, unfold};
use futures_util::{Stream, StreamExt};
use tokio::io::AsyncRead;
use tokio_util::io::{ReaderStream, StreamReader};

use super::ContentCoding;
use sluice_config::UploadLimits;
use sluice_pipeline::RecordStreamError;

/// Minimum wait for the next piece. The piece may have arrived already when the time of its window is over.
const MIN_WAIT: Duration = Duration::from_millis(100);

/// Expanded bytes in a piece.
const EXPANDED_BYTES: usize = 64 * 1024;

/// Compressed bytes given to the decoder at once. Content before a damaged byte in a later piece is still processed.
const COMPRESSED_BYTES: usize = 16 * 1024;

/// Expanded bytes before the expansion is limited. A small body may well consist of one repeated letter.
const UNMEASURED_BYTES: u64 = 1 << 20;

/// Maximum window of a Zstandard body, as a power of two: 8 MiB, the maximum of RFC 9659. A larger window would let an
/// upload ask for 128 MiB of memory.
const ZSTD_WINDOW: u32 = 23;

/// A body in pieces that arrive fast enough.
pub type PacedStream = BoxStream<'static, Result<Bytes, RecordStreamError>>;

/// A body with a minimum speed.
struct PacedBody {
    pieces: BodyDataStream,
    idle: Duration,
    /// Bytes that must arrive within `idle`.
    min_bytes: u64,
    window: Instant,
    window_bytes: u64,
}

impl PacedBody {
    async fn next(&mut self) -> Option<Result<Bytes, RecordStreamError>> {
        if self.window_bytes >= self.min_bytes {
            (self.window, self.window_bytes) = (Instant::now(), 0);
        }
        // Time that the server needed to process earlier pieces does not count against the client.
        let left = self.idle.saturating_sub(self.window.elapsed()).max(MIN_WAIT);
        match tokio::time::timeout(left, self.pieces.next()).await {
            Ok(Some(Ok(piece))) => {
                self.window_bytes += piece.len() as u64;
                Some(Ok(piece))
            }
            Ok(Some(Err(_))) => Some(Err(RecordStreamError::Gone)),
            Ok(None) => None,
            Err(_) => Some(Err(RecordStreamError::Slow)),
        }
    }
}

/// Returns a request's body in pieces. Ends it with an error if it arrives too slowly.
pub fn paced(body: Body, limits: &UploadLimits) -> PacedStream {
    let (idle, min_bytes) = (Duration::from_secs(limits.idle_seconds), limits.least_bytes);
    let paced = PacedBody { pieces: body.into_data_stream(), idle, min_bytes, window: Instant::now(), window_bytes: 0 };
    unfold(paced, |mut paced| async move { Some((paced.next().await?, paced)) }).boxed()
}

/// A body in pieces, expanded.
pub struct BodyPieces {
    stream: PacedStream,
    /// Compressed bytes that arrived.
    received: Arc<AtomicU64>,
    expanded: u64,
    max_bytes: u64,
    /// Maximum number of expanded bytes for each received byte.
    max_expansion: u64,
}

impl BodyPieces {
    /// Expands a body with this content coding.
    pub fn new(
        body: impl Stream<Item = Result<Bytes, RecordStreamError>> + Send + 'static,
        coding: ContentCoding,
        limits: &UploadLimits,
    ) -> Self {
        let received = Arc::new(AtomicU64::new(0));
        let counted = received.clone();
        let body = body.inspect(move |piece| {
            let bytes = piece.as_ref().map_or(0, Bytes::len) as u64;
            counted.fetch_add(bytes, Ordering::Relaxed);
        });
        let stream = match coding {
            ContentCoding::Plain => body.boxed(),
            ContentCoding::Gzip => {
                let mut decoder = GzipDecoder::new(reader(body));
                // `cat a.gz b.gz` makes a body of two members.
                decoder.multiple_members(true);
                expanded(decoder)
            }
            ContentCoding::Zstd => {
                let window = [DParameter::window_log_max(ZSTD_WINDOW)];
                let mut decoder = ZstdDecoder::with_params(reader(body), &window);
                decoder.multiple_members(true);
                expanded(decoder)
            }
        };
        Self { stream, received, expanded: 0, max_bytes: limits.max_bytes, max_expansion: limits.max_expansion }
    }

    /// Returns the next piece, or none at the end. An error is the last item.
    pub async fn next(&mut self) -> Option<Result<Bytes, RecordStreamError>> {
        let piece = match self.stream.next().await? {
            Ok(piece) => piece,
            Err(reason) => return Some(Err(reason)),
        };
        self.expanded += piece.len() as u64;
        let allowed = self.received.load(Ordering::Relaxed).saturating_mul(self.max_expansion).max(UNMEASURED_BYTES);
        Some(match self.expanded {
            bytes if bytes > self.max_bytes => Err(RecordStreamError::TooLong),
            bytes if bytes > allowed => Err(RecordStreamError::Expansion),
            _ => Ok(piece),
        })
    }
}

type CompressedReader = Pin<Box<dyn tokio::io::AsyncBufRead + Send>>;

/// Returns a reader for a decoder. The reader yields between pieces, so that the decoder hands on its output before it sees
/// an error in the next piece.
fn reader(body: impl Stream<Item = Result<Bytes, RecordStreamError>> + Send + 'static) -> CompressedReader {
    let yielding = unfold((body.boxed(), Bytes::new()), |(mut body, mut rest)| async move {
        tokio::task::yield_now().await;
        if rest.is_empty() {
            rest = match body.next().await? {
                Ok(piece) => piece,
                Err(reason) => return Some((Err(std::io::Error::other(reason)), (body, rest))),
            };
        }
        let piece = rest.split_to(rest.len().min(COMPRESSED_BYTES));
        Some((Ok(piece), (body, rest)))
    });
    Box::pin(StreamReader::new(yielding.boxed()))
}

fn expanded(decoder: impl AsyncRead + Send + 'static) -> PacedStream {
    let pieces = ReaderStream::with_capacity(Box::pin(decoder), EXPANDED_BYTES);
    // An error that is not the body's own is the decoder's.
    let reason = |error: std::io::Error| {
        error.get_ref().and_then(|inner| inner.downcast_ref()).copied().unwrap_or(RecordStreamError::Compression)
    };
    pieces.map(move |piece| piece.map_err(reason)).boxed()
}
