//! Works on resumable uploads whose bytes are complete, each in its turn, also after a restart.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use tokio::sync::mpsc;
use uuid::Uuid;

use super::headers::{UploadForm, form};
use super::upload::{UploadCompletion, UploadCounts, UploadResource, write_description};
use crate::app::{App, AsyncApp, AuditAuthor, TenantPermit, TenantWork, UploadStage};
use crate::http::problem::Problem;
use crate::http::sources::described::described_source;
use crate::ingest::{IngestOutcome, UploadIngest, UploadKind, whole_stream};
use sluice_contract::SourceTable;
use sluice_framing::JsonFormat;
use sluice_model::{Actor, StagingStatus, TransitionRefusal};
use sluice_pipeline::jobs::{StartError, UploadGuard};
use sluice_pipeline::{MigrationContext, RecordStreamError, StreamPart, load_source};
use sluice_plugin_host::MapperPlugin;
use sluice_staging::{SealedFile, SealedFileReader, StagingError};

/// Maximum time between two checks whether an upload can begin. Usually the end of the work it waits for is notified.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// Pieces that are read ahead.
const WAITING_PIECES: usize = 8;

/// An upload that can begin, with everything that its work needs.
struct PreparedUpload {
    upload: UploadResource,
    guard: (UploadGuard, TenantPermit),
    context: MigrationContext,
    mapper: Arc<MapperPlugin>,
    described: SourceTable,
    form: UploadForm,
    reader: SealedFileReader,
    results: SealedFile,
}

/// Readiness of an upload.
enum UploadReadiness {
    Ready(Box<PreparedUpload>),
    /// Another upload or a job has to end first.
    Wait,
    /// There is nothing to do: the upload is removed or processed, or the server stops.
    Gone,
    /// The upload can never be processed.
    Refused(Box<UploadResource>, Problem),
}

/// Starts the work on an upload whose bytes are complete, unless it runs already.
pub fn start(app: &AsyncApp, migration: Uuid, id: Uuid) {
    let slot = app.uploads().slot(migration, id);
    if !slot.step(UploadStage::Receiving, UploadStage::Waiting) {
        return;
    }
    let app = app.clone();
    tokio::spawn(async move {
        if let Err(problem) = run(&app, migration, id).await {
            tracing::error!(code = problem.code(), %migration, upload = %id, "cannot work on a received upload");
        }
        // Work that did not end begins again when the server starts, or with an empty part.
        let _ = slot.step(UploadStage::Waiting, UploadStage::Receiving)
            || slot.step(UploadStage::Running, UploadStage::Receiving);
    });
}

/// Starts the work on uploads that were complete when the server stopped.
pub async fn resume_pending(app: AsyncApp) {
    let listing = app.blocking(|app| {
        let mut pending = vec![];
        for (migration, id) in app.unfinished_uploads()? {
            // One damaged upload does not stop the others.
            match completed_at(app, migration, id) {
                Ok(Some(completed)) => pending.push((completed, migration, id)),
                Ok(None) => {}
                Err(problem) => {
                    tracing::error!(code = problem.code(), %migration, upload = %id, "cannot read an upload");
                }
            }
        }
        pending.sort();
        Ok::<_, Problem>(pending)
    });
    match listing.await {
        Ok(pending) => pending.into_iter().for_each(|(_, migration, id)| start(&app, migration, id)),
        Err(problem) => tracing::error!(code = problem.code(), "cannot list received uploads"),
    }
}

/// Returns the time at which the last byte of an upload arrived, if its bytes are complete and it was not processed.
fn completed_at(app: &App, migration: Uuid, id: Uuid) -> Result<Option<SystemTime>, Problem> {
    let Some(migration) = app.store.migration(migration)? else { return Ok(None) };
    if migration.status.staging == StagingStatus::Purged {
        return Ok(None);
    }
    let Some(upload) = UploadResource::open(app, migration, id)? else { return Ok(None) };
    let touched = upload.folder.last_changed()?;
    if upload.description.ended.is_some() {
        // The server was stopped after it wrote the description and before it deleted the bytes.
        upload.folder.remove_bytes()?;
        return Ok(None);
    }
    let mut lease = upload.slot.lease_blocking();
    lease.open(&upload.folder)?;
    Ok(lease.file.as_ref().filter(|bytes| bytes.len() == upload.description.length).map(|_| touched))
}

async fn run(app: &AsyncApp, migration: Uuid, id: Uuid) -> Result<(), Problem> {
    let source = app.blocking(move |app| {
        let Some(migration) = app.store.migration(migration)? else { return Ok(None) };
        Ok::<_, Problem>(UploadResource::open(app, migration, id)?.map(|upload| upload.description.source))
    });
    let Some(source) = source.await? else { return Ok(()) };
    let turn = app.uploads().turn(migration, &source);
    let _turn = turn.lock().await;
    loop {
        let mut changes = app.jobs().changes();
        match app.blocking(move |app| prepare(app, migration, id)).await? {
            UploadReadiness::Ready(prepared) => return prepared.run(app).await,
            UploadReadiness::Gone => return Ok(()),
            UploadReadiness::Refused(upload, problem) => {
                return app.blocking(move |_| complete(&upload, None, Some(&problem))).await;
            }
            UploadReadiness::Wait => {
                let _ = tokio::time::timeout(CHECK_INTERVAL, changes.changed()).await;
            }
        }
    }
}

