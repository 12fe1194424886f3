//! Uploads that resume (tus 1.0): what is known of one, how far it has come, and giving it up.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::caller::{Caller, Migrate, Read};
use super::extract::Path;
use super::problem::Problem;
use super::tus::{UPLOAD_EXPIRES, UPLOAD_LENGTH, UPLOAD_METADATA, UPLOAD_OFFSET, http_date};
use crate::app::{App, Held, Slot, Stage, Wanted};
use sluice_audit::{Action, Scope};
use sluice_model::Migration;
use sluice_staging::{PieceFile, ReceivedUpload, StagingArea};

/// Longest wait for somebody who writes to let go, and be it that their connection is gone.
const LET_GO: Duration = Duration::from_secs(10);

/// What is kept of an upload beside its bytes.
#[derive(Clone, Serialize, Deserialize)]
pub struct About {
    pub source: String,
    pub length: u64,
    pub metadata: String,
    pub client: String,
    pub request: Option<Uuid>,
    pub created_at: Timestamp,
    pub ended: Option<Ended>,
}

/// What it came to.
#[derive(Clone, Serialize, Deserialize)]
pub struct Ended {
    pub at: Timestamp,
    pub figures: Option<Figures>,
    /// Why not all of it was worked on, if it was not.
    pub problem: Option<serde_json::Value>,
}

/// What became of its records.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[schema(as = UploadFigures)]
pub struct Figures {
    /// The upload's number in the migration, as in its evidence.
    pub number: u32,
    pub records: u64,
    /// Records of which something is staged.
    pub accepted: u64,
    pub skipped: u64,
    pub rejected: u64,
    pub quarantined: u64,
    /// Digest of the body, after it was expanded.
    #[schema(example = "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08")]
    pub body: String,
}

/// An upload that came in parts.
#[derive(Serialize, ToSchema)]
#[schema(as = Upload)]
#[serde(rename_all = "camelCase")]
pub struct Shown {
    upload_id: Uuid,
    source: String,
    /// `receiving`, `waiting` (for a job or another upload to end), `running` or `ended`.
    state: &'static str,
    /// Bytes that have come and are on disk.
    offset: u64,
    /// Bytes that it has.
    length: u64,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(format = DateTime)]
    ended_at: Option<String>,
    /// When it, or what is known of it, is removed.
    #[schema(format = DateTime)]
    expires_at: String,
    figures: Option<Figures>,
    /// Why not all of it was worked on.
    #[schema(value_type = Option<Problem>)]
    problem: Option<serde_json::Value>,
}

/// An upload that was found.
pub struct Found {
    pub app: Arc<App>,
    pub migration: Migration,
    pub area: Arc<StagingArea>,
    pub id: Uuid,
    pub folder: ReceivedUpload,
    pub about: About,
    pub slot: Arc<Slot>,
}

pub fn no_upload() -> Problem {
    Problem::not_found(
        "NO_SUCH_UPLOAD",
        "There is no such upload: it was never begun here, was removed, or has expired.",
    )
}

impl Found {
    /// The upload, if it is one of this source.
    pub fn at(app: &Arc<App>, migration: Migration, source: &str, upload: &str) -> Result<Self, Problem> {
        let id: Uuid = upload.parse().map_err(|_| no_upload())?;
        let found = Self::of(app, migration, id)?.ok_or_else(no_upload)?;
        if found.about.source == source && found.expires_at()? > Timestamp::now() {
            Ok(found)
        } else {
            Err(no_upload())
        }
    }

    pub fn of(app: &Arc<App>, migration: Migration, id: Uuid) -> Result<Option<Self>, Problem> {
        let area = app.desk(migration.clone())?.area;
        let Some(folder) = area.received(id)? else { return Ok(None) };
        let Some(about) = read(&folder)? else { return Ok(None) };
        let slot = app.uploads.slot(migration.reference_id, id);
        if about.ended.is_some() {
            slot.stage.send_replace(Stage::Ended);
        }
        Ok(Some(Self { app: app.clone(), migration, area, id, folder, about, slot }))
    }

    /// When it is removed, unless anything changes before.
    pub fn expires_at(&self) -> Result<Timestamp, Problem> {
        let touched = Timestamp::try_from(self.folder.touched()?).unwrap_or(self.about.created_at);
        Ok(touched + kept_for(&self.app))
    }

