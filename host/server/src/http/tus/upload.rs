//! A resumable upload: its description on disk, its bytes, and its state in a response.

use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::app::{App, AsyncApp, LeaseRequest, UploadLease, UploadSlot, UploadStage};
use crate::http::auth::authz::Caller;
use crate::http::problem::Problem;
use sluice_model::Migration;
use sluice_staging::{ResumableUpload, SealedFile, StagingArea};

/// Maximum wait for another request to end its lease, even if its connection is gone.
const LEASE_TIMEOUT: Duration = Duration::from_secs(10);

/// Description of an upload, stored beside its bytes.
#[derive(Clone, Serialize, Deserialize)]
pub struct UploadDescription {
    /// Source of the migration's mapper.
    pub source: String,
    /// Length in bytes.
    pub length: u64,
    /// Metadata as the client sent it.
    pub metadata: String,
    /// Id of the client that created the upload.
    pub client: String,
    /// Id of the request that created the upload.
    pub request: Option<Uuid>,
    /// Time of creation.
    pub created_at: Timestamp,
    /// End of the upload, once the server has worked on it.
    pub ended: Option<UploadCompletion>,
}

/// End of an upload.
#[derive(Clone, Serialize, Deserialize)]
pub struct UploadCompletion {
    /// Time of the end.
    pub at: Timestamp,
    /// Numbers of records.
    pub figures: Option<UploadCounts>,
    /// Problem document, if the upload was not processed completely.
    pub problem: Option<serde_json::Value>,
}

/// Numbers of an upload's records.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[schema(as = UploadFigures)]
pub struct UploadCounts {
    /// Number of the upload in the migration, as in its evidence.
    pub number: u32,
    /// All records.
    pub records: u64,
    /// Records of which something is staged.
    pub accepted: u64,
    /// Records that the mapper skipped.
    pub skipped: u64,
    /// Records that were rejected.
    pub rejected: u64,
    /// Records that a plugin failed on.
    pub quarantined: u64,
    /// Digest of the body after expansion.
    #[schema(example = "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08")]
    pub body: String,
}

/// A resumable upload.
#[derive(Serialize, ToSchema)]
#[schema(as = Upload)]
#[serde(rename_all = "camelCase")]
pub struct UploadResponse {
    /// Id of the upload.
    upload_id: Uuid,
    /// Source of the migration's mapper.
    source: String,
    /// `receiving`, `waiting` (for a job or another upload to end), `running` or `ended`.
    state: &'static str,
    /// Bytes on disk.
    offset: u64,
    /// Length of the upload in bytes.
    length: u64,
    /// Time of creation.
    #[schema(format = DateTime)]
    created_at: String,
    /// Time at which the server finished its work on the upload.
    #[schema(format = DateTime)]
    ended_at: Option<String>,
    /// Time at which the upload and its results are removed.
    #[schema(format = DateTime)]
    expires_at: String,
    /// Numbers of records.
    figures: Option<UploadCounts>,
    /// Reason why the upload was not processed completely.
    #[schema(value_type = Option<Problem>)]
    problem: Option<serde_json::Value>,
}

/// A resumable upload on disk.
pub struct UploadResource {
    /// Migration that the upload belongs to.
    pub migration: Migration,
    /// Migration's staging area.
    pub area: Arc<StagingArea>,
    /// Id of the upload.
    pub id: Uuid,
    /// Folder of the upload.
    pub folder: ResumableUpload,
    /// Description of the upload.
    pub description: UploadDescription,
    /// State that requests and tasks share.
    pub slot: Arc<UploadSlot>,
    /// Time for which an unchanged upload is kept.
    pub retention: SignedDuration,
}

/// Returns the problem for an upload that does not exist.
pub fn no_upload() -> Problem {
    let detail = "There is no such upload. It was not created here, was removed, or has expired.";
    Problem::not_found("NO_SUCH_UPLOAD", detail)
}

impl UploadResource {
    /// Finds an upload to this source that has not expired. Blocks.
    pub fn find(app: &App, migration: Migration, source: &str, upload: &str) -> Result<Self, Problem> {
        let id: Uuid = upload.parse().map_err(|_| no_upload())?;
        let upload = Self::open(app, migration, id)?.ok_or_else(no_upload)?;
        if upload.description.source == source && upload.expires_at()? > Timestamp::now() {
            Ok(upload)
        } else {
            Err(no_upload())
        }
    }

