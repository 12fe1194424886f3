//! Sends staged records as a streamed response.

use std::sync::Arc;

use crate::app::App;
use crate::http::auth::authz::Caller;
use crate::http::streamed::ResponsePieces;
use sluice_framing::JsonFormat;
use sluice_model::Grant;
use sluice_staging::{StagedBatch, StagedEntry, StagingArea, StagingError, StreamName};

/// Number of records that are read at once.
pub(super) const STREAM_RECORDS: usize = 1_000;

/// Number of bytes that are read at once.
pub(super) const STREAM_BYTES: usize = 256 * 1024;

/// Returns a check that the caller's client was not revoked meanwhile. The end of its token does not end a long response.
pub fn client_still_valid<N>(app: Arc<App>, caller: &Caller<N>) -> impl Fn() -> bool + Send + 'static + use<N> {
    let grant = Grant { until: None, ..caller.grant().clone() };
    move || matches!(app.access.still_holds(&grant, jiff::Timestamp::now()), Ok(true))
}

/// Sends the wanted records of a stream unchanged and in their order.
pub fn send_records(
    area: &StagingArea,
    stream: StreamName,
    wanted: &dyn Fn(&StagedEntry) -> bool,
    format: JsonFormat,
    still_valid: &dyn Fn() -> bool,
    pieces: &ResponsePieces,
) -> Result<(), StagingError> {
    let mut batch = StagedBatch::default();
    let mut reader = area.reader(stream, 0)?;
    while reader.next_batch(&mut batch, STREAM_RECORDS, STREAM_BYTES)? {
        // A client that is revoked reads no more records.
        if !still_valid() {
            pieces.abort("the client was revoked");
            break;
        }
        let mut piece = Vec::with_capacity(batch.bytes.len() + batch.len() * 2);
        for (position, entry) in batch.entries.iter().enumerate() {
            if !wanted(entry) {
                continue;
            }
            let start = piece.len();
            if format == JsonFormat::JsonSeq {
                piece.push(0x1e);
            }
            piece.extend_from_slice(batch.body(position));
            if format == JsonFormat::JsonLines {
                // A record from a JSON sequence may have line breaks between its tokens, but not inside them.
                let ends = piece[start..].iter_mut().filter(|byte| matches!(**byte, b'\n' | b'\r'));
                ends.for_each(|byte| *byte = b' ');
            }
            piece.push(b'\n');
        }
        if !piece.is_empty() && !pieces.send(piece) {
            break;
        }
    }
    Ok(())
}
