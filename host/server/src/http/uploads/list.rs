//! Listing the uploads of a migration.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::AsyncApp;
use crate::http::auth::authz::{Caller, CanAudit};
use crate::http::paging::ListResponse;
use crate::http::problem::Problem;
use crate::http::request::extract::PathParams;
use crate::http::request::media::accepts_json;
use sluice_catalog::CatalogUpload;
use sluice_model::{Digest, Name};

/// An upload with its figures.
#[derive(Serialize, ToSchema)]
#[schema(as = MigrationUpload)]
#[serde(rename_all = "camelCase")]
pub struct MigrationUploadResponse {
    /// Number of the upload in the migration.
    number: u32,
    /// Source or entity type.
    #[schema(value_type = String, example = "client")]
    stream: Name,
    /// True if staged records were mapped again, and nothing was sent.
    remap: bool,
    /// Digest of the mapper. Absent if the records came in the platform's own shape.
    #[schema(value_type = Option<String>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    mapper: Option<Digest>,
    #[schema(format = DateTime)]
    started_at: String,
    #[schema(format = DateTime)]
    #[serde(skip_serializing_if = "Option::is_none")]
    ended_at: Option<String>,
    /// Time of the withdrawal, if the upload was withdrawn. Then it has no figures.
    #[schema(format = DateTime)]
    #[serde(skip_serializing_if = "Option::is_none")]
    withdrawn_at: Option<String>,
    /// Code of the error that ended the upload early.
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    figures: Option<UploadFiguresResponse>,
}

/// Figures of an upload.
#[derive(Serialize, ToSchema)]
#[schema(as = UploadFigures)]
#[serde(rename_all = "camelCase")]
struct UploadFiguresResponse {
    bytes: u64,
    /// SHA-256 of the received bytes.
    #[schema(value_type = String)]
    sha256: Digest,
    records: u64,
    accepted: u64,
    /// Skipped records by code.
    skipped: BTreeMap<String, u64>,
    rejected: u64,
    quarantined: u64,
    /// True if the body stopped before its end.
    broken_off: bool,
}

fn upload_response(upload: CatalogUpload) -> MigrationUploadResponse {
    let CatalogUpload { number, stream, remap, mapper, started_at, ended, withdrawn_at, .. } = upload;
    let (ended_at, end) = ended.unzip();
    let (figures, failure) = match end {
        Some(Ok(end)) => {
            let figures = UploadFiguresResponse {
                bytes: end.bytes,
                sha256: end.body,
                records: end.records,
                accepted: end.accepted,
                skipped: end.skipped,
                rejected: end.rejected,
                quarantined: end.quarantined,
                broken_off: end.broken_off,
            };
            (Some(figures).filter(|_| withdrawn_at.is_none()), None)
        }
        Some(Err(failure)) => (None, Some(failure)),
        None => (None, None),
    };
    let stream = Name::from_storage(&stream);
    MigrationUploadResponse { number, stream, remap, mapper, started_at, ended_at, withdrawn_at, failure, figures }
}

/// List the uploads of a migration
///
/// Returns plain and resumable uploads, and the runs that mapped staged records again, the oldest first.
#[utoipa::path(
    get, path = "/migration-assistance/migrations/{id}/uploads", tag = "Load", operation_id = "listUploads",
    params(("id" = Uuid, Path, description = "Reference id of the migration.")),
    responses((status = 200, body = ListResponse<MigrationUploadResponse>)),
)]
pub async fn list(
    State(app): State<AsyncApp>,
    caller: Caller<CanAudit>,
    PathParams(id): PathParams<String>,
    headers: HeaderMap,
) -> Result<Json<ListResponse<MigrationUploadResponse>>, Problem> {
    accepts_json(&headers)?;
    app.blocking(move |app| {
        let migration = caller.whole_migration(app, &id)?;
        let uploads = app.store.uploads(migration.reference_id)?;
        Ok(ListResponse::new(uploads.into_iter().map(upload_response).collect()))
    })
    .await
}