    /// Opens an upload, or returns none if it was not created completely. Blocks.
    pub fn open(app: &App, migration: Migration, id: Uuid) -> Result<Option<Self>, Problem> {
        let area = app.migration_context(migration.clone())?.area;
        let Some(folder) = area.resumable_upload(id)? else { return Ok(None) };
        let Some(description) = read_description(&folder)? else { return Ok(None) };
        let slot = app.uploads.slot(migration.reference_id, id);
        if description.ended.is_some() {
            slot.stage.send_replace(UploadStage::Ended);
        }
        Ok(Some(Self { migration, area, id, folder, description, slot, retention: retention(app) }))
    }

    /// Returns the time at which the upload is removed if it does not change before. Blocks.
    pub fn expires_at(&self) -> Result<Timestamp, Problem> {
        let touched = Timestamp::try_from(self.folder.last_changed()?).unwrap_or(self.description.created_at);
        Ok(touched + self.retention)
    }

    /// Leases the upload's bytes. Makes another request that holds the lease end it. The lease has no file if the upload
    /// has ended.
    pub async fn lease(&self, app: &AsyncApp) -> Result<(UploadLease, LeaseRequest), Problem> {
        let request = self.slot.request_lease();
        let mut lease = tokio::time::timeout(LEASE_TIMEOUT, self.slot.lease()).await.map_err(|_| {
            let detail = "Another request is writing to this upload. Try again in a moment.";
            Problem::new(StatusCode::LOCKED, "UPLOAD_LOCKED", detail)
        })?;
        let (area, id) = (self.area.clone(), self.id);
        app.blocking(move |_| {
            // The upload may have ended while this request waited.
            let folder = area.resumable_upload(id)?.ok_or_else(no_upload)?;
            if read_description(&folder)?.is_none_or(|description| description.ended.is_none()) {
                lease.open(&folder)?;
            }
            Ok((lease, request))
        })
        .await
    }

    /// Returns the number of bytes that a lease of this upload has on disk.
    pub fn offset(&self, lease: &UploadLease) -> u64 {
        lease.file.as_ref().map_or(self.description.length, SealedFile::len)
    }

    /// Returns the body of a response that shows the upload. Blocks.
    pub fn response(&self, offset: u64) -> Result<UploadResponse, Problem> {
        let stage = *self.slot.stage.borrow();
        let ended = self.description.ended.as_ref();
        Ok(UploadResponse {
            upload_id: self.id,
            source: self.description.source.clone(),
            state: match stage {
                _ if ended.is_some() => "ended",
                UploadStage::Receiving if offset < self.description.length => "receiving",
                UploadStage::Running => "running",
                _ => "waiting",
            },
            offset,
            length: self.description.length,
            created_at: self.description.created_at.to_string(),
            ended_at: ended.map(|ended| ended.at.to_string()),
            expires_at: self.expires_at()?.to_string(),
            figures: ended.and_then(|ended| ended.figures.clone()),
            problem: ended.and_then(|ended| ended.problem.clone()),
        })
    }
}

/// Returns the time for which an unchanged upload, or an ended one, is kept.
pub fn retention(app: &App) -> SignedDuration {
    SignedDuration::from_hours(app.config.upload.resumable_hours as i64)
}

/// Reads the description of an upload, or returns none if the upload was not created completely. Blocks.
pub fn read_description(folder: &ResumableUpload) -> Result<Option<UploadDescription>, Problem> {
    Ok(folder.metadata()?.and_then(|description| serde_json::from_slice(&description).ok()))
}

/// Writes the description of an upload. Blocks.
pub fn write_description(folder: &ResumableUpload, description: &UploadDescription) -> Result<(), Problem> {
    Ok(folder.write_metadata(&serde_json::to_vec(description).expect("a description is JSON"))?)
}

/// Finds the upload that a request names.
pub async fn find<N: Send + 'static>(
    app: &AsyncApp,
    caller: Caller<N>,
    (id, source, upload): (String, String, String),
) -> Result<UploadResource, Problem> {
    app.blocking(move |app| UploadResource::find(app, caller.whole_migration(app, &id)?, &source, &upload)).await
}
