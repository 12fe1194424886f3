//! An upload: the body comes in while results go out, and neither waits for the other.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use futures_util::Stream;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::request_body::{BodyPieces, paced};
use super::work::{Loader, UploadAudit, work};
use super::{ContentCoding, IngestError, IngestOutcome, ResultError, UploadKind};
use crate::app::{AsyncApp, AuditAuthor};
use sluice_config::UploadLimits;
use sluice_framing::{BodyFormat, ColumnNames, CsvFormat, CsvFramer, Framing as _, HeaderFault, JsonFormat};
use sluice_model::{Migration, Name};
use sluice_pipeline::jobs::UploadGuard;
use sluice_pipeline::{self, MigrationContext, PipelineError, RecordStreamError, ResultWriter};
use sluice_staging::{SealedFile, Spool, SpoolReader};

/// Pieces of a body that wait to be framed. The HTTP server makes pieces of at most some hundred kilobytes, so these take
/// little memory.
const WAITING_PIECES: usize = 8;

/// Bytes that may stand between records and at the start of a body.
const BLANK: &[u8] = b" \t\r\n\x1e\xef\xbb\xbf";

/// Maximum number of blank bytes at the start of a body that are kept in memory.
const MAX_BLANK: usize = 64 * 1024;

/// An upload.
pub struct UploadIngest {
    /// Application state.
    pub app: AsyncApp,
    /// Migration that the upload belongs to.
    pub migration: Migration,
    /// Author of the upload's audit entries.
    pub author: AuditAuthor,
    /// Source or entity type.
    pub stream: Name,
    /// Compression of the body.
    pub coding: ContentCoding,
    /// Framing of the records in the body.
    pub shape: BodyFormat,
    /// Framing of the results.
    pub answer: JsonFormat,
    /// Kind of the upload.
    pub kind: UploadKind,
}

impl UploadIngest {
    /// Processes a request's body with `load`. Returns a reader of the results, which appear as they become durable.
    pub async fn stream_results<P: ResultError>(self, body: Body, load: impl Loader) -> Result<SpoolReader, P> {
        let (migration, stream) = (self.migration.clone(), self.kind.stream(&self.stream));
        let opened = self.app.blocking(move |app| {
            let guard = app.jobs.begin_upload(migration.reference_id, &stream)?;
            Ok::<_, IngestError>((guard, app.migration_context(migration)?))
        });
        let (guard, context) = opened.await?;
        let limits = &self.app.config().upload;
        let mut pieces = BodyPieces::new(paced(body, limits), self.coding, limits);
        let first = beginning(&mut pieces, &self.shape, limits).await?;
        let area = context.area.clone();
        let (spool, reader) = self.app.blocking(move |_| Ok::<_, IngestError>(Spool::new(&area)?)).await?;
        let results = ResultWriter::new(spool, self.answer, matches!(self.kind, UploadKind::Source { .. }), limits);
        self.begin::<P>(guard, context, (first, pieces), results, load);
        Ok(reader)
    }

    /// Processes a body that was received before, with `load`, and writes the results to a file.
    pub async fn keep_results<P: ResultError>(
        self,
        guard: UploadGuard,
        context: MigrationContext,
        body: impl Stream<Item = Result<Bytes, RecordStreamError>> + Send + 'static,
        results: SealedFile,
        load: impl Loader,
    ) -> Result<IngestOutcome<P>, IngestError> {
        let limits = &self.app.config().upload;
        let mut pieces = BodyPieces::new(body, self.coding, limits);
        let first = match beginning(&mut pieces, &self.shape, limits).await {
            Ok(first) => first,
            Err(error) => return Ok(IngestOutcome { number: 0, upload: None, error: Some(error.into()) }),
        };
        let results = ResultWriter::into_file(results, limits);
        Ok(self.begin(guard, context, (first, pieces), results, load).await?)
    }

