//! Expansion of compressed bodies.

use std::pin::Pin;

use async_compression::tokio::bufread::{GzipDecoder, ZstdDecoder};
use async_compression::zstd::DParameter;
use axum::body::Bytes;
use futures_util::stream::{BoxStream, once, unfold};
use futures_util::{Stream, StreamExt};
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncRead, AsyncReadExt};
use tokio_util::io::{ReaderStream, StreamReader};

use super::request_body::PacedStream;
use sluice_pipeline::RecordStreamError;

/// Expanded bytes in a piece.
const EXPANDED_BYTES: usize = 64 * 1024;

/// Compressed bytes given to the decoder at once. Content before a damaged byte in a later piece is still processed.
const COMPRESSED_BYTES: usize = 16 * 1024;

/// Maximum length of a Zstandard frame's header: its magic number, descriptor, window, dictionary and size.
const ZSTD_HEADER_BYTES: usize = 18;

type CompressedReader = Pin<Box<dyn AsyncBufRead + Send>>;

/// State of the expansion of gzip.
enum GzipState {
    /// The next member, or the end.
    Between { rest: CompressedReader, is_first: bool },
    /// A member.
    Member(Box<GzipDecoder<CompressedReader>>),
    /// The body has ended, or it failed.
    Ended,
}

/// Expands gzip of one or more members (`cat a.gz b.gz`). Zeros after the last member are padding and passed over, as gzip
/// does.
pub(super) fn gunzip(body: impl Stream<Item = Result<Bytes, RecordStreamError>> + Send + 'static) -> PacedStream {
    let begin = GzipState::Between { rest: reader(body), is_first: true };
    unfold(begin, |mut state| async move {
        loop {
            match step(state).await {
                Ok((Some(bytes), next)) => return Some((Ok(bytes), next)),
                Ok((None, GzipState::Ended)) => return None,
                Ok((None, next)) => state = next,
                Err(error) => return Some((Err(reason(&error)), GzipState::Ended)),
            }
        }
    })
    .boxed()
}

/// Returns the next expanded bytes, if there are any, and the next state.
async fn step(state: GzipState) -> std::io::Result<(Option<Bytes>, GzipState)> {
    match state {
        GzipState::Ended => Ok((None, GzipState::Ended)),
        GzipState::Member(mut decoder) => {
            let mut bytes = Vec::with_capacity(EXPANDED_BYTES);
            Ok(match decoder.read_buf(&mut bytes).await? {
                0 => (None, GzipState::Between { rest: decoder.into_inner(), is_first: false }),
                _ => (Some(bytes.into()), GzipState::Member(decoder)),
            })
        }
        GzipState::Between { mut rest, is_first } => {
            let mut padded = false;
            loop {
                let bytes = rest.fill_buf().await?;
                if bytes.is_empty() {
                    return Ok((None, GzipState::Ended));
                }
                let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
                let is_next = zeros < bytes.len();
                if is_first || (is_next && zeros == 0 && !padded) {
                    return Ok((None, GzipState::Member(Box::new(GzipDecoder::new(rest)))));
                }
                if is_next {
                    return Err(std::io::Error::other(RecordStreamError::Compression));
                }
                padded = true;
                rest.consume(zeros);
            }
        }
    }
}

/// Expands Zstandard of one or more frames, whose windows have at most `max_window` bytes.
pub(super) fn unzstd(
    body: impl Stream<Item = Result<Bytes, RecordStreamError>> + Send + 'static,
    max_window: u64,
) -> PacedStream {
    let begin = async move {
        // The body is asked for more after its end, if it is shorter than a header.
        let mut body = body.fuse().boxed();
        let mut start = Vec::new();
        let mut error = None;
        while start.len() < ZSTD_HEADER_BYTES {
            match body.next().await {
                Some(Ok(piece)) => start.extend_from_slice(&piece),
                Some(Err(reason)) => {
                    error = Some(Err(reason));
                    break;
                }
                None => break,
            }
        }
        if let Some(window) = window_bytes(&start).filter(|window| *window > max_window) {
            return once(async move { Err(RecordStreamError::Window(Some(window))) }).boxed();
        }
        if start.is_empty() && error.is_none() {
            return futures_util::stream::empty().boxed();
        }
        let first = once(async move { Ok(Bytes::from(start)) });
        let whole = first.chain(futures_util::stream::iter(error)).chain(body);
        // The decoder takes a power of two.
        let log = DParameter::window_log_max(max_window.max(1).ilog2());
        let mut decoder = ZstdDecoder::with_params(reader(whole), &[log]);
        decoder.multiple_members(true);
        expanded(decoder)
    };
    once(begin).flatten().boxed()
}

