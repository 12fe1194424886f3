//! What every upload has in common: the body comes in, results go out, and neither waits for the other.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use tokio::sync::mpsc;

use super::caller::Author;
use super::media::media_type;
use super::pieces::{Coding, Pieces, broken_off, paced};
use super::problem::Problem;
use crate::app::App;
use crate::audit::{Action, Scope};
use crate::config::UploadLimits;
use crate::framing::{CsvFramer, Format, Framing as _, HeaderFault, Names, Shape, Table};
use crate::jobs::UploadGuard;
use crate::model::{Digest, Level, Migration, Name};
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

/// What an upload does.
pub enum Kind {
    /// Maps a source table.
    Source {
        /// Digest of the mapper.
        mapper: Digest,
    },
    /// Stages records in the platform's own shape.
    Records,
    /// Removes the records that it names.
    Deletion,
}

impl Kind {
    /// As it stands in the log.
    fn word(&self) -> &'static str {
        if matches!(self, Kind::Source { .. }) { "sources" } else { "staging" }
    }
}

/// One upload, from its first byte to its last result.
pub struct Incoming {
    pub app: Arc<App>,
    pub migration: Migration,
    pub author: Author,
    /// The source or entity type.
    pub stream: Name,
    /// How the body is compressed, and how records stand in it.
    pub coding: Coding,
    pub shape: Shape,
    /// How results are framed.
    pub answer: Format,
    pub kind: Kind,
}

impl Incoming {
    /// Takes the body in through `load`, which is told the upload's number, and answers with its results as they
    /// become durable.
    pub async fn take(
        self,
        body: Body,
        load: impl FnOnce(&Desk, u32, pipeline::Body, &mut Results) -> Result<Upload, Failure> + Send + 'static,
    ) -> Result<Response, Problem> {
        let Self { app, migration, author, stream, coding, shape, answer, kind } = self;
        let of_source = matches!(kind, Kind::Source { .. });
        // A source and an entity type of one name are two streams.
        let (opening, whole) = (app.clone(), format!("{}/{stream}", kind.word()));
        let opened = tokio::task::spawn_blocking(move || {
            let guard = opening.jobs.begin_upload(migration.reference_id, &whole)?;
            Ok::<_, Problem>((guard, opening.desk(migration)?))
        });
        let (guard, desk) = opened.await??;
        let limits = &app.config.upload;
        let mut pieces = Pieces::new(paced(body, limits), coding, limits);
        let first = beginning(&mut pieces, &shape, limits).await?;
        let (spool, reader) = Spool::new(&desk.area)?;
        let results = Results::new(spool, answer, of_source, &app.config.upload);
        let (send, receive) = mpsc::channel(WAITING_PIECES);
        tokio::spawn(pump(first, pieces, send));
        app.metrics.upload_begins();
        let noted = Noted { app, author, stream, kind, of_table: matches!(shape, Shape::Csv(_)) };
        let body = pipeline::Body { pieces: receive, shape };
        tokio::task::spawn_blocking(move || work(&desk, guard, &noted, body, results, load));
        let content_type = [(header::CONTENT_TYPE, media_type(answer))];
        Ok((content_type, Body::from_stream(read_out(reader))).into_response())
    }
}

/// What is noted of an upload, when it begins and when it ends.
struct Noted {
    app: Arc<App>,
    author: Author,
    stream: Name,
    kind: Kind,
    of_table: bool,
}

impl Noted {
    /// Notes that it begins; its number. A deletion has none, and is noted when it is done.
    fn begin(&self, desk: &Desk) -> Result<u32, Failure> {
        let mapper = match &self.kind {
            Kind::Deletion => return Ok(0),
            Kind::Source { mapper } => Some(*mapper),
            Kind::Records => None,
        };
        let id = desk.migration.reference_id;
        let number = desk.store.begin_upload(id, &self.stream, mapper, self.of_table, Timestamp::now())?;
        let begun = self.author.entry(Action::UploadBegun).upload(number).stream(&self.stream);
        self.app.audit(Scope::Migration(id), begun.plugins(self.plugins(desk)))?;
        Ok(number)
    }

