//! Reading the differences that a comparison of two mappers found.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;

use super::send_records::client_still_valid;
use crate::app::AsyncApp;
use crate::http::auth::authz::{Caller, CanRead};
use crate::http::jobs::response::find_job;
use crate::http::problem::Problem;
use crate::http::request::extract::PathParams;
use crate::http::request::media::{answer_format, media_type};
use crate::http::streamed::{ResponsePieces, streamed};
use sluice_framing::JsonFormat;
use sluice_model::{JobKind, JobState};
use sluice_pipeline::differences;
use sluice_staging::{SealedLines, StagingError};

/// Approximate number of bytes in a piece of the response.
const PIECE_BYTES: usize = 64 * 1024;

/// Read the records that a comparison found to differ
///
/// Returns an object for each: `entityType`, `referenceId`, `change` (`added`, `removed` or `changed`), and the record as each
/// mapper makes it, `from` and `to`. The differences are kept until the next comparison, but no longer than configured.
#[utoipa::path(
    get, path = "/migration-assistance/migrations/{id}/jobs/{job}/differences", tag = "Jobs",
    operation_id = "streamDifferences",
    params(("id" = Uuid, Path, description = "Reference id of the migration."), ("job" = Uuid, Path, description = "Id of a compare job.")),
    responses(
        (status = 200, description = "The differences.", content((String = "application/jsonl"), (String = "application/json-seq"))),
        (status = 409, body = Problem, content_type = "application/problem+json", description = "The job is not a successful comparison, or its differences were removed."),
    ),
)]
pub async fn stream(
    State(app): State<AsyncApp>,
    caller: Caller<CanRead>,
    PathParams((id, job)): PathParams<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let answer = answer_format(&headers)?;
    let opened = app.blocking(move |app| {
        let migration = caller.whole_migration(app, &id)?;
        let job = find_job(app, &migration, &job)?;
        let migration_id = migration.reference_id;
        if (job.kind, job.state) != (JobKind::Compare, JobState::Succeeded) {
            let detail = "The job is not a successful comparison. Start one with PUT …/jobs/compare.";
            return Err(Problem::conflict("NO_COMPARISON", detail));
        }
        let lines = differences(&app.migration_context(migration)?, job.id)?.ok_or_else(|| {
            let detail = "The differences were removed. Compare again with PUT …/jobs/compare.";
            Problem::conflict("DIFFERENCES_GONE", detail)
        })?;
        caller.note_reading(app, migration_id, "differences")?;
        Ok((lines, client_still_valid(app.clone(), &caller)))
    });
    let (mut lines, still_valid) = opened.await?;
    Ok(streamed(media_type(answer), "STAGING_FAILED", move |pieces| send(&mut lines, answer, &still_valid, pieces)))
}

fn send(
    lines: &mut SealedLines,
    format: JsonFormat,
    still_valid: &dyn Fn() -> bool,
    pieces: &ResponsePieces,
) -> Result<(), StagingError> {
    let mut piece = vec![];
    loop {
        let line = lines.next_line()?;
        if let Some(line) = &line {
            if format == JsonFormat::JsonSeq {
                piece.push(0x1e);
            }
            // A mapper may write line breaks between JSON tokens.
            piece.extend(line.iter().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { *byte }));
            piece.push(b'\n');
        }
        if piece.len() >= PIECE_BYTES || (line.is_none() && !piece.is_empty()) {
            if !still_valid() {
                pieces.abort("the client was revoked");
                return Ok(());
            }
            if !pieces.send(std::mem::take(&mut piece)) {
                return Ok(());
            }
        }
        if line.is_none() {
            return Ok(());
        }
    }
}
