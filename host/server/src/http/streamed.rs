//! Streamed responses: a thread makes the pieces as fast as the client reads them.

use std::panic::{AssertUnwindSafe, catch_unwind};

use axum::body::Body;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::request::media::media_type;
use crate::app::spawn_blocking;
use sluice_framing::JsonFormat;
use sluice_staging::SpoolReader;

/// Pieces that wait for the client to read them.
const WAITING_PIECES: usize = 2;

/// Sender of a response's pieces.
pub struct ResponsePieces(mpsc::Sender<Result<Vec<u8>, std::io::Error>>);

impl ResponsePieces {
    /// Sends a piece. Returns false if the client has gone away.
    pub fn send(&self, piece: Vec<u8>) -> bool {
        self.0.blocking_send(Ok(piece)).is_ok()
    }

    /// Ends the response with an error, so that the client sees that it is incomplete.
    pub fn abort(&self, reason: &'static str) {
        let _ = self.0.blocking_send(Err(std::io::Error::other(reason)));
    }
}

/// Returns a response with the pieces that `make` sends. If `make` fails, logs the error with this code and aborts the
/// response.
pub fn streamed<E: std::error::Error>(
    content_type: &'static str,
    code: &'static str,
    make: impl FnOnce(&ResponsePieces) -> Result<(), E> + Send + 'static,
) -> Response {
    let (send, receive) = mpsc::channel(WAITING_PIECES);
    spawn_blocking(move || {
        let pieces = ResponsePieces(send);
        match catch_unwind(AssertUnwindSafe(|| make(&pieces))) {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::error!(code, %error, "a streamed response failed");
                pieces.abort("the response cannot be read");
            }
            Err(_) => {
                tracing::error!(code = "HOST_PANICKED", "a streamed response failed");
                pieces.abort("the response cannot be read");
            }
        }
    });
    ([(header::CONTENT_TYPE, content_type)], Body::from_stream(ReceiverStream::new(receive))).into_response()
}

/// Returns a response with an upload's results.
pub fn streamed_results(answer: JsonFormat, reader: SpoolReader) -> Response {
    let pieces = futures_util::stream::unfold(reader, |mut reader| async move {
        match reader.next().await {
            Ok(Some(bytes)) => Some((Ok(bytes), reader)),
            Ok(None) => None,
            Err(error) => Some((Err(std::io::Error::other(error)), reader)),
        }
    });
    ([(header::CONTENT_TYPE, media_type(answer))], Body::from_stream(pieces)).into_response()
}
