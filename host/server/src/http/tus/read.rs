//! Reading the offset (tus `HEAD`) and the state of a resumable upload.

use std::sync::atomic::Ordering;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::headers::{UPLOAD_EXPIRES, UPLOAD_LENGTH, UPLOAD_METADATA, UPLOAD_OFFSET, http_date};
use super::upload::{UploadResource, UploadResponse, find, no_upload};
use crate::app::{AsyncApp, UploadStage};
use crate::http::auth::authz::{Caller, CanMigrate, CanRead};
use crate::http::prefer::wait;
use crate::http::problem::Problem;
use crate::http::request::extract::PathParams;
use crate::http::request::media::accepts_json;

/// Read the offset of an upload
///
/// `Upload-Offset` is the number of bytes on disk. `HEAD` cancels an earlier request that is still sending to the upload.
#[utoipa::path(
    head, path = "/migration-assistance/migrations/{id}/sources/{source}/uploads/{upload}", tag = "Load", operation_id = "askForOffset",
    params(
        ("id" = Uuid, Path, description = "Reference id of the migration."),
        ("source" = String, Path, description = "Source of the upload."),
        ("upload" = Uuid, Path, description = "Id of the upload."),
        ("Tus-Resumable" = String, Header, description = "`1.0.0`."),
    ),
    responses((status = 200, description = "The header fields `Upload-Offset`, `Upload-Length`, `Upload-Metadata` and `Upload-Expires`.")),
)]
pub async fn offset(
    State(app): State<AsyncApp>,
    caller: Caller<CanMigrate>,
    PathParams(path): PathParams<(String, String, String)>,
) -> Result<Response, Problem> {
    let upload = find(&app, caller, path).await?;
    let (lease, _request) = upload.lease(&app).await?;
    app.blocking(move |_| {
        let fields = [
            (UPLOAD_OFFSET, upload.offset(&lease).to_string()),
            (UPLOAD_LENGTH, upload.description.length.to_string()),
            (UPLOAD_EXPIRES, http_date(upload.expires_at()?)),
            (header::CACHE_CONTROL, "no-store".into()),
        ];
        let mut response = (StatusCode::OK, fields).into_response();
        let metadata = &upload.description.metadata;
        if let (false, Ok(metadata)) = (metadata.is_empty(), metadata.parse()) {
            response.headers_mut().insert(UPLOAD_METADATA, metadata);
        }
        Ok(response)
    })
    .await
}

/// Read an upload
///
/// Returns its state and the numbers of its records. With `Prefer: wait=N` the server answers as soon as the upload has
/// ended.
#[utoipa::path(
    get, path = "/migration-assistance/migrations/{id}/sources/{source}/uploads/{upload}", tag = "Load", operation_id = "readUpload",
    params(
        ("id" = Uuid, Path, description = "Reference id of the migration."),
        ("source" = String, Path, description = "Source of the upload."),
        ("upload" = Uuid, Path, description = "Id of the upload."),
        ("Prefer" = Option<String>, Header, description = "`wait=N`: maximum wait for the end of the upload, in seconds, up to 60."),
    ),
    responses((status = 200, body = UploadResponse)),
)]
pub async fn read(
    State(app): State<AsyncApp>,
    caller: Caller<CanRead>,
    PathParams(path): PathParams<(String, String, String)>,
    headers: HeaderMap,
) -> Result<axum::Json<UploadResponse>, Problem> {
    accepts_json(&headers)?;
    let upload = find(&app, caller, path).await?;
    if *upload.slot.stage.borrow() != UploadStage::Ended {
        let mut stage = upload.slot.stage.subscribe();
        let ended = stage.wait_for(|stage| *stage == UploadStage::Ended);
        let _ = tokio::time::timeout(wait(&headers), ended).await;
    }
    let upload =
        app.blocking(move |app| UploadResource::open(app, upload.migration, upload.id)?.ok_or_else(no_upload)).await?;
    // Reading does not cancel a request that sends. Its bytes show once they are on disk.
    let free = upload.slot.try_lease().is_some();
    let lease = if free { Some(upload.lease(&app).await?.0) } else { None };
    app.blocking(move |_| {
        let durable = || upload.slot.durable.load(Ordering::Relaxed);
        let offset = lease.as_ref().map_or_else(durable, |lease| upload.offset(lease));
        Ok(axum::Json(upload.response(offset)?))
    })
    .await
}
