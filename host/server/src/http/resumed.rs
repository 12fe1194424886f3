//! Working on an upload that came in parts, once all of it is on disk: as one upload, in its turn, also after a restart.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::body::Bytes;
use jiff::Timestamp;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use uuid::Uuid;

use super::caller::Author;
use super::problem::Problem;
use super::resumable::{Ended, Figures, Found, note};
use super::sources::described_now;
use super::tus::{Form, form};
use super::upload::Incoming;
use super::work::{Kind, Worked};
use crate::app::{App, Stage};
use sluice_contract::Source;
use sluice_framing::Format;
use sluice_model::{Refusal, StagingStatus};
use sluice_pipeline::jobs::{StartError, UploadGuard};
use sluice_pipeline::{BrokenOff, Desk, load_source};
use sluice_plugin_host::MapperPlugin;
use sluice_staging::PieceReader;

/// Longest wait between two looks whether it can be worked on. What it waits for usually says that it has ended.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Pieces that are read ahead.
const WAITING_PIECES: usize = 8;

/// What is needed to work on it.
struct Work {
    found: Found,
    guard: UploadGuard,
    desk: Desk,
    mapper: Arc<MapperPlugin>,
    described: Source,
    form: Form,
    reader: PieceReader,
}

/// Whether it can be worked on.
enum Ready {
    Now(Box<Work>),
    /// Something else has to end before.
    Later,
    /// There is nothing to be done: it is gone, or the server is about to stop.
    Never,
    /// It cannot be worked on at all.
    Refused(Box<Found>, Problem),
}

/// Works on an upload of which everything has come, if nobody does yet.
pub fn start(app: &Arc<App>, migration: Uuid, id: Uuid) {
    let slot = app.uploads.slot(migration, id);
    if !slot.step(Stage::Receiving, Stage::Waiting) {
        return;
    }
    let app = app.clone();
    tokio::spawn(async move {
        if let Err(problem) = run(&app, migration, id).await {
            tracing::error!(code = problem.code(), %migration, upload = %id, "a received upload could not be worked on");
        }
        // What did not end begins again with the server, or with an empty part.
        let _ = slot.step(Stage::Waiting, Stage::Receiving) || slot.step(Stage::Running, Stage::Receiving);
    });
}

/// Goes on with what was received when the server stopped.
pub async fn go_on(app: Arc<App>) {
    let known = app.clone();
    let listing = tokio::task::spawn_blocking(move || {
        let mut whole = vec![];
        for (migration, id) in known.unfinished_uploads()? {
            // One that cannot be looked into is no reason to leave the others.
            match look(&known, migration, id) {
                Ok(Some(touched)) => whole.push((touched, migration, id)),
                Ok(None) => {}
                Err(problem) => {
                    tracing::error!(code = problem.code(), %migration, upload = %id, "an upload cannot be read")
                }
            }
        }
        whole.sort();
        Ok::<_, Problem>(whole)
    });
    match listing.await.map_err(Problem::from).and_then(|listed| listed) {
        Ok(whole) => whole.into_iter().for_each(|(_, migration, id)| start(&app, migration, id)),
        Err(problem) => tracing::error!(code = problem.code(), "received uploads could not be listed"),
    }
}

/// When the last byte of an upload came, if all have and it was not worked on.
fn look(app: &Arc<App>, migration: Uuid, id: Uuid) -> Result<Option<std::time::SystemTime>, Problem> {
    let Some(migration) = app.store.migration(migration)? else { return Ok(None) };
    if migration.status.staging == StagingStatus::Purged {
        return Ok(None);
    }
    let Some(found) = Found::of(app, migration, id)? else { return Ok(None) };
    let touched = found.folder.touched()?;
    if found.about.ended.is_some() {
        // Stopped between the two.
        found.folder.drop_bytes()?;
        return Ok(None);
    }
    let mut held = found.slot.hold_blocking();
    held.open(&found.folder)?;
    Ok(held.file.as_ref().filter(|bytes| bytes.len() == found.about.length).map(|_| touched))
}

async fn run(app: &Arc<App>, migration: Uuid, id: Uuid) -> Result<(), Problem> {
    let known = app.clone();
    let source = tokio::task::spawn_blocking(move || {
        let Some(migration) = known.store.migration(migration)? else { return Ok(None) };
        Ok::<_, Problem>(Found::of(&known, migration, id)?.map(|found| found.about.source))
    });
    let Some(source) = source.await?? else { return Ok(()) };
    let turn = app.uploads.turn(migration, &source);
    let _turn = turn.lock().await;
    loop {
        let mut changes = app.jobs.changes();
        let known = app.clone();
        match tokio::task::spawn_blocking(move || ready(&known, migration, id)).await?? {
            Ready::Now(work) => return work.through().await,
            Ready::Never => return Ok(()),
            Ready::Refused(found, problem) => {
                return tokio::task::spawn_blocking(move || end(&found, None, Some(&problem))).await?;
            }
            Ready::Later => {
                let _ = tokio::time::timeout(LOOK_AGAIN, changes.changed()).await;
            }
        }
    }
}

