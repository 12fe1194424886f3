//! Reading the results of a resumable upload.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;

use super::upload::find;
use crate::app::AsyncApp;
use crate::http::auth::authz::{Caller, CanRead};
use crate::http::problem::Problem;
use crate::http::request::extract::PathParams;
use crate::http::request::media::{answer_format, media_type};
use crate::http::streamed::streamed;
use sluice_framing::JsonFormat;
use sluice_staging::StagingError;

/// Read an upload's results
///
/// Returns a result for each record, in order, once the upload has ended.
#[utoipa::path(
    get, path = "/migration-assistance/migrations/{id}/sources/{source}/uploads/{upload}/results", tag = "Load", operation_id = "readResults",
    params(
        ("id" = Uuid, Path, description = "Reference id of the migration."),
        ("source" = String, Path, description = "Source of the upload."),
        ("upload" = Uuid, Path, description = "Id of the upload."),
    ),
    responses(
        (status = 200, description = "A result for each record.", content((String = "application/jsonl"), (String = "application/json-seq"))),
        (status = 409, body = Problem, content_type = "application/problem+json", description = "The upload has not ended."),
    ),
)]
pub async fn read(
    State(app): State<AsyncApp>,
    caller: Caller<CanRead>,
    PathParams(path): PathParams<(String, String, String)>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let answer = answer_format(&headers)?;
    let upload = find(&app, caller, path).await?;
    if upload.description.ended.is_none() {
        let detail = "The upload has not ended. Wait for it with GET …/uploads/{upload} and Prefer: wait=60.";
        return Err(Problem::conflict("UPLOAD_NOT_ENDED", detail));
    }
    Ok(streamed(media_type(answer), "STAGING_FAILED", move |pieces| {
        let Some(mut results) = upload.folder.results()? else { return Ok(()) };
        let mut at_start = true;
        while let Some(piece) = results.next_chunk()? {
            let mut out = Vec::with_capacity(piece.len());
            for byte in piece {
                if std::mem::replace(&mut at_start, byte == b'\n') && answer == JsonFormat::JsonSeq {
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
