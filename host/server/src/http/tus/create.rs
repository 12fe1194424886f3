//! Creating a resumable upload (tus `POST`), and the server's tus options.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;

use super::headers::{ALGORITHMS, EXTENSIONS, UPLOAD_EXPIRES, UploadCreation, VERSION, creation, form, http_date};
use super::upload::{UploadDescription, UploadResource, UploadResponse, read_description, retention};
use crate::app::{App, AsyncApp};
use crate::http::auth::authz::{Caller, CanMigrate};
use crate::http::idempotency::once;
use crate::http::problem::Problem;
use crate::http::request::extract::PathParams;
use crate::http::sources::described::described_source;
use sluice_audit::{Action, AuditScope};
use sluice_catalog::{PendingCreation, StoredResponse};
use sluice_contract::SourceTable;
use sluice_model::{Migration, message};
use sluice_staging::StagingArea;
use uuid::Uuid;

/// Read the tus options
#[utoipa::path(
    options, path = "/migration-assistance/migrations/{id}/sources/{source}/uploads", tag = "Load", operation_id = "askForTus",
    params(("id" = Uuid, Path, description = "Reference id of the migration."), ("source" = String, Path, description = "Source of the migration's mapper.")),
    responses((status = 204, description = "The header fields `Tus-Version`, `Tus-Extension`, `Tus-Max-Size` and `Tus-Checksum-Algorithm`.")),
)]
pub async fn options(
    State(app): State<AsyncApp>,
    caller: Caller<CanMigrate>,
    PathParams((id, _source)): PathParams<(String, String)>,
) -> Result<Response, Problem> {
    app.blocking(move |app| caller.whole_migration(app, &id).map(drop)).await?;
    let fields = [
        ("tus-version", VERSION.to_str().unwrap_or_default().to_owned()),
        ("tus-extension", EXTENSIONS.to_owned()),
        ("tus-max-size", app.config().upload.max_bytes.to_string()),
        ("tus-checksum-algorithm", ALGORITHMS.to_owned()),
    ];
    Ok((StatusCode::NO_CONTENT, fields).into_response())
}

/// Create a resumable upload
///
/// Follows tus 1.0. Send the bytes with `PATCH` to the response's `Location`, from the offset that `HEAD` returns, over as
/// many connections as needed. The server keeps the bytes encrypted on disk, and works on them as one upload when they are
/// complete.
#[utoipa::path(
    post, path = "/migration-assistance/migrations/{id}/sources/{source}/uploads", tag = "Load", operation_id = "beginUpload",
    params(
        ("id" = Uuid, Path, description = "Reference id of the migration."),
        ("source" = String, Path, description = "Source of the migration's mapper, such as `client`."),
        ("Tus-Resumable" = String, Header, description = "`1.0.0`."),
        ("Upload-Length" = u64, Header, description = "Length of the upload in bytes."),
        ("Upload-Metadata" = String, Header, description = "Names with values in base64, separated by commas: `content-type` (or `filetype`), as in a `PUT`; optionally `content-encoding`, `separator`, `quote` and `columns`. The server keeps other names encrypted and returns them."),
        ("Idempotency-Key" = Option<String>, Header, description = "The server answers a repeated request with the same key and does not carry it out again."),
    ),
    responses(
        (status = 201, body = UploadResponse, headers(("Location" = String, description = "URL to send the bytes to."), ("Upload-Expires" = String, description = "Time at which the server removes the upload unless it receives more bytes."))),
        (status = 409, body = Problem, content_type = "application/problem+json", description = "The migration has no mapper, or too many unfinished uploads."),
        (status = 412, body = Problem, content_type = "application/problem+json", description = "The request names another version of tus."),
        (status = 413, body = Problem, content_type = "application/problem+json", description = "The upload, or all unfinished uploads together, are too long."),
        (status = 415, body = Problem, content_type = "application/problem+json", description = "The server does not accept the media type, the charset or the content coding."),
        (status = 422, body = Problem, content_type = "application/problem+json", description = "The key was used for another request."),
    ),
)]
pub async fn create(
    State(app): State<AsyncApp>,
    caller: Caller<CanMigrate>,
    PathParams((id, source)): PathParams<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    app.blocking(move |app| {
        let migration = caller.whole_migration(app, &id)?;
        let request = creation(&headers)?;
        check(app, &request)?;
        let (_, described) = described_source(app, &migration, &source)?;
        let expires = http_date(Timestamp::now() + retention(app));
        let path = format!("/migration-assistance/migrations/{}/sources/{source}/uploads", migration.reference_id);
        let parts = [path.as_bytes(), request.metadata.as_bytes(), &request.length.to_le_bytes()];
        let mut response = once(app, &caller.grant().client, &headers, &parts, |making| {
            let id = making.id;
            let upload = create_once(app, &caller, migration, &described, (&source, &request), making)?;
            let body = serde_json::to_vec(&upload.response(0)?).expect("a response is JSON");
            Ok(StoredResponse { status: StatusCode::CREATED.as_u16(), location: Some(format!("{path}/{id}")), body })
        })?;
        if let Ok(expires) = expires.parse() {
            response.headers_mut().insert(UPLOAD_EXPIRES, expires);
        }
        Ok(response)
    })
    .await
}

