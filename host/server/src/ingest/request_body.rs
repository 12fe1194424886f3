//! Request body: paced, expanded and limited in length.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use axum::body::{Body, BodyDataStream, Bytes};
use futures_util::stream::{BoxStream, unfold};
use futures_util::{Stream, StreamExt};

use super::ContentCoding;
use super::expansion::{gunzip, unzstd};
use sluice_config::UploadLimits;
use sluice_pipeline::RecordStreamError;

/// Minimum wait for the next piece. The piece may have arrived already when the time of its window is over.
const MIN_WAIT: Duration = Duration::from_millis(100);

/// Expanded bytes before the expansion is limited. A small body may well consist of one repeated letter.
const UNMEASURED_BYTES: u64 = 1 << 20;

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
    /// Expanded pieces; none after the end.
    stream: Option<PacedStream>,
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
            ContentCoding::Gzip => gunzip(body),
            ContentCoding::Zstd => unzstd(body, limits.max_zstd_window),
        };
        let (max_bytes, max_expansion) = (limits.max_bytes, limits.max_expansion);
        Self { stream: Some(stream), received, expanded: 0, max_bytes, max_expansion }
    }

    /// Returns the next piece, or none at the end. An error is the last item. After the end there is always none.
    pub async fn next(&mut self) -> Option<Result<Bytes, RecordStreamError>> {
        let next = self.stream.as_mut()?.next().await;
        let limited = next.map(|piece| piece.and_then(|piece| self.within_limits(piece)));
        if !matches!(limited, Some(Ok(_))) {
            // A stream that has ended may not be asked again.
            self.stream = None;
        }
        limited
    }

    /// Counts the bytes of a piece, and refuses it if they are too many.
    fn within_limits(&mut self, piece: Bytes) -> Result<Bytes, RecordStreamError> {
        self.expanded += piece.len() as u64;
        let allowed = self.received.load(Ordering::Relaxed).saturating_mul(self.max_expansion).max(UNMEASURED_BYTES);
        match self.expanded {
            bytes if bytes > self.max_bytes => Err(RecordStreamError::TooLong),
            bytes if bytes > allowed => Err(RecordStreamError::Expansion),
            _ => Ok(piece),
        }
    }
}
