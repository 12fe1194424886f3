//! Withdrawing an upload.

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::AsyncApp;
use crate::http::auth::authz::{Caller, CanMigrate};
use crate::http::problem::Problem;
use crate::http::request::extract::PathParams;
use crate::http::request::media::accepts_json;
use crate::ingest::UploadKind;
use sluice_audit::{Action, AuditScope};
use sluice_catalog::LogEntry;
use sluice_model::{Level, Name, message};
use sluice_pipeline::{WithdrawalRefusal, withdraw_upload};

/// Result of withdrawing an upload.
#[derive(Serialize, ToSchema)]
#[schema(as = Withdrawal)]
#[serde(rename_all = "camelCase")]
pub struct WithdrawalResponse {
    /// Number of the upload.
    upload: u32,
    /// Number of its records that were removed, with all outcomes.
    records: u64,
    /// Number of records that were made from them and were removed.
    made_records: u64,
}

fn refused(refusal: WithdrawalRefusal) -> Problem {
    match refusal {
        WithdrawalRefusal::Unknown => {
            Problem::not_found("NO_SUCH_UPLOAD", "The migration has no such upload. GET …/uploads lists them.")
        }
        WithdrawalRefusal::Remap => {
            let detail = "This upload mapped staged records again. Withdraw the upload that brought the records, or map \
                          them again with another mapper.";
            Problem::conflict("UPLOAD_IS_REMAP", detail)
        }
        WithdrawalRefusal::Confirmed(later) => {
            let detail = message!(
                "Upload {} contains records of this upload unchanged. They would go as well. Withdraw upload {} first.",
                later,
                later
            );
            Problem::conflict("UPLOAD_CONFIRMED", detail)
        }
    }
}

/// Withdraw an upload
///
/// Removes the records that the upload brought and that no later upload replaced, the records made from them, their
/// issues, and the upload's figures. Records that the upload replaced do not come back: upload them again. The audit
/// trail keeps the upload and its withdrawal. Idempotent.
#[utoipa::path(
    delete, path = "/migration-assistance/migrations/{id}/uploads/{number}", tag = "Load", operation_id = "withdrawUpload",
    params(
        ("id" = Uuid, Path, description = "Reference id of the migration."),
        ("number" = u32, Path, description = "Number of the upload in the migration."),
    ),
    responses(
        (status = 200, body = WithdrawalResponse),
        (status = 409, body = Problem, content_type = "application/problem+json", description = "An upload to the same source or a job is running, or a later upload contains records of this one unchanged."),
    ),
)]
pub async fn withdraw(
    State(app): State<AsyncApp>,
    caller: Caller<CanMigrate>,
    PathParams((id, number)): PathParams<(String, String)>,
    headers: HeaderMap,
) -> Result<Json<WithdrawalResponse>, Problem> {
    accepts_json(&headers)?;
    app.blocking(move |app| {
        let migration = caller.whole_migration(app, &id)?;
        let reference_id = migration.reference_id;
        let number: u32 = number.parse().map_err(|_| refused(WithdrawalRefusal::Unknown))?;
        let uploads = app.store.uploads(reference_id)?;
        let upload = uploads.iter().find(|upload| upload.number == number);
        let upload = upload.ok_or_else(|| refused(WithdrawalRefusal::Unknown))?;
        let kind = upload.mapper.map_or(UploadKind::Records, |mapper| UploadKind::Source { mapper });
        let stream = Name::from_storage(&upload.stream);
        let _guard = app.jobs.begin_upload(reference_id, &kind.stream(&stream))?;
        // Another upload could have ended before the stream was reserved.
        let uploads = app.store.uploads(reference_id)?;
        let context = app.migration_context(migration)?;
        let withdrawn = withdraw_upload(&context, &uploads, number)?.map_err(refused)?;
        let entry = caller.entry(Action::UploadWithdrawn).upload(number).stream(&stream);
        let entry = entry.figure("records", withdrawn.records).figure("madeRecords", withdrawn.made);
        app.audit(AuditScope::Migration(reference_id), entry)?;
        let entry = LogEntry::new(Level::Info, "UPLOAD_WITHDRAWN")
            .with("upload", u64::from(number))
            .with("stream", stream)
            .with("records", withdrawn.records);
        app.store.log(reference_id, &entry)?;
        Ok(Json(WithdrawalResponse { upload: number, records: withdrawn.records, made_records: withdrawn.made }))
    })
    .await
}
