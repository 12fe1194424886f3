//! Deleting a resumable upload (tus `DELETE`).

use axum::extract::State;
use axum::http::StatusCode;

use super::upload::find;
use crate::app::{AsyncApp, UploadStage};
use crate::http::auth::authz::{Caller, CanMigrate};
use crate::http::problem::Problem;
use crate::http::request::extract::PathParams;
use sluice_audit::{Action, AuditScope};

/// Delete an upload
///
/// Removes its bytes. Of an upload that has ended, it removes the description and the results; staged records stay.
#[utoipa::path(
    delete, path = "/migration-assistance/migrations/{id}/sources/{source}/uploads/{upload}", tag = "Load", operation_id = "giveUploadUp",
    params(
        ("id" = Uuid, Path, description = "Reference id of the migration."),
        ("source" = String, Path, description = "Source of the upload."),
        ("upload" = Uuid, Path, description = "Id of the upload."),
        ("Tus-Resumable" = String, Header, description = "`1.0.0`."),
    ),
    responses(
        (status = 204, description = "The upload is removed."),
        (status = 409, body = Problem, content_type = "application/problem+json", description = "The server is working on the upload's records."),
        (status = 412, body = Problem, content_type = "application/problem+json", description = "The request names another version of tus."),
        (status = 423, body = Problem, content_type = "application/problem+json", description = "Another request is writing to the upload and does not stop."),
    ),
)]
pub async fn delete(
    State(app): State<AsyncApp>,
    caller: Caller<CanMigrate>,
    PathParams(path): PathParams<(String, String, String)>,
) -> Result<StatusCode, Problem> {
    let entry = caller.entry(Action::UploadGivenUp);
    let upload = find(&app, caller, path).await?;
    let (mut lease, _request) = upload.lease(&app).await?;
    if *upload.slot.stage.borrow() == UploadStage::Running {
        return Err(Problem::conflict(
            "UPLOAD_RUNNING",
            "The server is working on the upload's records. Wait for it to end.",
        ));
    }
    app.blocking(move |app| {
        let migration = upload.migration.reference_id;
        let entry = entry.figure("bytes", upload.offset(&lease));
        // Nothing is removed without an audit entry.
        app.audit(AuditScope::Migration(migration), entry)?;
        drop(lease.file.take());
        upload.area.remove_resumable_upload(upload.id)?;
        app.uploads.forget(migration, upload.id);
        Ok(StatusCode::NO_CONTENT)
    })
    .await
}
