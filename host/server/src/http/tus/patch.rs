//! Receiving a part of a resumable upload (tus `PATCH`).

use std::sync::atomic::Ordering;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt as _;
use tokio::sync::mpsc;

use super::headers::{UPLOAD_EXPIRES, UPLOAD_OFFSET, checksum, http_date, mismatch, offset};
use super::resume_pending;
use super::upload::{UploadResource, find};
use crate::app::{AsyncApp, LeaseRequest, UploadLease, UploadSlot};
use crate::http::auth::authz::{Caller, CanMigrate};
use crate::http::problem::Problem;
use crate::http::request::extract::PathParams;
use crate::ingest::{PacedStream, paced};
use sluice_pipeline::RecordStreamError;
use sluice_pipeline::jobs::StartError;
use sluice_staging::{MAX_CHUNK_BYTES, SealedFile, StagingError};
use sluice_tus::Checksum;

/// Pieces of a body that wait to be written.
const WAITING_PIECES: usize = 8;

/// Bytes after which the server makes the received bytes durable while it receives more: the maximum loss in a power
/// failure.
const SYNC_BYTES: u64 = 16 << 20;

enum PartMessage {
    Piece(Bytes),
    /// The body is complete.
    End,
}

/// Completeness of a written part.
#[derive(Clone, Copy, PartialEq, Eq)]
enum PartCompleteness {
    Complete,
    /// The part does not match its checksum.
    ChecksumMismatch,
    /// The part is longer than the rest of the upload.
    TooLong,
    /// The body ended early.
    Incomplete,
}

/// Reason why the server reads no more of the body.
enum ReceiveEnd {
    /// The body is complete, or its bytes can no longer be written.
    Body,
    /// Another request asks for the upload.
    Superseded,
    /// The server stops.
    Stopping,
    /// The body ended early.
    BrokenOff(RecordStreamError),
}

/// Send a part of an upload
///
/// The part begins at the offset that `HEAD` returns. If the connection breaks, the server keeps the received bytes. A part
/// with `Upload-Checksum` is kept completely or not at all. The server works on the upload when its last byte is on disk.
#[utoipa::path(
    patch, path = "/migration-assistance/migrations/{id}/sources/{source}/uploads/{upload}", tag = "Load", operation_id = "sendPart",
    params(
        ("id" = Uuid, Path, description = "Reference id of the migration."),
        ("source" = String, Path, description = "Source of the upload."),
        ("upload" = Uuid, Path, description = "Id of the upload."),
        ("Tus-Resumable" = String, Header, description = "`1.0.0`."),
        ("Upload-Offset" = u64, Header, description = "Offset of the part: the number of bytes that the upload has."),
        ("Upload-Checksum" = Option<String>, Header, description = "`sha1` or `sha256`, a space, and the part's checksum in base64."),
    ),
    request_body(content = Vec<u8>, content_type = "application/offset+octet-stream", description = "Bytes of the upload."),
    responses(
        (status = 204, description = "The bytes are on disk. `Upload-Offset` is the offset of the next part."),
        (status = 409, body = Problem, content_type = "application/problem+json", description = "The part does not begin where the upload ends. Read the offset with `HEAD`."),
        (status = 412, body = Problem, content_type = "application/problem+json", description = "The request names another version of tus."),
        (status = 415, body = Problem, content_type = "application/problem+json"),
        (status = 423, body = Problem, content_type = "application/problem+json", description = "Another request is writing to the upload."),
        (status = 460, body = Problem, content_type = "application/problem+json", description = "The part does not match its checksum."),
    ),
)]
pub async fn patch(
    State(app): State<AsyncApp>,
    caller: Caller<CanMigrate>,
    PathParams(path): PathParams<(String, String, String)>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let begins = offset(&headers)?;
    let checksum = checksum(&headers)?;
    let upload = find(&app, caller, path).await?;
    let (lease, request) = upload.lease(&app).await?;
    let have = upload.offset(&lease);
    if begins != have {
        let detail =
            "The part does not begin where the upload ends. Read the offset with HEAD, and continue from there.";
        return Err(Problem::conflict("OFFSET_MISMATCH", detail).with(UPLOAD_OFFSET, have.to_string()));
    }
    let room = upload.description.length - have;
    let declared = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if declared.is_some_and(|declared| declared > room) {
        return Err(too_long());
    }
    if lease.file.is_none() {
        return written(&app, upload, have).await;
    }
    let (send, receive) = mpsc::channel(WAITING_PIECES);
    let slot = upload.slot.clone();
    // The writer keeps the lease to its end, even if this request is dropped.
    let writing = app.spawn_blocking(move |_| write(lease, &slot, receive, checksum, room));
    let end = receive_body(&app, paced(body, &app.config().upload), request, send).await;
    let (completeness, have) = writing.await??;
    if have == upload.description.length {
        resume_pending::start(&app, upload.migration.reference_id, upload.id);
    }
    match (completeness, end) {
        (PartCompleteness::Complete, _) => written(&app, upload, have).await,
        (PartCompleteness::ChecksumMismatch, _) => Err(mismatch()),
        (PartCompleteness::TooLong, _) => Err(too_long()),
        (PartCompleteness::Incomplete, ReceiveEnd::Stopping) => Err(StartError::Stopping.into()),
        (PartCompleteness::Incomplete, ReceiveEnd::BrokenOff(reason)) => Err(reason.into()),
        (PartCompleteness::Incomplete, ReceiveEnd::Superseded | ReceiveEnd::Body) => {
            let detail =
                "Another request for this upload took its place. Read the offset with HEAD, and continue from there.";
            Err(Problem::new(StatusCode::LOCKED, "UPLOAD_LOCKED", detail))
        }
    }
}

