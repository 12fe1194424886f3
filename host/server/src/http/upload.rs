//! What every upload has in common: the body comes in, results go out, and neither waits for the other.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use futures_util::Stream;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::caller::Author;
use super::media::media_type;
use super::pieces::{Coding, Pieces, broken_off, paced};
use super::problem::Problem;
use super::work::{Kind, Load, Noted, Worked, work};
use crate::app::App;
use sluice_config::UploadLimits;
use sluice_framing::{CsvFramer, Format, Framing as _, HeaderFault, Names, Shape, Table};
use sluice_model::{Migration, Name};
use sluice_pipeline::jobs::UploadGuard;
use sluice_pipeline::{self, BrokenOff, Desk, Failure, Results};
use sluice_staging::{PieceFile, Spool, SpoolReader};

/// Pieces of a body that may wait to be framed: with hyper's of at most some hundred kilobytes each,
/// little memory.
const WAITING_PIECES: usize = 8;

/// What stands between records and at the front of a body.
const BLANK: &[u8] = b" \t\r\n\x1e\xef\xbb\xbf";

/// Blank bytes at the front of a body that are kept while nothing else has come: nobody means to send more.
const MOST_BLANK: usize = 64 * 1024;

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
    pub async fn take(self, body: Body, load: impl Load) -> Result<Response, Problem> {
        let (opening, migration, whole) = (self.app.clone(), self.migration.clone(), self.kind.stream(&self.stream));
        let opened = tokio::task::spawn_blocking(move || {
            let guard = opening.jobs.begin_upload(migration.reference_id, &whole)?;
            Ok::<_, Problem>((guard, opening.desk(migration)?))
        });
        let (guard, desk) = opened.await??;
        let limits = &self.app.config.upload;
        let mut pieces = Pieces::new(paced(body, limits), self.coding, limits);
        let first = beginning(&mut pieces, &self.shape, limits).await?;
        let (spool, reader) = Spool::new(&desk.area)?;
        let results = Results::new(spool, self.answer, matches!(self.kind, Kind::Source { .. }), limits);
        let content_type = [(header::CONTENT_TYPE, media_type(self.answer))];
        self.begin(guard, desk, (first, pieces), results, load);
        Ok((content_type, Body::from_stream(read_out(reader))).into_response())
    }

    /// Takes in what has been received before, and keeps its results; what it came to.
    pub async fn take_kept(
        self,
        guard: UploadGuard,
        desk: Desk,
        received: impl Stream<Item = Result<Bytes, BrokenOff>> + Send + 'static,
        results: PieceFile,
        load: impl Load,
    ) -> Result<Worked, Problem> {
        let limits = &self.app.config.upload;
        let mut pieces = Pieces::new(received, self.coding, limits);
        let first = match beginning(&mut pieces, &self.shape, limits).await {
            Ok(first) => first,
            Err(problem) => return Ok(Worked { number: 0, upload: None, problem: Some(problem) }),
        };
        let results = Results::into_file(results, limits);
        Ok(self.begin(guard, desk, (first, pieces), results, load).await?)
    }

    fn begin(
        self,
        guard: UploadGuard,
        desk: Desk,
        (first, pieces): (Bytes, Pieces),
        results: Results,
        load: impl Load,
    ) -> JoinHandle<Worked> {
        let Self { app, author, stream, shape, kind, .. } = self;
        let (send, receive) = mpsc::channel(WAITING_PIECES);
        tokio::spawn(pump(first, pieces, send));
        app.metrics.upload_begins();
        let noted = Noted { app, author, stream, kind, of_table: matches!(shape, Shape::Csv(_)) };
        let body = sluice_pipeline::Body { pieces: receive, shape };
        tokio::task::spawn_blocking(move || work(&desk, guard, &noted, body, results, load))
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
    // Far enough for the header, whatever follows it.
    framer.push(&first, 1, 1);
    if table.names != Names::Header {
        return Ok(first);
    }
    let mut read = first;
    while framer.header().is_none() {
        // Even were it short, so much that is blank is none.
        if read.len() > limits.max_record_bytes + MOST_BLANK {
            return Err(Failure::Header(HeaderFault::TooLong).into());
        }
        let Some(piece) = pieces.next().await else {
            framer.finish();
            break;
        };
        let piece = piece.map_err(broken_at_once)?;
        framer.push(&piece, 1, 1);
        read = [read, piece].concat().into();
    }
    match framer.header() {
        Some(Ok(())) => Ok(read),
        Some(Err(fault)) => Err(Failure::Header(fault).into()),
        None => Err(empty()),
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

fn read_out(reader: SpoolReader) -> impl futures_util::Stream<Item = Result<Vec<u8>, std::io::Error>> {
    futures_util::stream::unfold(reader, |mut reader| async move {
        match reader.next().await {
            Ok(Some(bytes)) => Some((Ok(bytes), reader)),
            Ok(None) => None,
            Err(error) => Some((Err(std::io::Error::other(error)), reader)),
        }
    })
}
