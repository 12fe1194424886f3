//! An upload: the body comes in while results go out, and neither waits for the other.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use futures_util::Stream;
use futures_util::stream::unfold;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::request_body::{BodyPieces, paced};
use super::table_check::missing_key;
use super::work::{Loader, UploadAudit, work};
use super::{ContentCoding, IngestError, IngestOutcome, ResultError, UploadKind};
use crate::app::{AsyncApp, AuditAuthor, TenantPermit, TenantWork};
use sluice_config::UploadLimits;
use sluice_contract::SourceTable;
use sluice_framing::{
    BodyFormat, BodyStart, ColumnNames, CsvFormat, CsvFramer, Framing as _, HeaderFault, JsonFormat, recognise,
};
use sluice_model::{Migration, Name};
use sluice_pipeline::jobs::UploadGuard;
use sluice_pipeline::{
    self, MigrationContext, PipelineError, RecordStreamError, ResultWriter, StreamPart, frame_limits,
};
use sluice_staging::{SealedFile, Spool, SpoolReader};

/// Pieces of a body that wait to be framed. The HTTP server makes pieces of at most some hundred kilobytes, so these take
/// little memory.
const WAITING_PIECES: usize = 8;

/// Bytes that may stand between records, at the start of a body, and as padding at its end.
const BLANK: &[u8] = b" \t\r\n\x1e\xef\xbb\xbf\0\x1a";

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
    /// Description of the source, if the upload is one of a source.
    pub source: Option<SourceTable>,
}

impl UploadIngest {
    /// Processes a request's body with `load`. Returns a reader of the results, which appear as they become durable.
    pub async fn stream_results<P: ResultError>(self, body: Body, load: impl Loader) -> Result<SpoolReader, P> {
        let (migration, stream) = (self.migration.clone(), self.kind.stream(&self.stream));
        let opened = self.app.blocking(move |app| {
            let permit = app.permits.begin(&migration.tenant, TenantWork::Upload)?;
            let guard = app.jobs.begin_upload(migration.reference_id, &stream)?;
            let context = app.migration_context(migration)?;
            app.limit_disk(&context.migration, &context.area)?;
            Ok::<_, IngestError>(((guard, permit), context))
        });
        let (guard, context) = opened.await?;
        let limits = &self.app.config().upload;
        let mut pieces = BodyPieces::new(paced(body, limits), self.coding, limits);
        let first = beginning(&mut pieces, &self.shape, self.source.as_ref(), limits).await?;
        let area = context.area.clone();
        let (spool, reader) = self.app.blocking(move |_| Ok::<_, IngestError>(Spool::new(&area)?)).await?;
        let results = ResultWriter::new(spool, self.answer, matches!(self.kind, UploadKind::Source { .. }), limits);
        self.begin::<P>(guard, context, (first, pieces), results, load);
        Ok(reader)
    }

    /// Processes a body that was received before, with `load`, and writes the results to a file.
    pub async fn keep_results<P: ResultError>(
        self,
        guard: (UploadGuard, TenantPermit),
        context: MigrationContext,
        body: impl Stream<Item = Result<Bytes, RecordStreamError>> + Send + 'static,
        results: SealedFile,
        load: impl Loader,
    ) -> Result<IngestOutcome<P>, IngestError> {
        let limits = &self.app.config().upload;
        let mut pieces = BodyPieces::new(body, self.coding, limits);
        let first = match beginning(&mut pieces, &self.shape, self.source.as_ref(), limits).await {
            Ok(first) => first,
            Err(error) => return Ok(IngestOutcome { number: 0, upload: None, error: Some(error.into()) }),
        };
        let results = ResultWriter::into_file(results, limits);
        Ok(self.begin(guard, context, (first, pieces), results, load).await?)
    }

    fn begin<P: ResultError>(
        self,
        (guard, permit): (UploadGuard, TenantPermit),
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
        let body = sluice_pipeline::RecordStream { parts: receive, shape };
        app.spawn_blocking(move |app| {
            let audit = UploadAudit { app, author, stream, kind, table };
            let outcome = work(&context, guard, &audit, body, results, load);
            // The work goes on after its client has disconnected, and so does the permit.
            drop(permit);
            outcome
        })
    }
}

/// Returns the body up to its first record, or up to its end. For a table it includes the first row below the header.
///
/// A body without content is refused: it is almost always a mistake, and processing it as an empty table would hide the loss
/// of a table. A body that cannot be right is refused as a whole.
async fn beginning(
    pieces: &mut BodyPieces,
    shape: &BodyFormat,
    source: Option<&SourceTable>,
    limits: &UploadLimits,
) -> Result<Bytes, IngestError> {
    let timeout = Duration::from_secs(limits.idle_seconds);
    let beginning = tokio::time::timeout(timeout, async {
        let first = first_bytes(pieces, shape).await?;
        match shape {
            BodyFormat::Csv(table) => header(first, pieces, table, source, limits).await,
            BodyFormat::Json(_) => Ok(first),
        }
    });
    beginning.await.unwrap_or_else(|_| Err(before_first_record(RecordStreamError::Slow)))
}