/// Sends the pieces of a body to the writer, until the body ends, another request takes over, or the server stops.
async fn receive_body(
    app: &AsyncApp,
    mut pieces: PacedStream,
    mut request: LeaseRequest,
    send: mpsc::Sender<PartMessage>,
) -> ReceiveEnd {
    let mut stopping = std::pin::pin!(app.jobs().stopping());
    loop {
        let piece = tokio::select! {
            piece = pieces.next() => piece,
            () = request.superseded() => return ReceiveEnd::Superseded,
            () = &mut stopping => return ReceiveEnd::Stopping,
        };
        let message = match piece {
            Some(Ok(piece)) => PartMessage::Piece(piece),
            Some(Err(reason)) => return ReceiveEnd::BrokenOff(reason),
            None => PartMessage::End,
        };
        let ends = matches!(message, PartMessage::End);
        // The writer stops early if it fails. Its error is returned to the client.
        if send.send(message).await.is_err() || ends {
            return ReceiveEnd::Body;
        }
    }
}

async fn written(app: &AsyncApp, upload: UploadResource, offset: u64) -> Result<Response, Problem> {
    app.blocking(move |_| {
        let expires = http_date(upload.expires_at()?);
        Ok((StatusCode::NO_CONTENT, [(UPLOAD_OFFSET, offset.to_string()), (UPLOAD_EXPIRES, expires)]).into_response())
    })
    .await
}

fn too_long() -> Problem {
    let detail = "The part is longer than the rest of the upload by its Upload-Length, and was discarded.";
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "UPLOAD_TOO_LONG", detail)
}

/// Writes a part. Returns its completeness, and the number of bytes that the upload has on disk.
fn write(
    mut lease: UploadLease,
    slot: &UploadSlot,
    mut receive: mpsc::Receiver<PartMessage>,
    checksum: Option<Checksum>,
    room: u64,
) -> Result<(PartCompleteness, u64), StagingError> {
    let Some(file) = lease.file.as_mut() else { return Err(StagingError::Erased) };
    let (begun, unsure) = (file.position(), checksum.is_some());
    let written = append_part(file, &mut receive, checksum, room);
    match written {
        Ok(PartCompleteness::ChecksumMismatch | PartCompleteness::TooLong) => file.roll_back(begun),
        Ok(PartCompleteness::Incomplete) if unsure => file.roll_back(begun),
        // A piece that was written in part is removed.
        Err(_) => file.roll_back(if unsure { begun } else { file.position() }),
        Ok(PartCompleteness::Complete | PartCompleteness::Incomplete) => {}
    }
    file.sync()?;
    slot.durable.store(file.len(), Ordering::Relaxed);
    Ok((written?, file.len()))
}

fn append_part(
    file: &mut SealedFile,
    receive: &mut mpsc::Receiver<PartMessage>,
    mut checksum: Option<Checksum>,
    mut room: u64,
) -> Result<PartCompleteness, StagingError> {
    let (unsure, mut waiting, mut unsynced) = (checksum.is_some(), Vec::with_capacity(MAX_CHUNK_BYTES), 0);
    let append = |file: &mut SealedFile, bytes: &mut Vec<u8>| {
        let appended = if unsure { file.append_provisional(bytes) } else { file.append(bytes) };
        bytes.clear();
        appended
    };
    loop {
        let piece = match receive.blocking_recv() {
            Some(PartMessage::Piece(piece)) => piece,
            ended => {
                append(file, &mut waiting)?;
                if ended.is_none() {
                    return Ok(PartCompleteness::Incomplete);
                }
                return match checksum.map(Checksum::fits) {
                    Some(false) => Ok(PartCompleteness::ChecksumMismatch),
                    Some(true) => file.confirm().map(|()| PartCompleteness::Complete),
                    None => Ok(PartCompleteness::Complete),
                };
            }
        };
        let Some(left) = room.checked_sub(piece.len() as u64) else { return Ok(PartCompleteness::TooLong) };
        room = left;
        if let Some(checksum) = &mut checksum {
            checksum.add(&piece);
        }
        unsynced += piece.len() as u64;
        for part in piece.chunks(MAX_CHUNK_BYTES) {
            if waiting.len() + part.len() > MAX_CHUNK_BYTES {
                append(file, &mut waiting)?;
            }
            waiting.extend_from_slice(part);
        }
        if unsynced >= SYNC_BYTES {
            append(file, &mut waiting)?;
            file.sync()?;
            unsynced = 0;
        }
    }
}