/// Refuses an upload that has an unknown form, no bytes, or too many.
fn check(app: &App, request: &UploadCreation) -> Result<(), Problem> {
    form(&request.metadata)?;
    if request.length == 0 {
        return Err(Problem::bad_request("EMPTY_BODY", "The upload has no bytes. Do not upload an empty table."));
    }
    let max_bytes = app.config.upload.max_bytes;
    if request.length > max_bytes {
        let detail = message!("The upload is longer than {} bytes (`upload.max_bytes`).", max_bytes);
        return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "BODY_TOO_LARGE", detail));
    }
    Ok(())
}

/// Creates an upload, or returns the one that an earlier request with the same idempotency key created.
fn create_once(
    app: &App,
    caller: &Caller<CanMigrate>,
    migration: Migration,
    described: &SourceTable,
    (source, request): (&str, &UploadCreation),
    PendingCreation { id, begun }: PendingCreation,
) -> Result<UploadResource, Problem> {
    let area = app.migration_context(migration.clone())?.area;
    let migration_id = migration.reference_id;
    app.uploads.create(migration_id, || {
        let known = if begun { area.resumable_upload(id)? } else { None };
        let known = known.map(|folder| Ok::<_, Problem>((read_description(&folder)?, folder))).transpose()?;
        let (description, folder) = match known {
            Some((Some(description), folder)) => (description, folder),
            known => {
                // The server was stopped before it wrote the description.
                if known.is_some() {
                    area.remove_resumable_upload(id)?;
                }
                check_room(app, &area, request.length)?;
                new_upload(caller, &area, id, source, request)?
            }
        };
        let entry = caller.entry(Action::UploadCreated).stream(&described.name).figure("bytes", description.length);
        app.audit(AuditScope::Migration(migration_id), entry)?;
        let slot = app.uploads.slot(migration_id, id);
        Ok(UploadResource { migration, area: area.clone(), id, folder, description, slot, retention: retention(app) })
    })
}

fn new_upload(
    caller: &Caller<CanMigrate>,
    area: &StagingArea,
    id: Uuid,
    source: &str,
    request: &UploadCreation,
) -> Result<(UploadDescription, sluice_staging::ResumableUpload), Problem> {
    let description = UploadDescription {
        source: source.to_owned(),
        length: request.length,
        metadata: request.metadata.clone(),
        client: caller.grant().client.clone(),
        request: caller.author().request(),
        created_at: Timestamp::now(),
        ended: None,
    };
    let bytes = serde_json::to_vec(&description).expect("a description is JSON");
    let folder = area.begin_resumable_upload(id, &bytes)?.0;
    Ok((description, folder))
}

/// Refuses an upload of this length if the migration's unfinished uploads reach their limits.
fn check_room(app: &App, area: &StagingArea, length: u64) -> Result<(), Problem> {
    let limits = &app.config.upload;
    let (mut uploads, mut bytes) = (0, 0u64);
    for id in area.resumable_uploads()? {
        let description = area.resumable_upload(id)?.map(|folder| read_description(&folder)).transpose()?.flatten();
        if let Some(description) = description.filter(|description| description.ended.is_none()) {
            uploads += 1;
            bytes = bytes.saturating_add(description.length);
        }
    }
    if uploads >= limits.resumable_uploads {
        let detail = message!(
            "The migration has {} unfinished uploads, which is the maximum (`upload.resumable_uploads`). Finish or DELETE \
             one.",
            uploads
        );
        return Err(Problem::conflict("TOO_MANY_UPLOADS", detail));
    }
    if bytes.saturating_add(length) > limits.resumable_bytes {
        let detail = message!(
            "The migration's unfinished uploads would have more than {} bytes together (`upload.resumable_bytes`). Finish \
             or DELETE one.",
            limits.resumable_bytes
        );
        return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "TOO_MANY_UPLOAD_BYTES", detail));
    }
    Ok(())
}
