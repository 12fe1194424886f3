//! What every upload has in common: the body comes in, results go out, and neither waits for the other.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, BodyDataStream, Bytes};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt;
use tokio::sync::mpsc;

use super::media::media_type;
use super::problem::Problem;
use crate::app::App;
use crate::framing::Format;
use crate::jobs::UploadGuard;
use crate::model::{Level, Migration, Name};
use crate::pipeline::{self, BrokenOff, Desk, Failure, Results, Upload};
use crate::staging::{Spool, SpoolReader};
use crate::store::LogEntry;

/// Pieces of a body that may wait to be framed: with hyper's of at most some hundred kilobytes each,
/// little memory.
const WAITING_PIECES: usize = 8;

/// What stands between records and at the front of a body.
const BLANK: &[u8] = b" \t\r\n\x1e\xef\xbb\xbf";

/// Blank bytes at the front of a body that are kept while nothing else has come: nobody means to send more.
const MOST_BLANK: usize = 64 * 1024;

/// Where records go: the source or entity type, and which of these it is.
#[derive(Clone)]
pub struct Stream {
    /// `sources` or `staging`.
    pub kind: &'static str,
    pub name: Name,
}

/// One upload, from its first byte to its last result.
pub struct Incoming {
    pub app: Arc<App>,
    pub migration: Migration,
    /// Where the records go.
    pub stream: Stream,
    /// How results are framed.
    pub answer: Format,
    pub of_source: bool,
}

impl Incoming {
    /// Takes the body in through `load`, and answers with its results as they become durable.
    pub async fn take(
        self,
        body: Body,
        load: impl FnOnce(&Desk, pipeline::Body, &mut Results) -> Result<Upload, Failure> + Send + 'static,
    ) -> Result<Response, Problem> {
        let Self { app, migration, stream, answer, of_source } = self;
        let guard = app.jobs.begin_upload(migration.reference_id, &format!("{}/{}", stream.kind, stream.name))?;
        let desk = app.desk(migration)?;
        let idle = Duration::from_secs(app.config.upload.idle_seconds);
        let mut pieces = body.into_data_stream();
        let first = beginning(&mut pieces, idle).await?;
        let (spool, reader) = Spool::new(&desk.area)?;
        let results = Results::new(spool, answer, of_source, &app.config.upload);
        let (send, receive) = mpsc::channel(WAITING_PIECES);
        tokio::spawn(pump(first, pieces, send, idle));
        tokio::task::spawn_blocking(move || work(&desk, guard, &stream, receive, results, load));
        let content_type = [(header::CONTENT_TYPE, media_type(answer))];
        Ok((content_type, Body::from_stream(read_out(reader))).into_response())
    }
}

/// The body up to the first piece with anything in it. A body without any is almost always a mistake, and
/// taking it for an empty table would lose one in silence.
async fn beginning(pieces: &mut BodyDataStream, idle: Duration) -> Result<Bytes, Problem> {
    // What is blank counts as well: lines are numbered from the first byte on.
    let mut blank = vec![];
    loop {
        match tokio::time::timeout(idle, pieces.next()).await {
            Ok(Some(Ok(piece))) => {
                let more = piece.iter().all(|byte| BLANK.contains(byte)) && blank.len() < MOST_BLANK;
                if !more && blank.is_empty() {
                    return Ok(piece);
                }
                blank.extend_from_slice(&piece);
                if !more {
                    return Ok(blank.into());
                }
            }
            Ok(None) => {
                let detail = "The body holds no record. An empty table need not be uploaded.";
                return Err(Problem::bad_request("EMPTY_BODY", detail));
            }
            Ok(Some(Err(_))) | Err(_) => {
                return Err(Problem::bad_request("BODY_BROKEN_OFF", "The body broke off before its first record."));
            }
        }
    }
}

/// Carries the body over to the thread that frames it, until it ends, breaks off or nobody takes it.
async fn pump(first: Bytes, mut pieces: BodyDataStream, send: mpsc::Sender<Result<Bytes, BrokenOff>>, idle: Duration) {
    let mut next = Ok(first);
    loop {
        let broken = next.is_err();
        if send.send(next).await.is_err() || broken {
            return;
        }
        next = match tokio::time::timeout(idle, pieces.next()).await {
            Ok(Some(Ok(piece))) => Ok(piece),
            Ok(None) => return,
            Ok(Some(Err(_))) | Err(_) => Err(BrokenOff),
        };
    }
}

fn work(
    desk: &Desk,
    guard: UploadGuard,
    stream: &Stream,
    body: pipeline::Body,
    mut results: Results,
    load: impl FnOnce(&Desk, pipeline::Body, &mut Results) -> Result<Upload, Failure>,
) {
    let loaded = load(desk, body, &mut results);
    let entry = match &loaded {
        Ok(upload) => {
            let severity = if upload.rejected + upload.quarantined > 0 || upload.broken_off {
                Level::Warning
            } else {
                Level::Info
            };
            let code = if upload.broken_off { "UPLOAD_BROKEN_OFF" } else { "UPLOAD_ENDED" };
            LogEntry::new(severity, code)
                .with("kind", stream.kind)
                .with("stream", stream.name.clone())
                .with("records", upload.records)
                .with("accepted", upload.accepted)
                .with("skipped", upload.skipped)
                .with("rejected", upload.rejected)
                .with("quarantined", upload.quarantined)
        }
        Err(failure) => {
            LogEntry::new(Level::Error, failure.code()).with("kind", stream.kind).with("stream", stream.name.clone())
        }
    };
    if let Err(error) = desk.store.log(desk.migration.reference_id, &entry) {
        tracing::error!(code = "CATALOGUE_FAILED", %error, "an upload's end could not be logged");
    }
    // Before the last result is out, so that whoever has read it can start a job.
    drop(guard);
    if let Err(failure) = loaded {
        // What was worked on before is answered first, as far as it is on disk.
        let answered = results.settle(&desk.area, true);
        if let Err(error) = answered.and(results.stop(&Problem::from(failure).to_json())) {
            tracing::error!(code = "STAGING_FAILED", %error, "a client could not be told why its upload stopped");
        }
    }
}

fn read_out(reader: SpoolReader) -> impl futures_util::Stream<Item = Result<Vec<u8>, std::io::Error>> {
    futures_util::stream::unfold(reader, |mut reader| async move {
        match reader.next().await {
            Ok(Some(bytes)) => Some((Ok(bytes), reader)),
            Ok(None) => None,
            Err(error) => Some((Err(std::io::Error::other(error)), reader)),
        }
    })
}