    fn plugins<'a>(&'a self, desk: &'a Desk) -> impl Iterator<Item = Digest> {
        let judge = desk.plugins.of_entity_type(&self.stream).map(|plugin| plugin.digest);
        let of_source = matches!(self.kind, Kind::Source { .. });
        let all = desk.plugin_digests().filter(move |_| of_source);
        all.chain(judge.filter(|_| !of_source))
    }

    /// Notes what it came to.
    fn end(&self, desk: &Desk, number: u32, loaded: Result<&Upload, &Failure>) -> Result<(), Failure> {
        let id = desk.migration.reference_id;
        let deletion = matches!(self.kind, Kind::Deletion);
        let action = if deletion { Action::RecordsDeleted } else { Action::UploadEnded };
        let mut entry = self.author.entry(action).stream(&self.stream).plugins(self.plugins(desk));
        if !deletion {
            entry = entry.upload(number);
        }
        let end = loaded.map(Upload::end);
        entry = match &end {
            Ok(end) => {
                let skipped = end.skipped.values().sum();
                let entry = entry.body(end.body).figure("bytes", end.bytes).figure("records", end.records);
                let entry = entry.figure("accepted", end.accepted).figure("skipped", skipped);
                let entry = entry.figure("rejected", end.rejected).figure("quarantined", end.quarantined);
                if end.broken_off { entry.failed("BODY_BROKEN_OFF") } else { entry }
            }
            Err(failure) => entry.failed(failure.code()),
        };
        if !deletion && number > 0 {
            let end = end.as_ref().map_err(|failure| failure.code());
            desk.store.end_upload(id, number, end, Timestamp::now())?;
        }
        Ok(self.app.audit(Scope::Migration(id), entry)?)
    }
}

/// The body up to the first piece with anything in it, and of a table up to the end of its header. A body without any
/// is almost always a mistake, and taking it for an empty table would lose one in silence.
async fn beginning(pieces: &mut Pieces, shape: &Shape, limits: &UploadLimits) -> Result<Bytes, Problem> {
    let patience = Duration::from_secs(limits.idle_seconds);
    let begun = tokio::time::timeout(patience, async {
        let first = first_piece(pieces).await?;
        match shape {
            Shape::Csv(table) => header(first, pieces, table, limits).await,
            Shape::Json(_) => Ok(first),
        }
    });
    begun.await.unwrap_or_else(|_| Err(broken_at_once(BrokenOff::Slow)))
}

async fn first_piece(pieces: &mut Pieces) -> Result<Bytes, Problem> {
    // What is blank counts as well: lines are numbered from the first byte on.
    let mut blank = vec![];
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(broken_at_once)?;
        let more = piece.iter().all(|byte| BLANK.contains(byte)) && blank.len() < MOST_BLANK;
        if !more && blank.is_empty() {
            return Ok(piece);
        }
        blank.extend_from_slice(&piece);
        if !more {
            return Ok(blank.into());
        }
    }
    Err(empty())
}

fn empty() -> Problem {
    Problem::bad_request("EMPTY_BODY", "The body holds no record. An empty table need not be uploaded.")
}

/// Reads on until the header says that it names the table's fields.
async fn header(
    first: Bytes,
    pieces: &mut Pieces,
    table: &Arc<Table>,
    limits: &UploadLimits,
) -> Result<Bytes, Problem> {
    let mut framer = CsvFramer::new(table.clone(), limits.max_record_bytes);
    let (mut read, mut next) = (vec![], first);
    loop {
        // Far enough for the header, whatever follows it.
        framer.push(&next, 1, 1);
        if table.names == Names::Header && framer.header().is_none() {
            read.extend_from_slice(&next);
            // Even were it short, so much that is blank is none.
            if read.len() > limits.max_record_bytes + MOST_BLANK {
                return Err(Failure::Header(HeaderFault::TooLong).into());
            }
            match pieces.next().await {
                Some(piece) => next = piece.map_err(broken_at_once)?,
                None => {
                    framer.finish();
                    next = Bytes::new();
                }
            }
            if !next.is_empty() {
                continue;
            }
        }
        if let Some(fault) = framer.refused() {
            return Err(Failure::Header(fault).into());
        }
        if table.names == Names::Header && framer.header().is_none() {
            return Err(empty());
        }
        return Ok(if read.is_empty() { next } else { [&read, &next[..]].concat().into() });
    }
}

