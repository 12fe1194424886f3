//! The parts of an upload that resumes (tus 1.0), on their way to the disk; and its results in the end.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt as _;
use tokio::sync::mpsc;

use super::caller::{Caller, Migrate, Read};
use super::extract::Path;
use super::media::{answer_format, media_type};
use super::pieces::{broken_off, paced};
use super::problem::Problem;
use super::resumable::{Found, find};
use super::resumed;
use super::streamed::streamed;
use super::tus::{UPLOAD_EXPIRES, UPLOAD_OFFSET, checksum, http_date, mismatch, offset};
use crate::app::{App, Held, Slot};
use sluice_framing::Format;
use sluice_pipeline::BrokenOff;
use sluice_pipeline::jobs::StartError;
use sluice_staging::{PIECE_BYTES, PieceFile, StagingError};
use sluice_tus::Checksum;

/// Pieces of a body that may wait to be written.
const WAITING_PIECES: usize = 8;

/// Bytes after which what has come is made durable, while more comes: what a power cut costs at most.
const SYNC_BYTES: u64 = 16 << 20;

enum Message {
    Piece(Bytes),
    /// The body came to its end.
    End,
}

/// How a part came.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Came {
    Whole,
    /// It is not what its checksum says.
    Other,
    /// It is longer than what was missing.
    TooLong,
    BrokenOff,
}

/// Why nobody sends on.
enum Left {
    AtEnd,
    /// Somebody else wants to write, or to know how far it is.
    ForAnother,
    Stopping,
    BrokenOff(BrokenOff),
}

/// Send a part of an upload
///
/// From the offset that `HEAD` tells, as far as it comes: what has come is kept where the connection breaks off. A part
/// with `Upload-Checksum` is kept as a whole or not at all. When the last byte is on disk the upload is worked on.
#[utoipa::path(
    patch, path = "/migration-assistance/migrations/{id}/sources/{source}/uploads/{upload}", tag = "Load", operation_id = "sendPart",
    params(
        ("id" = Uuid, Path, description = "The migration's reference id."),
        ("source" = String, Path, description = "The upload's source."),
        ("upload" = Uuid, Path, description = "The upload's id."),
        ("Tus-Resumable" = String, Header, description = "`1.0.0`."),
        ("Upload-Offset" = u64, Header, description = "Where the part begins: what the upload has already."),
        ("Upload-Checksum" = Option<String>, Header, description = "`sha1` or `sha256`, a blank, and the part's checksum in base64."),
    ),
    request_body(content = Vec<u8>, content_type = "application/offset+octet-stream", description = "Bytes of the upload."),
    responses(
        (status = 204, description = "They are on disk; `Upload-Offset` is where the next part begins."),
        (status = 409, body = Problem, content_type = "application/problem+json", description = "The part begins elsewhere than the upload ends: ask with `HEAD`."),
        (status = 412, body = Problem, content_type = "application/problem+json", description = "Another version of tus."),
        (status = 415, body = Problem, content_type = "application/problem+json"),
        (status = 423, body = Problem, content_type = "application/problem+json", description = "Another request is writing to the upload."),
        (status = 460, body = Problem, content_type = "application/problem+json", description = "The part is not what its checksum says."),
    ),
)]
pub async fn send(
    State(app): State<Arc<App>>,
    caller: Caller<Migrate>,
    Path((id, source, upload)): Path<(String, String, String)>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let begins = offset(&headers)?;
    let checksum = checksum(&headers)?;
    let found = find(app.clone(), caller, id, source, upload).await?;
    let (held, mut wanted) = found.hold().await?;
    let have = held.file.as_ref().map_or(found.about.length, PieceFile::len);
    if begins != have {
        let detail =
            "The part does not begin where the upload ends. Ask with HEAD how far it has come, and go on from there.";
        return Err(Problem::conflict("OFFSET_MISMATCH", detail).with(UPLOAD_OFFSET, have.to_string()));
    }
    let room = found.about.length - have;
    let declared = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if declared.is_some_and(|declared| declared > room) {
        return Err(too_long());
    }
    if held.file.is_none() {
        return Ok(at(&found, have)?.into_response());
    }
    let (send, receive) = mpsc::channel(WAITING_PIECES);
    let slot = found.slot.clone();
    // Whoever holds it is there to the end, also where this request is dropped.
    let writing = tokio::task::spawn_blocking(move || write(held, &slot, receive, checksum, room));
    let mut pieces = paced(body, &app.config.upload);
    let mut stopping = std::pin::pin!(app.jobs.stopping());
    let left = loop {
        let piece = tokio::select! {
            piece = pieces.next() => piece,
            () = wanted.by_another() => break Left::ForAnother,
            () = &mut stopping => break Left::Stopping,
        };
        let message = match piece {
            Some(Ok(piece)) => Message::Piece(piece),
            Some(Err(reason)) => break Left::BrokenOff(reason),
            None => Message::End,
        };
        let ends = matches!(message, Message::End);
        // Nobody takes more where it cannot be written: that is told below.
        if send.send(message).await.is_err() || ends {
            break Left::AtEnd;
        }
    };
    drop(send);
    let (came, have) = writing.await??;
    if have == found.about.length {
        resumed::start(&app, found.migration.reference_id, found.id);
    }
    match (came, left) {
        (Came::Whole, _) => Ok(at(&found, have)?.into_response()),
        (Came::Other, _) => Err(mismatch()),
        (Came::TooLong, _) => Err(too_long()),
        (Came::BrokenOff, Left::Stopping) => Err(StartError::Stopping.into()),
        (Came::BrokenOff, Left::BrokenOff(reason)) => Err(broken_off(reason)),
        (Came::BrokenOff, Left::ForAnother | Left::AtEnd) => {
            let detail =
                "Another request for this upload came. Ask with HEAD how far it has come, and go on from there.";
            Err(Problem::new(StatusCode::LOCKED, "UPLOAD_LOCKED", detail))
        }
    }
}