/// Returns the window of a Zstandard body's first frame in bytes (RFC 8878, section 3.1.1.1), if the body begins with one.
fn window_bytes(start: &[u8]) -> Option<u64> {
    let frame = start.strip_prefix(b"\x28\xb5\x2f\xfd")?;
    let (descriptor, rest) = frame.split_first()?;
    let is_single_segment = descriptor & 0x20 != 0;
    if !is_single_segment {
        let window = rest.first()?;
        let base = 1_u64 << (10 + (window >> 3));
        return Some(base + (base / 8) * u64::from(window & 7));
    }
    // The window is as large as the content.
    let dictionary = [0, 1, 2, 4][usize::from(descriptor & 3)];
    let size = rest.get(dictionary..)?;
    let read = |length: usize| {
        let bytes = size.get(..length)?;
        Some(bytes.iter().rev().fold(0_u64, |number, byte| (number << 8) | u64::from(*byte)))
    };
    match descriptor >> 6 {
        0 => read(1),
        1 => Some(read(2)? + 256),
        2 => read(4),
        _ => read(8),
    }
}

/// Returns a reader for a decoder. The reader yields between pieces, so that the decoder hands on its output before it sees
/// an error in the next piece.
fn reader(body: impl Stream<Item = Result<Bytes, RecordStreamError>> + Send + 'static) -> CompressedReader {
    let yielding = unfold((body.fuse().boxed(), Bytes::new()), |(mut body, mut rest): (BoxStream<_>, _)| async move {
        tokio::task::yield_now().await;
        if rest.is_empty() {
            rest = match body.next().await? {
                Ok(piece) => piece,
                Err(reason) => return Some((Err(std::io::Error::other(reason)), (body, rest))),
            };
        }
        let piece: Bytes = rest.split_to(rest.len().min(COMPRESSED_BYTES));
        Some((Ok(piece), (body, rest)))
    });
    Box::pin(StreamReader::new(yielding.boxed()))
}

fn expanded(decoder: impl AsyncRead + Send + 'static) -> PacedStream {
    let pieces = ReaderStream::with_capacity(Box::pin(decoder), EXPANDED_BYTES);
    pieces.map(move |piece| piece.map_err(|error| reason(&error))).boxed()
}

/// Returns the reason for a decoder's error. An error that is not the body's own is the decoder's.
fn reason(error: &std::io::Error) -> RecordStreamError {
    if let Some(reason) = error.get_ref().and_then(|inner| inner.downcast_ref()) {
        return *reason;
    }
    // The library has no code for this error.
    if error.to_string().contains("too much memory") {
        return RecordStreamError::Window(None);
    }
    RecordStreamError::Compression
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows() {
        let frame = |rest: &[u8]| [b"\x28\xb5\x2f\xfd", rest].concat();
        for (start, window) in [
            (frame(b"\x04\x88"), Some(128 << 20)),
            (frame(b"\x04\x68"), Some(8 << 20)),
            (frame(b"\x00\x01"), Some(1_152)),
            (frame(b"\x24\x28"), Some(0x28)),
            (frame(b"\x64\x00\x01"), Some(512)),
            (frame(b"\xa0\x00\x00\x00\x10"), Some(256 << 20)),
            (frame(b"\xe1\x07\x00\x00\x00\x00\x01\x00\x00\x00"), Some(1 << 32)),
            (frame(b"\x04"), None),
            (frame(b""), None),
            (b"\x50\x2a\x4d\x18".to_vec(), None),
        ] {
            assert_eq!(window_bytes(&start), window, "{start:?}");
        }
    }
}
