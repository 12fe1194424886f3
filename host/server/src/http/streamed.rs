//! Answers that are made piece by piece on a thread of their own, as fast as the client reads.

use axum::body::Body;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

/// Pieces that are made ahead of what the client has read.
const AHEAD: usize = 2;

/// Where pieces go.
pub struct Pieces(mpsc::Sender<Result<Vec<u8>, std::io::Error>>);

impl Pieces {
    /// Hands on a piece; `false` if nobody reads any more, and there is no use in going on.
    pub fn send(&self, piece: Vec<u8>) -> bool {
        self.0.blocking_send(Ok(piece)).is_ok()
    }

    /// Ends the answer where the client sees that it is not whole.
    pub fn break_off(&self, why: &'static str) {
        let _ = self.0.blocking_send(Err(std::io::Error::other(why)));
    }
}

/// An answer whose pieces `make` makes. A failure is logged under this code, and breaks the answer off.
pub fn streamed<E: std::error::Error>(
    content_type: &'static str,
    code: &'static str,
    make: impl FnOnce(&Pieces) -> Result<(), E> + Send + 'static,
) -> Response {
    let (send, receive) = mpsc::channel(AHEAD);
    tokio::task::spawn_blocking(move || {
        let pieces = Pieces(send);
        if let Err(error) = make(&pieces) {
            tracing::error!(code, %error, "an answer broke off");
            pieces.break_off("what is to be answered could not be read");
        }
    });
    ([(header::CONTENT_TYPE, content_type)], Body::from_stream(ReceiverStream::new(receive))).into_response()
}