fn at(found: &Found, offset: u64) -> Result<impl IntoResponse + use<>, Problem> {
    let expires = http_date(found.expires_at()?);
    Ok((StatusCode::NO_CONTENT, [(UPLOAD_OFFSET, offset.to_string()), (UPLOAD_EXPIRES, expires)]))
}

fn too_long() -> Problem {
    let detail = "The part is longer than what the upload lacks by its Upload-Length, and was dropped.";
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "UPLOAD_TOO_LONG", detail)
}

/// Writes a part: how it came, and how many bytes the upload has on disk now.
fn write(
    mut held: Held,
    slot: &Slot,
    mut receive: mpsc::Receiver<Message>,
    checksum: Option<Checksum>,
    room: u64,
) -> Result<(Came, u64), StagingError> {
    let Some(file) = held.file.as_mut() else { return Err(StagingError::Erased) };
    let (begun, unsure) = (file.mark(), checksum.is_some());
    let written = take(file, &mut receive, checksum, room);
    match written {
        Ok(Came::Other | Came::TooLong) => file.back_to(begun),
        Ok(Came::BrokenOff) if unsure => file.back_to(begun),
        // What is half written is no part of it.
        Err(_) => file.back_to(if unsure { begun } else { file.mark() }),
        Ok(Came::Whole | Came::BrokenOff) => {}
    }
    file.sync()?;
    slot.durable.store(file.len(), Ordering::Relaxed);
    Ok((written?, file.len()))
}

fn take(
    file: &mut PieceFile,
    receive: &mut mpsc::Receiver<Message>,
    mut checksum: Option<Checksum>,
    mut room: u64,
) -> Result<Came, StagingError> {
    let (unsure, mut waiting, mut since) = (checksum.is_some(), Vec::with_capacity(PIECE_BYTES), 0);
    let append = |file: &mut PieceFile, bytes: &mut Vec<u8>| {
        let appended = if unsure { file.append_unsure(bytes) } else { file.append(bytes) };
        bytes.clear();
        appended
    };
    loop {
        let piece = match receive.blocking_recv() {
            Some(Message::Piece(piece)) => piece,
            ended => {
                append(file, &mut waiting)?;
                if ended.is_none() {
                    return Ok(Came::BrokenOff);
                }
                return match checksum.map(Checksum::fits) {
                    Some(false) => Ok(Came::Other),
                    Some(true) => file.confirm().map(|()| Came::Whole),
                    None => Ok(Came::Whole),
                };
            }
        };
        let Some(left) = room.checked_sub(piece.len() as u64) else { return Ok(Came::TooLong) };
        room = left;
        if let Some(checksum) = &mut checksum {
            checksum.add(&piece);
        }
        since += piece.len() as u64;
        for part in piece.chunks(PIECE_BYTES) {
            if waiting.len() + part.len() > PIECE_BYTES {
                append(file, &mut waiting)?;
            }
            waiting.extend_from_slice(part);
        }
        if since >= SYNC_BYTES {
            append(file, &mut waiting)?;
            file.sync()?;
            since = 0;
        }
    }
}

/// Read an upload's results
///
/// A result for each record, in order, once the upload has ended.
#[utoipa::path(
    get, path = "/migration-assistance/migrations/{id}/sources/{source}/uploads/{upload}/results", tag = "Load", operation_id = "readResults",
    params(
        ("id" = Uuid, Path, description = "The migration's reference id."),
        ("source" = String, Path, description = "The upload's source."),
        ("upload" = Uuid, Path, description = "The upload's id."),
    ),
    responses(
        (status = 200, description = "A result for each record.", content((String = "application/jsonl"), (String = "application/json-seq"))),
        (status = 409, body = Problem, content_type = "application/problem+json", description = "The upload has not ended."),
    ),
)]
pub async fn results(
    State(app): State<Arc<App>>,
    caller: Caller<Read>,
    Path((id, source, upload)): Path<(String, String, String)>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let answer = answer_format(&headers)?;
    let found = find(app, caller, id, source, upload).await?;
    if found.about.ended.is_none() {
        let detail = "The upload has not ended. Wait for it: GET …/uploads/{upload} with Prefer: wait=60.";
        return Err(Problem::conflict("UPLOAD_NOT_ENDED", detail));
    }
    Ok(streamed(media_type(answer), "STAGING_FAILED", move |pieces| {
        let Some(mut results) = found.folder.results()? else { return Ok(()) };
        let mut at_start = true;
        while let Some(piece) = results.next_piece()? {
            let mut out = Vec::with_capacity(piece.len());
            for byte in piece {
                if std::mem::replace(&mut at_start, byte == b'\n') && answer == Format::JsonSeq {
                    out.push(0x1e);
                }
                out.push(byte);
            }
            if !pieces.send(out) {
                break;
            }
        }
        Ok::<_, StagingError>(())
    }))
}
