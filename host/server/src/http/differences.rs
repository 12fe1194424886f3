//! What a comparison of two mappers found, record by record.

use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;

use super::caller::{Caller, Read};
use super::extract::Path;
use super::jobs::find;
use super::media::{answer_format, media_type};
use super::problem::Problem;
use super::staged::still_let_in;
use super::streamed::{Pieces, streamed};
use crate::app::App;
use sluice_framing::Format;
use sluice_model::{JobKind, JobState};
use sluice_pipeline::differences;
use sluice_staging::{Lines, StagingError};

/// Bytes in a piece of the answer, about.
const PIECE_BYTES: usize = 64 * 1024;

/// Read the records that a comparison found to differ
///
/// An object for each: `entityType`, `referenceId`, `change` (`added`, `removed` or `changed`), and the record as both
/// mappers make it, `from` and `to`. They are kept until the next comparison, and so long as is configured.
#[utoipa::path(
    get, path = "/migration-assistance/migrations/{id}/jobs/{job}/differences", tag = "Jobs",
    operation_id = "streamDifferences",
    params(("id" = Uuid, Path, description = "The migration's reference id."), ("job" = Uuid, Path, description = "The id of a compare job.")),
    responses(
        (status = 200, description = "The differences.", content((String = "application/jsonl"), (String = "application/json-seq"))),
        (status = 409, body = Problem, content_type = "application/problem+json", description = "The job is no comparison that has succeeded, or its differences are kept no longer."),
    ),
)]
pub async fn stream(
    State(app): State<Arc<App>>,
    caller: Caller<Read>,
    Path((id, job)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let answer = answer_format(&headers)?;
    let (opening, let_in) = (app.clone(), still_let_in(app, &caller));
    let opened = tokio::task::spawn_blocking(move || {
        let migration = caller.whole(&opening, &id)?;
        let job = find(&opening, &migration, &job)?;
        if (job.kind, job.state) != (JobKind::Compare, JobState::Succeeded) {
            let detail = "The job is not a comparison that has succeeded. Start one with PUT …/jobs/compare.";
            return Err(Problem::conflict("NO_COMPARISON", detail));
        }
        differences(&opening.desk(migration)?, job.id)?.ok_or_else(|| {
            let detail = "The differences are kept no longer. Compare again with PUT …/jobs/compare.";
            Problem::conflict("DIFFERENCES_GONE", detail)
        })
    });
    let mut lines = opened.await??;
    Ok(streamed(media_type(answer), "STAGING_FAILED", move |pieces| send(&mut lines, answer, &let_in, pieces)))
}

fn send(lines: &mut Lines, format: Format, let_in: &dyn Fn() -> bool, pieces: &Pieces) -> Result<(), StagingError> {
    let mut piece = vec![];
    loop {
        let line = lines.next_line()?;
        if let Some(line) = &line {
            if format == Format::JsonSeq {
                piece.push(0x1e);
            }
            // Ends of lines stand between tokens, if a mapper writes any.
            piece.extend(line.iter().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { *byte }));
            piece.push(b'\n');
        }
        if piece.len() >= PIECE_BYTES || (line.is_none() && !piece.is_empty()) {
            if !let_in() {
                pieces.break_off("the client is let in no longer");
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