    /// Its bytes, for whoever writes next: whoever writes now is made to let go. Nothing where it has ended.
    pub async fn hold(&self) -> Result<(Held, Wanted), Problem> {
        let wanted = self.slot.want();
        let mut held = tokio::time::timeout(LET_GO, self.slot.hold()).await.map_err(|_| {
            let detail = "Another request is writing to this upload. Try again in a moment.";
            Problem::new(StatusCode::LOCKED, "UPLOAD_LOCKED", detail)
        })?;
        let (area, id) = (self.area.clone(), self.id);
        tokio::task::spawn_blocking(move || {
            // It may have ended while we waited.
            let folder = area.received(id)?.ok_or_else(no_upload)?;
            if read(&folder)?.is_none_or(|about| about.ended.is_none()) {
                held.open(&folder)?;
            }
            Ok((held, wanted))
        })
        .await?
    }

    /// Bytes that are on disk.
    pub async fn offset(&self) -> Result<u64, Problem> {
        Ok(self.hold().await?.0.file.as_ref().map_or(self.about.length, PieceFile::len))
    }

    pub fn show(&self, offset: u64) -> Result<Shown, Problem> {
        let stage = *self.slot.stage.borrow();
        let ended = self.about.ended.as_ref();
        Ok(Shown {
            upload_id: self.id,
            source: self.about.source.clone(),
            state: match stage {
                _ if ended.is_some() => "ended",
                Stage::Receiving if offset < self.about.length => "receiving",
                Stage::Running => "running",
                _ => "waiting",
            },
            offset,
            length: self.about.length,
            created_at: self.about.created_at.to_string(),
            ended_at: ended.map(|ended| ended.at.to_string()),
            expires_at: self.expires_at()?.to_string(),
            figures: ended.and_then(|ended| ended.figures.clone()),
            problem: ended.and_then(|ended| ended.problem.clone()),
        })
    }
}

/// How long an upload is kept that nobody touches, and what became of one that has ended.
pub fn kept_for(app: &App) -> SignedDuration {
    SignedDuration::from_hours(app.config.upload.resumable_hours as i64)
}

/// What is known of an upload; none if it was never begun as a whole.
pub fn read(folder: &ReceivedUpload) -> Result<Option<About>, Problem> {
    Ok(folder.about()?.and_then(|about| serde_json::from_slice(&about).ok()))
}

/// Keeps what is known of it.
pub fn note(folder: &ReceivedUpload, about: &About) -> Result<(), Problem> {
    Ok(folder.note(&serde_json::to_vec(about).expect("what is known of an upload is JSON"))?)
}

/// Ask how far an upload has come
///
/// `Upload-Offset` is what is on disk. Whoever is still sending to it is made to stop.
#[utoipa::path(
    head, path = "/migration-assistance/migrations/{id}/sources/{source}/uploads/{upload}", tag = "Load", operation_id = "askForOffset",
    params(
        ("id" = Uuid, Path, description = "The migration's reference id."),
        ("source" = String, Path, description = "The upload's source."),
        ("upload" = Uuid, Path, description = "The upload's id."),
        ("Tus-Resumable" = String, Header, description = "`1.0.0`."),
    ),
    responses((status = 200, description = "`Upload-Offset`, `Upload-Length`, `Upload-Metadata` and `Upload-Expires`.")),
)]
pub async fn head(
    State(app): State<Arc<App>>,
    caller: Caller<Migrate>,
    Path((id, source, upload)): Path<(String, String, String)>,
) -> Result<Response, Problem> {
    let found = find(app, caller, id, source, upload).await?;
    let offset = found.offset().await?;
    let told = [
        (UPLOAD_OFFSET, offset.to_string()),
        (UPLOAD_LENGTH, found.about.length.to_string()),
        (UPLOAD_EXPIRES, http_date(found.expires_at()?)),
        (header::CACHE_CONTROL, "no-store".into()),
    ];
    let mut response = (StatusCode::OK, told).into_response();
    if let (false, Ok(metadata)) = (found.about.metadata.is_empty(), found.about.metadata.parse()) {
        response.headers_mut().insert(UPLOAD_METADATA, metadata);
    }
    Ok(response)
}