fn broken_at_once(reason: BrokenOff) -> Problem {
    match reason {
        BrokenOff::Gone | BrokenOff::Slow => {
            Problem::bad_request("BODY_BROKEN_OFF", "The body broke off before its first record.")
        }
        reason => broken_off(reason),
    }
}

/// Carries the body over to the thread that frames it, until it ends, breaks off or nobody takes it.
async fn pump(first: Bytes, mut pieces: Pieces, send: mpsc::Sender<Result<Bytes, BrokenOff>>) {
    let mut next = Some(Ok(first));
    while let Some(piece) = next {
        let broken = piece.is_err();
        if send.send(piece).await.is_err() || broken {
            return;
        }
        next = pieces.next().await;
    }
}

fn work(
    desk: &Desk,
    guard: UploadGuard,
    noted: &Noted,
    body: pipeline::Body,
    mut results: Results,
    load: impl FnOnce(&Desk, u32, pipeline::Body, &mut Results) -> Result<Upload, Failure>,
) {
    let begun = noted.begin(desk);
    let number = begun.as_ref().copied().unwrap_or(0);
    let loaded = begun.and_then(|number| load(desk, number, body, &mut results));
    noted.app.metrics.upload_ended(&outcomes(loaded.as_ref().ok()));
    if let (Kind::Source { .. }, Some(mapper)) = (&noted.kind, &desk.migration.mapper) {
        let taken = desk.usage.taken(mapper.digest);
        noted.app.metrics.plugin_took(&mapper.name, (taken.time, taken.memory_bytes));
    }
    if let Err(error) = noted.end(desk, number, loaded.as_ref()) {
        tracing::error!(code = error.code(), %error, "an upload's end could not be audited");
    }
    let entry = match &loaded {
        Ok(upload) => {
            let broken_off = upload.received.broken_off.is_some();
            let skipped: u64 = upload.skipped.values().sum();
            let severity =
                if upload.rejected + upload.quarantined > 0 || broken_off { Level::Warning } else { Level::Info };
            let code = if broken_off { "UPLOAD_BROKEN_OFF" } else { "UPLOAD_ENDED" };
            LogEntry::new(severity, code)
                .with("kind", noted.kind.word())
                .with("stream", noted.stream.clone())
                .with("records", upload.records)
                .with("accepted", upload.accepted)
                .with("skipped", skipped)
                .with("rejected", upload.rejected)
                .with("quarantined", upload.quarantined)
        }
        Err(failure) => LogEntry::new(Level::Error, failure.code())
            .with("kind", noted.kind.word())
            .with("stream", noted.stream.clone()),
    };
    if let Err(error) = desk.store.log(desk.migration.reference_id, &entry) {
        tracing::error!(code = "CATALOGUE_FAILED", %error, "an upload's end could not be logged");
    }
    // Before the last result is out, so that whoever has read it can start a job.
    drop(guard);
    let stopped = match loaded {
        Ok(upload) => upload.received.broken_off.map(broken_off),
        Err(failure) => Some(Problem::from(failure)),
    };
    if let Some(problem) = stopped {
        // What was worked on before is answered first, as far as it is on disk.
        let answered = results.settle(&desk.area, true);
        if let Err(error) = answered.and(results.stop(&problem.to_json())) {
            tracing::error!(code = "STAGING_FAILED", %error, "a client could not be told why its upload stopped");
        }
    }
}

/// What became of an upload's records, for the metrics.
fn outcomes(upload: Option<&Upload>) -> [(&'static str, u64); 4] {
    let of = |figure: fn(&Upload) -> u64| upload.map_or(0, figure);
    [
        ("accepted", of(|upload| upload.accepted)),
        ("skipped", of(|upload| upload.skipped.values().sum())),
        ("rejected", of(|upload| upload.rejected)),
        ("quarantined", of(|upload| upload.quarantined)),
    ]
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