/// Reads until the format of the body is known.
async fn first_bytes(pieces: &mut BodyPieces, shape: &BodyFormat) -> Result<Bytes, IngestError> {
    // Blank bytes are kept, because lines are numbered from the first byte.
    let mut read = Bytes::new();
    loop {
        let next = pieces.next().await.transpose().map_err(before_first_record)?;
        let ended = next.is_none();
        // A body in one piece is not copied.
        match next {
            Some(piece) if read.is_empty() => read = piece,
            Some(piece) => read = [read, piece].concat().into(),
            None => {}
        }
        if read.iter().all(|byte| BLANK.contains(byte)) {
            match ended {
                true => return Err(IngestError::Empty),
                false if read.len() < MAX_BLANK => continue,
                false => return Ok(read),
            }
        }
        match recognise(&read, shape, ended) {
            BodyStart::Foreign(foreign) => return Err(IngestError::Foreign(foreign, shape.clone())),
            BodyStart::Undecided if !ended => {}
            BodyStart::Undecided | BodyStart::Plausible => return Ok(read),
        }
    }
}

/// Reads until the header of a table and its first row are complete. Checks that the header names the fields and the key.
async fn header(
    first: Bytes,
    pieces: &mut BodyPieces,
    table: &Arc<CsvFormat>,
    source: Option<&SourceTable>,
    limits: &UploadLimits,
) -> Result<Bytes, IngestError> {
    let mut framer = CsvFramer::new(table.clone(), frame_limits(limits));
    let mut read = first;
    let mut checked = 0;
    let mut ended = false;
    loop {
        // One row is enough: rows of separators and refused rows may precede it.
        while checked < read.len() && !framer.has_begun() {
            checked += framer.push(&read[checked..], 1, 1);
            framer.take_batch();
        }
        while ended && !framer.has_begun() && !framer.finish(1, 1) {
            framer.take_batch();
        }
        match framer.columns() {
            Some(Err(fault)) => return Err(PipelineError::Header(fault).into()),
            Some(Ok(names)) if ended || framer.has_begun() || read.len() > limits.max_record_bytes + MAX_BLANK => {
                return match source.and_then(|source| missing_key(source, table, framer.separator(), names)) {
                    Some(message) => Err(IngestError::MissingKeyColumn(message)),
                    None => Ok(read),
                };
            }
            None if ended && table.names == ColumnNames::Header => return Err(IngestError::Empty),
            None if ended || table.names != ColumnNames::Header && framer.has_begun() => return Ok(read),
            // Blank lines may precede the header.
            None if read.len() > limits.max_record_bytes + MAX_BLANK => {
                return match table.names {
                    ColumnNames::Header => Err(PipelineError::Header(HeaderFault::TooLong).into()),
                    ColumnNames::Given(_) => Ok(read),
                };
            }
            Some(Ok(_)) | None => {}
        }
        match pieces.next().await {
            Some(piece) => read = [read, piece.map_err(before_first_record)?].concat().into(),
            None => ended = true,
        }
    }
}

fn before_first_record(reason: RecordStreamError) -> IngestError {
    match reason {
        RecordStreamError::Gone | RecordStreamError::Slow => IngestError::EndedEarly,
        reason => IngestError::BrokenOff(reason),
    }
}

type PartSender = mpsc::Sender<Result<StreamPart, RecordStreamError>>;

/// Sends the body to the thread that frames it, until the body ends or the thread stops.
async fn pump(first: Bytes, mut pieces: BodyPieces, send: PartSender) {
    let mut next = Some(Ok(first));
    while let Some(piece) = next {
        let broken = piece.is_err();
        if send.send(piece.map(StreamPart::Bytes)).await.is_err() || broken {
            return;
        }
        next = pieces.next().await;
    }
    // If this task panics, the end is not sent, and the upload fails.
    let _ = send.send(Ok(StreamPart::End)).await;
}

/// Returns the bytes of a stream. If its sender is gone before the end of the stream, the last item is an error.
pub fn whole_stream(
    parts: mpsc::Receiver<Result<StreamPart, RecordStreamError>>,
) -> impl Stream<Item = Result<Bytes, RecordStreamError>> + Send + 'static {
    unfold(Some(parts), |parts| async move {
        let mut parts = parts?;
        match parts.recv().await.unwrap_or(Err(RecordStreamError::Panicked)) {
            Ok(StreamPart::Bytes(bytes)) => Some((Ok(bytes), Some(parts))),
            Ok(StreamPart::End) => None,
            Err(reason) => Some((Err(reason), None)),
        }
    })
}