pub async fn find<N: Send + 'static>(
    app: Arc<App>,
    caller: Caller<N>,
    id: String,
    source: String,
    upload: String,
) -> Result<Found, Problem> {
    let finding = move || Found::at(&app, caller.whole(&app, &id)?, &source, &upload);
    tokio::task::spawn_blocking(finding).await?
}

/// Give an upload up
///
/// What has come is removed; of one that has ended, what is known of it.
#[utoipa::path(
    delete, path = "/migration-assistance/migrations/{id}/sources/{source}/uploads/{upload}", tag = "Load", operation_id = "giveUploadUp",
    params(
        ("id" = Uuid, Path, description = "The migration's reference id."),
        ("source" = String, Path, description = "The upload's source."),
        ("upload" = Uuid, Path, description = "The upload's id."),
        ("Tus-Resumable" = String, Header, description = "`1.0.0`."),
    ),
    responses(
        (status = 204, description = "It is removed."),
        (status = 409, body = Problem, content_type = "application/problem+json", description = "Its records are being worked on."),
        (status = 412, body = Problem, content_type = "application/problem+json", description = "Another version of tus."),
        (status = 423, body = Problem, content_type = "application/problem+json", description = "Somebody is writing to it and does not let go."),
    ),
)]
pub async fn give_up(
    State(app): State<Arc<App>>,
    caller: Caller<Migrate>,
    Path((id, source, upload)): Path<(String, String, String)>,
) -> Result<StatusCode, Problem> {
    let entry = caller.entry(Action::UploadGivenUp);
    let found = find(app, caller, id, source, upload).await?;
    let (mut held, _wanted) = found.hold().await?;
    if *found.slot.stage.borrow() == Stage::Running {
        return Err(Problem::conflict(
            "UPLOAD_RUNNING",
            "The upload's records are being worked on. Wait for it to end.",
        ));
    }
    tokio::task::spawn_blocking(move || {
        let (app, migration) = (&found.app, found.migration.reference_id);
        let entry = entry.figure("bytes", held.file.as_ref().map_or(found.about.length, PieceFile::len));
        // What is not noted is not done.
        app.audit(Scope::Migration(migration), entry)?;
        drop(held.file.take());
        found.area.remove_received(found.id)?;
        app.uploads.forget(migration, found.id);
        Ok(StatusCode::NO_CONTENT)
    })
    .await?
}

/// Read an upload
///
/// How far it has come, and what became of its records; with `Prefer: wait=N` as soon as it has ended.
#[utoipa::path(
    get, path = "/migration-assistance/migrations/{id}/sources/{source}/uploads/{upload}", tag = "Load", operation_id = "readUpload",
    params(
        ("id" = Uuid, Path, description = "The migration's reference id."),
        ("source" = String, Path, description = "The upload's source."),
        ("upload" = Uuid, Path, description = "The upload's id."),
        ("Prefer" = Option<String>, Header, description = "`wait=N`: seconds to wait for the upload's end, 60 at most."),
    ),
    responses((status = 200, body = Shown)),
)]
pub async fn show(
    State(app): State<Arc<App>>,
    caller: Caller<Read>,
    Path((id, source, upload)): Path<(String, String, String)>,
    headers: HeaderMap,
) -> Result<axum::Json<Shown>, Problem> {
    super::media::accepts_json(&headers)?;
    let mut found = find(app.clone(), caller, id, source, upload).await?;
    if *found.slot.stage.borrow() != Stage::Ended {
        let mut stage = found.slot.stage.subscribe();
        let ended = stage.wait_for(|stage| *stage == Stage::Ended);
        let _ = tokio::time::timeout(super::jobs::patience(&headers), ended).await;
    }
    let (migration, id) = (found.migration.clone(), found.id);
    let again = move || Found::of(&app, migration, id)?.ok_or_else(no_upload);
    found = tokio::task::spawn_blocking(again).await??;
    // Whoever only looks makes nobody stop: what is being written shows when it is on disk.
    let free = found.slot.try_hold().is_some();
    let offset = if free { found.offset().await? } else { found.slot.durable.load(Ordering::Relaxed) };
    Ok(axum::Json(found.show(offset)?))
}