    fn begin<P: ResultError>(
        self,
        guard: UploadGuard,
        context: MigrationContext,
        (first, pieces): (Bytes, BodyPieces),
        results: ResultWriter,
        load: impl Loader,
    ) -> JoinHandle<IngestOutcome<P>> {
        let Self { app, author, stream, shape, kind, .. } = self;
        let (send, receive) = mpsc::channel(WAITING_PIECES);
        tokio::spawn(pump(first, pieces, send));
        app.metrics().upload_started();
        let table = matches!(shape, BodyFormat::Csv(_));
        let body = sluice_pipeline::RecordStream { chunks: receive, shape };
        app.spawn_blocking(move |app| {
            let audit = UploadAudit { app, author, stream, kind, table };
            work(&context, guard, &audit, body, results, load)
        })
    }
}

/// Returns the body up to the first piece with content; for a table up to the end of its header.
///
/// A body without content is refused: it is almost always a mistake, and processing it as an empty table would hide the loss
/// of a table.
async fn beginning(pieces: &mut BodyPieces, shape: &BodyFormat, limits: &UploadLimits) -> Result<Bytes, IngestError> {
    let timeout = Duration::from_secs(limits.idle_seconds);
    let beginning = tokio::time::timeout(timeout, async {
        let first = first_piece(pieces).await?;
        match shape {
            BodyFormat::Csv(table) => header(first, pieces, table, limits).await,
            BodyFormat::Json(_) => Ok(first),
        }
    });
    beginning.await.unwrap_or_else(|_| Err(before_first_record(RecordStreamError::Slow)))
}

async fn first_piece(pieces: &mut BodyPieces) -> Result<Bytes, IngestError> {
    // Blank bytes are kept, because lines are numbered from the first byte.
    let mut blank = vec![];
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(before_first_record)?;
        let more = piece.iter().all(|byte| BLANK.contains(byte)) && blank.len() < MAX_BLANK;
        if !more && blank.is_empty() {
            return Ok(piece);
        }
        blank.extend_from_slice(&piece);
        if !more {
            return Ok(blank.into());
        }
    }
    Err(IngestError::Empty)
}

/// Reads until the header of a table is complete, and checks that it names the fields.
async fn header(
    first: Bytes,
    pieces: &mut BodyPieces,
    table: &Arc<CsvFormat>,
    limits: &UploadLimits,
) -> Result<Bytes, IngestError> {
    let mut framer = CsvFramer::new(table.clone(), limits.max_record_bytes);
    // One record is enough: the header is the first.
    framer.push(&first, 1, 1);
    if table.names != ColumnNames::Header {
        return Ok(first);
    }
    let mut read = first;
    while framer.header().is_none() {
        // Blank lines may precede the header.
        if read.len() > limits.max_record_bytes + MAX_BLANK {
            return Err(PipelineError::Header(HeaderFault::TooLong).into());
        }
        let Some(piece) = pieces.next().await else {
            framer.finish();
            break;
        };
        let piece = piece.map_err(before_first_record)?;
        framer.push(&piece, 1, 1);
        read = [read, piece].concat().into();
    }
    match framer.header() {
        Some(Ok(())) => Ok(read),
        Some(Err(fault)) => Err(PipelineError::Header(fault).into()),
        None => Err(IngestError::Empty),
    }
}

fn before_first_record(reason: RecordStreamError) -> IngestError {
    match reason {
        RecordStreamError::Gone | RecordStreamError::Slow => IngestError::EndedEarly,
        reason => IngestError::BrokenOff(reason),
    }
}

/// Sends the body to the thread that frames it, until the body ends or the thread stops.
async fn pump(first: Bytes, mut pieces: BodyPieces, send: mpsc::Sender<Result<Bytes, RecordStreamError>>) {
    let mut next = Some(Ok(first));
    while let Some(piece) = next {
        let broken = piece.is_err();
        if send.send(piece).await.is_err() || broken {
            return;
        }
        next = pieces.next().await;
    }
}