fn ready(app: &Arc<App>, migration: Uuid, id: Uuid) -> Result<Ready, Problem> {
    let Some(migration) = app.store.migration(migration)? else { return Ok(Ready::Never) };
    if migration.status.staging == StagingStatus::Purged {
        return Ok(Ready::Never);
    }
    let Some(found) = Found::of(app, migration.clone(), id)? else { return Ok(Ready::Never) };
    if found.about.ended.is_some() {
        return Ok(Ready::Never);
    }
    let known =
        form(&found.about.metadata).and_then(|form| Ok((form, described_now(app, &migration, &found.about.source)?)));
    let (form, (mapper, described)) = match known {
        Ok(known) => known,
        Err(problem) if problem.is_refusal() => return Ok(Ready::Refused(Box::new(found), problem)),
        Err(problem) => return Err(problem),
    };
    let stream = Kind::Source { mapper: mapper.digest }.stream(&described.name);
    let guard = match app.jobs.begin_upload(migration.reference_id, &stream) {
        Ok(guard) => guard,
        Err(StartError::Stopping | StartError::Gone | StartError::Refused(Refusal::Purged)) => return Ok(Ready::Never),
        Err(StartError::UploadRunning | StartError::JobRunning | StartError::Refused(_)) => return Ok(Ready::Later),
        Err(error) => return Err(error.into()),
    };
    let desk = app.desk(migration)?;
    let mut held = found.slot.hold_blocking();
    held.open(&found.folder)?;
    // Under the lock: who gives it up sees that it is too late, or we that it is gone.
    let Some(bytes) = held.file.as_ref().filter(|bytes| bytes.len() == found.about.length) else {
        return Ok(Ready::Never);
    };
    found.slot.step(Stage::Waiting, Stage::Running);
    let reader = bytes.read()?;
    Ok(Ready::Now(Box::new(Work { found, guard, desk, mapper, described, form, reader })))
}

impl Work {
    async fn through(self) -> Result<(), Problem> {
        let Self { found, guard, desk, mapper, described, form, reader } = self;
        let Form { shape, coding } = form;
        let (send, receive) = mpsc::channel(WAITING_PIECES);
        let left = Arc::new(AtomicBool::new(false));
        let (app, leaving) = (found.app.clone(), left.clone());
        tokio::task::spawn_blocking(move || read(&app, reader, &leaving, &send));
        let incoming = Incoming {
            app: found.app.clone(),
            migration: found.migration.clone(),
            author: Author::again(&found.about.client, found.about.request),
            stream: described.name.clone(),
            coding,
            shape,
            answer: Format::JsonLines,
            kind: Kind::Source { mapper: mapper.digest },
        };
        let results = found.folder.begin_results()?;
        let worked = incoming
            .take_kept(guard, desk, ReceiverStream::new(receive), results, move |desk, upload, body, results| {
                load_source(desk, &mapper, &described, upload, body, results)
            })
            .await?;
        // What is left is begun again by the next server: what came to the same stays as it is.
        if left.load(Ordering::Relaxed) {
            return Ok(());
        }
        let Worked { number, upload, problem } = worked;
        match problem {
            // The host's own trouble is none of the upload's: it is there, and can be worked on once that is mended.
            Some(problem) if !problem.is_refusal() => Err(problem),
            problem => {
                tokio::task::spawn_blocking(move || {
                    let figures = upload.map(|upload| upload.end()).map(|end| Figures {
                        number,
                        records: end.records,
                        accepted: end.accepted,
                        skipped: end.skipped.values().sum(),
                        rejected: end.rejected,
                        quarantined: end.quarantined,
                        body: end.body.to_string(),
                    });
                    end_with(&found, figures, problem)
                })
                .await?
            }
        }
    }
}

fn end_with(found: &Found, figures: Option<Figures>, problem: Option<Problem>) -> Result<(), Problem> {
    end(found, figures, problem.as_ref())
}

/// Hands the bytes on, as they were received.
fn read(app: &App, mut reader: PieceReader, left: &AtomicBool, send: &mpsc::Sender<Result<Bytes, BrokenOff>>) {
    loop {
        let piece = match reader.next_piece() {
            _ if app.jobs.is_stopping() => {
                left.store(true, Ordering::Relaxed);
                Err(BrokenOff::Gone)
            }
            Ok(None) => return,
            Ok(Some(piece)) => Ok(piece.into()),
            Err(error) => {
                tracing::error!(code = "STAGING_FAILED", %error, "a received upload cannot be read");
                Err(BrokenOff::Unreadable)
            }
        };
        let broken = piece.is_err();
        if send.blocking_send(piece).is_err() || broken {
            return;
        }
    }
}

/// Notes what it came to, and lets go of its bytes.
fn end(found: &Found, figures: Option<Figures>, problem: Option<&Problem>) -> Result<(), Problem> {
    let ended = Ended { at: Timestamp::now(), figures, problem: problem.map(Problem::to_json) };
    let mut about = found.about.clone();
    about.ended = Some(ended);
    note(&found.folder, &about)?;
    drop(found.slot.want());
    let held = found.slot.hold_blocking();
    found.folder.drop_bytes()?;
    drop(held);
    found.slot.stage.send_replace(Stage::Ended);
    Ok(())
}