/// Checks whether an upload can begin. If so, reserves its stream and opens its files.
fn prepare(app: &App, migration: Uuid, id: Uuid) -> Result<UploadReadiness, Problem> {
    use UploadReadiness::{Gone, Ready, Refused, Wait};
    let Some(migration) = app.store.migration(migration)? else { return Ok(Gone) };
    if migration.status.staging == StagingStatus::Purged {
        return Ok(Gone);
    }
    let Some(upload) = UploadResource::open(app, migration.clone(), id)? else { return Ok(Gone) };
    if upload.description.ended.is_some() {
        return Ok(Gone);
    }
    let known = form(&upload.description.metadata)
        .and_then(|form| Ok((form, described_source(app, &migration, &upload.description.source)?)));
    let (form, (mapper, described)) = match known {
        Ok(known) => known,
        Err(problem) if problem.is_refusal() => return Ok(Refused(Box::new(upload), problem)),
        Err(problem) => return Err(problem),
    };
    let stream = UploadKind::Source { mapper: mapper.digest }.stream(&described.name);
    let Ok(permit) = app.permits.begin(&migration.tenant, TenantWork::Upload) else { return Ok(Wait) };
    let guard = match app.jobs.begin_upload(migration.reference_id, &stream) {
        Ok(guard) => guard,
        Err(StartError::Stopping | StartError::Gone | StartError::Refused(TransitionRefusal::Purged)) => {
            return Ok(Gone);
        }
        Err(StartError::UploadRunning | StartError::JobRunning | StartError::Refused(_)) => return Ok(Wait),
        Err(error) => return Err(error.into()),
    };
    let context = app.migration_context(migration)?;
    match app.limit_disk(&context.migration, &context.area) {
        Err(StartError::Staging(StagingError::QuotaReached)) => {
            return Ok(Refused(Box::new(upload), StagingError::QuotaReached.into()));
        }
        limited => limited?,
    }
    let mut lease = upload.slot.lease_blocking();
    lease.open(&upload.folder)?;
    // The stage changes under the lease: either a request that deletes the upload sees that it runs, or this function sees
    // that it is gone.
    let Some(bytes) = lease.file.as_ref().filter(|bytes| bytes.len() == upload.description.length) else {
        return Ok(Gone);
    };
    upload.slot.step(UploadStage::Waiting, UploadStage::Running);
    let (reader, results) = (bytes.read()?, upload.folder.create_results()?);
    Ok(Ready(Box::new(PreparedUpload {
        upload,
        guard: (guard, permit),
        context,
        mapper,
        described,
        form,
        reader,
        results,
    })))
}

impl PreparedUpload {
    async fn run(self, app: &AsyncApp) -> Result<(), Problem> {
        let Self { upload, guard, context, mapper, described, form, reader, results } = self;
        let UploadForm { shape, coding } = form;
        let (send, receive) = mpsc::channel(WAITING_PIECES);
        let stopped = Arc::new(AtomicBool::new(false));
        let stopped_reader = stopped.clone();
        app.spawn_blocking(move |app| read(app, reader, &stopped_reader, &send));
        let (client, request) = (upload.description.client.clone(), upload.description.request);
        let ingest = UploadIngest {
            app: app.clone(),
            migration: upload.migration.clone(),
            author: AuditAuthor::new(Actor::Client(client), request),
            stream: described.name.clone(),
            coding,
            shape,
            answer: JsonFormat::JsonLines,
            kind: UploadKind::Source { mapper: mapper.digest },
            source: Some(described.clone()),
        };
        let body = whole_stream(receive);
        let outcome: IngestOutcome<Problem> = ingest
            .keep_results(guard, context, body, results, move |context, upload, body, results| {
                load_source(context, &mapper, &described, upload, body, results)
            })
            .await?;
        // The next server begins the upload again. Records that were staged already do not change.
        if stopped.load(Ordering::Relaxed) {
            return Ok(());
        }
        let IngestOutcome { number, upload: loaded, error } = outcome;
        match error {
            // The server failed, not the upload. The upload stays, and can be processed once the server works again.
            Some(problem) if !problem.is_refusal() => Err(problem),
            problem => {
                app.blocking(move |_| {
                    let counts = loaded.map(|loaded| loaded.end()).map(|end| UploadCounts {
                        number,
                        records: end.records,
                        accepted: end.accepted,
                        skipped: end.skipped.values().sum(),
                        rejected: end.rejected,
                        quarantined: end.quarantined,
                        body: end.body.to_string(),
                    });
                    complete(&upload, counts, problem.as_ref())
                })
                .await
            }
        }
    }
}

/// Sends the received bytes to the ingest.
fn read(
    app: &App,
    mut reader: SealedFileReader,
    stopped: &AtomicBool,
    send: &mpsc::Sender<Result<StreamPart, RecordStreamError>>,
) {
    loop {
        let piece = match reader.next_chunk() {
            _ if app.jobs.is_stopping() => {
                stopped.store(true, Ordering::Relaxed);
                Err(RecordStreamError::Gone)
            }
            Ok(None) => Ok(StreamPart::End),
            Ok(Some(piece)) => Ok(StreamPart::Bytes(piece.into())),
            Err(error) => {
                tracing::error!(code = "STAGING_FAILED", %error, "cannot read a received upload");
                Err(RecordStreamError::Unreadable)
            }
        };
        let last = !matches!(piece, Ok(StreamPart::Bytes(_)));
        if send.blocking_send(piece).is_err() || last {
            return;
        }
    }
}

/// Records the end of an upload, and deletes its bytes.
fn complete(upload: &UploadResource, counts: Option<UploadCounts>, problem: Option<&Problem>) -> Result<(), Problem> {
    let mut description = upload.description.clone();
    let problem = problem.map(Problem::to_json);
    description.ended = Some(UploadCompletion { at: Timestamp::now(), figures: counts, problem });
    write_description(&upload.folder, &description)?;
    drop(upload.slot.request_lease());
    let lease = upload.slot.lease_blocking();
    upload.folder.remove_bytes()?;
    drop(lease);
    upload.slot.stage.send_replace(UploadStage::Ended);
    Ok(())
}
