//! Beginning an upload that resumes (tus 1.0), and what is spoken of that protocol.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;

use super::caller::{Caller, Migrate};
use super::extract::Path;
use super::idempotency::once;
use super::problem::Problem;
use super::resumable::{About, Found, Shown, kept_for, read};
use super::sources::described;
use super::tus::{ALGORITHMS, EXTENSIONS, UPLOAD_EXPIRES, VERSION, creation, form, http_date};
use crate::app::App;
use sluice_audit::{Action, Scope};
use sluice_catalog::{Kept, Making};
use sluice_model::told;
use sluice_staging::StagingArea;

/// Ask what is spoken of tus
#[utoipa::path(
    options, path = "/migration-assistance/migrations/{id}/sources/{source}/uploads", tag = "Load", operation_id = "askForTus",
    params(("id" = Uuid, Path, description = "The migration's reference id."), ("source" = String, Path, description = "A source of the migration's mapper.")),
    responses((status = 204, description = "`Tus-Version`, `Tus-Extension`, `Tus-Max-Size` and `Tus-Checksum-Algorithm`.")),
)]
pub async fn options(
    State(app): State<Arc<App>>,
    caller: Caller<Migrate>,
    Path((id, _source)): Path<(String, String)>,
) -> Result<Response, Problem> {
    caller.whole(&app, &id)?;
    let said = [
        ("tus-version", VERSION.to_str().unwrap_or_default().to_owned()),
        ("tus-extension", EXTENSIONS.to_owned()),
        ("tus-max-size", app.config.upload.max_bytes.to_string()),
        ("tus-checksum-algorithm", ALGORITHMS.to_owned()),
    ];
    Ok((StatusCode::NO_CONTENT, said).into_response())
}

/// Begin an upload that resumes
///
/// By tus 1.0: the answer's `Location` takes the bytes with `PATCH`, from the offset that `HEAD` tells, over as many
/// connections as it takes. What has come is kept on disk, sealed, and worked on as one upload when all has come.
#[utoipa::path(
    post, path = "/migration-assistance/migrations/{id}/sources/{source}/uploads", tag = "Load", operation_id = "beginUpload",
    params(
        ("id" = Uuid, Path, description = "The migration's reference id."),
        ("source" = String, Path, description = "A source of the migration's mapper, such as `client`."),
        ("Tus-Resumable" = String, Header, description = "`1.0.0`."),
        ("Upload-Length" = u64, Header, description = "Bytes of the upload."),
        ("Upload-Metadata" = String, Header, description = "Names with values in base64, parted by commas: `content-type` (or `filetype`), as a `PUT` has it; `content-encoding`, `separator`, `quote` and `columns` where they are wanted. Others are kept, sealed, and given back."),
        ("Idempotency-Key" = Option<String>, Header, description = "A request that is sent again with its key is answered again."),
    ),
    responses(
        (status = 201, body = Shown, headers(("Location" = String, description = "Where its bytes are sent."), ("Upload-Expires" = String, description = "When it is removed unless more comes."))),
        (status = 409, body = Problem, content_type = "application/problem+json", description = "The migration has no mapper, or too many unfinished uploads."),
        (status = 412, body = Problem, content_type = "application/problem+json", description = "Another version of tus."),
        (status = 413, body = Problem, content_type = "application/problem+json", description = "It is longer than it may be, or all unfinished ones together are."),
        (status = 415, body = Problem, content_type = "application/problem+json", description = "Another media type, charset or encoding than those that are taken."),
        (status = 422, body = Problem, content_type = "application/problem+json", description = "The key was another request's."),
    ),
)]
pub async fn create(
    State(app): State<Arc<App>>,
    caller: Caller<Migrate>,
    Path((id, source)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let migration = caller.whole(&app, &id)?;
    let asked = creation(&headers)?;
    form(&asked.metadata)?;
    if asked.length == 0 {
        return Err(Problem::bad_request(
            "EMPTY_BODY",
            "The upload has no bytes. An empty table need not be uploaded.",
        ));
    }
    if asked.length > app.config.upload.max_bytes {
        let detail = told!("The upload is longer than {} bytes (`upload.max_bytes`).", app.config.upload.max_bytes);
        return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "BODY_TOO_LARGE", detail));
    }
    let (_, described) = described(&app, &migration, &source).await?;
    let expires = http_date(Timestamp::now() + kept_for(&app));
    let mut response = tokio::task::spawn_blocking(move || {
        let path = format!("/migration-assistance/migrations/{}/sources/{source}/uploads", migration.reference_id);
        let request = [path.as_bytes(), asked.metadata.as_bytes(), &asked.length.to_le_bytes()];
        once(&app, &caller.grant().client, &headers, &request, |Making { id, begun }| {
            let area = app.desk(migration.clone())?.area;
            let _making = app.uploads.making();
            let known = if begun { area.received(id)? } else { None };
            let begun = known.map(|folder| Ok::<_, Problem>((read(&folder)?, folder))).transpose()?;
            let (about, folder) = match begun {
                Some((Some(about), folder)) => (about, folder),
                begun => {
                    // A server was stopped before it had noted what it is.
                    if begun.is_some() {
                        area.remove_received(id)?;
                    }
                    room_for(&app, &area, asked.length)?;
                    let (client, request) = (caller.grant().client.clone(), caller.author().request());
                    let (length, metadata, created_at) = (asked.length, asked.metadata.clone(), Timestamp::now());
                    let source = source.clone();
                    let about = About { source, length, metadata, client, request, created_at, ended: None };
                    let kept = serde_json::to_vec(&about).expect("what is known of an upload is JSON");
                    (about, area.begin_received(id, &kept)?.0)
                }
            };
            let entry = caller.entry(Action::UploadCreated).stream(&described.name).figure("bytes", about.length);
            app.audit(Scope::Migration(migration.reference_id), entry)?;
            let slot = app.uploads.slot(migration.reference_id, id);
            let found = Found { app: app.clone(), migration, area, id, folder, about, slot };
            let body = serde_json::to_vec(&found.show(0)?).expect("what is shown is JSON");
            Ok(Kept { status: StatusCode::CREATED.as_u16(), location: Some(format!("{path}/{id}")), body })
        })
    })
    .await??;
    if let Ok(expires) = expires.parse() {
        response.headers_mut().insert(UPLOAD_EXPIRES, expires);
    }
    Ok(response)
}

/// Whether a migration may have one more unfinished upload, so long.
fn room_for(app: &App, area: &StagingArea, length: u64) -> Result<(), Problem> {
    let limits = &app.config.upload;
    let (mut uploads, mut bytes) = (0, 0u64);
    for id in area.all_received()? {
        let about = area.received(id)?.map(|folder| read(&folder)).transpose()?.flatten();
        if let Some(about) = about.filter(|about| about.ended.is_none()) {
            uploads += 1;
            bytes = bytes.saturating_add(about.length);
        }
    }
    if uploads >= limits.resumable_uploads {
        let detail = told!(
            "The migration has {} unfinished uploads, and may have no more (`upload.resumable_uploads`). Finish or DELETE \
             one.",
            uploads
        );
        return Err(Problem::conflict("TOO_MANY_UPLOADS", detail));
    }
    if bytes.saturating_add(length) > limits.resumable_bytes {
        let detail = told!(
            "The migration's unfinished uploads would have more than {} bytes together (`upload.resumable_bytes`). Finish \
             or DELETE one.",
            limits.resumable_bytes
        );
        return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "TOO_MANY_UPLOAD_BYTES", detail));
    }
    Ok(())
}
