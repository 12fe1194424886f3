//! Work on an upload, with its audit entries, log entries and metrics.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use jiff::Timestamp;

use super::{IngestError, ResultError};
use crate::app::{App, AuditAuthor};
use sluice_audit::{Action, AuditScope};
use sluice_catalog::LogEntry;
use sluice_model::{Digest, Domain, Level, Name, UploadLines};
use sluice_pipeline::jobs::UploadGuard;
use sluice_pipeline::{self, MigrationContext, PipelineError, ResultWriter, UploadSummary};

/// Kind of an upload.
pub enum UploadKind {
    /// Records of a source, which a mapper maps.
    Source {
        /// Digest of the mapper.
        mapper: Digest,
    },
    /// Records in the platform's own shape, which are staged.
    Records,
    /// Reference ids of records, which are removed.
    Deletion,
}

impl UploadKind {
    /// Returns the word for the kind in log entries.
    pub fn word(&self) -> &'static str {
        if matches!(self, UploadKind::Source { .. }) { "sources" } else { "staging" }
    }

    /// Returns the stream that the upload writes to. A source and an entity type with the same name are two streams.
    pub fn stream(&self, name: &Name) -> String {
        format!("{}/{name}", self.word())
    }
}

/// Audit entries of an upload, at its begin and its end.
pub struct UploadAudit<'a> {
    /// Application state.
    pub app: &'a Arc<App>,
    /// Author of the entries.
    pub author: AuditAuthor,
    /// Source or entity type.
    pub stream: Name,
    /// Kind of the upload.
    pub kind: UploadKind,
    /// True if the body is a table.
    pub table: bool,
}

impl UploadAudit<'_> {
    /// Records that the upload begins, and returns its number. A deletion has number 0, and is recorded at its end only.
    fn begin(&self, context: &MigrationContext) -> Result<u32, PipelineError> {
        let mapper = match &self.kind {
            UploadKind::Deletion => return Ok(0),
            UploadKind::Source { mapper } => Some(*mapper),
            UploadKind::Records => None,
        };
        let id = context.migration.reference_id;
        let number = context.store.begin_upload(id, &self.stream, mapper, self.table, Timestamp::now())?;
        let begun = self.author.entry(Action::UploadBegun).upload(number).stream(&self.stream);
        self.app.audit(AuditScope::Migration(id), begun.plugins(self.plugins(context)))?;
        Ok(number)
    }

    /// Returns the domain that the upload is about. Tables of a source concern the migration as a whole.
    fn domain(&self, context: &MigrationContext) -> Option<&'static Domain> {
        let of_source = matches!(self.kind, UploadKind::Source { .. });
        let plugin = context.plugins.of_entity_type(&self.stream).filter(|_| !of_source)?;
        Domain::by_component(&plugin.description.domain)
    }

    fn plugins<'a>(&'a self, context: &'a MigrationContext) -> impl Iterator<Item = Digest> {
        let validator = context.plugins.of_entity_type(&self.stream).map(|plugin| plugin.digest);
        let of_source = matches!(self.kind, UploadKind::Source { .. });
        let all = context.plugin_digests().filter(move |_| of_source);
        all.chain(validator.filter(|_| !of_source))
    }

    /// Records how the upload ended.
    fn end(
        &self,
        context: &MigrationContext,
        number: u32,
        loaded: Result<&UploadSummary, &PipelineError>,
    ) -> Result<(), PipelineError> {
        let id = context.migration.reference_id;
        let deletion = matches!(self.kind, UploadKind::Deletion);
        let action = if deletion { Action::RecordsDeleted } else { Action::UploadEnded };
        let mut entry = self.author.entry(action).stream(&self.stream).plugins(self.plugins(context));
        if !deletion {
            entry = entry.upload(number);
        }
        let end = loaded.map(UploadSummary::end);
        entry = match &end {
            Ok(end) => {
                let skipped = end.skipped.values().sum();
                let entry = entry.body(end.body).figure("bytes", end.bytes).figure("records", end.records);
                let entry = entry.figure("accepted", end.accepted).figure("skipped", skipped);
                let entry = entry.figure("rejected", end.rejected).figure("quarantined", end.quarantined);
                match end {
                    end if end.broken_off => entry.failed("BODY_BROKEN_OFF"),
                    end if end.lines.is_some_and(|lines| !lines.agree()) => {
                        entry.failed(PipelineError::LinesLost.code())
                    }
                    _ => entry,
                }
            }
            Err(failure) => entry.failed(failure.code()),
        };
        let acknowledged = context.acknowledged();
        if !deletion && number > 0 {
            let end = end.as_ref().map_err(|failure| failure.code());
            context.store.end_upload(id, number, end, acknowledged, Timestamp::now())?;
        } else {
            context.store.acknowledge(id, acknowledged)?;
        }
        Ok(self.app.audit(AuditScope::Migration(id), entry)?)
    }
}

/// A function that loads a body. Its second argument is the upload's number.
pub trait Loader:
    FnOnce(
        &MigrationContext,
        u32,
        sluice_pipeline::RecordStream,
        &mut ResultWriter,
    ) -> Result<UploadSummary, PipelineError>
    + Send
    + 'static
{
}

impl<F> Loader for F where
    F: FnOnce(
            &MigrationContext,
            u32,
            sluice_pipeline::RecordStream,
            &mut ResultWriter,
        ) -> Result<UploadSummary, PipelineError>
        + Send
        + 'static
{
}

/// Outcome of an upload.
pub struct IngestOutcome<P> {
    /// Upload's number in the migration; 0 if it did not begin.
    pub number: u32,
    /// Figures of the upload, unless it failed.
    pub upload: Option<UploadSummary>,
    /// Reason why the upload was not processed completely.
    pub error: Option<P>,
}

/// Processes an upload, from its first piece to its last result.
pub fn work<P: ResultError>(
    context: &MigrationContext,
    guard: UploadGuard,
    audit: &UploadAudit,
    body: sluice_pipeline::RecordStream,
    mut results: ResultWriter,
    load: impl Loader,
) -> IngestOutcome<P> {
    let begun = audit.begin(context);
    let number = begun.as_ref().copied().unwrap_or(0);
    let loaded = begun.and_then(|number| {
        // A panic is an upload that failed, with a code. Its message is not shown, because it may quote a record.
        let loaded = catch_unwind(AssertUnwindSafe(|| load(context, number, body, &mut results)));
        loaded.unwrap_or(Err(PipelineError::Panicked))
    });
    audit.app.metrics.upload_ended(&outcomes(loaded.as_ref().ok()));
    if let (UploadKind::Source { .. }, Some(mapper)) = (&audit.kind, &context.migration.mapper) {
        let taken = context.usage.of_plugin(mapper.digest);
        audit.app.metrics.record_plugin_usage(&mapper.name, (taken.time, taken.memory_bytes));
    }
    if let Err(error) = audit.end(context, number, loaded.as_ref()) {
        tracing::error!(code = error.code(), %error, "cannot audit the end of an upload");
    }
    let entry = match &loaded {
        Ok(upload) => {
            let broken_off = upload.input.error.is_some();
            let skipped: u64 = upload.skipped.values().sum();
            let severity =
                if upload.rejected + upload.quarantined > 0 || broken_off { Level::Warning } else { Level::Info };
            let code = if broken_off { "UPLOAD_BROKEN_OFF" } else { "UPLOAD_ENDED" };
            LogEntry::new(severity, code)
                .with("kind", audit.kind.word())
                .with("stream", audit.stream.clone())
                .with("lines", upload.lines.read)
                .with("records", upload.records)
                .with("accepted", upload.accepted)
                .with("skipped", skipped)
                .with("rejected", upload.rejected)
                .with("quarantined", upload.quarantined)
                .with("changed", upload.changes)
        }
        Err(failure) => LogEntry::new(Level::Error, failure.code())
            .with("kind", audit.kind.word())
            .with("stream", audit.stream.clone()),
    };
    let entry = match audit.domain(context) {
        Some(domain) => entry.of(domain),
        None => entry,
    };
    if let Err(error) = context.store.log(context.migration.reference_id, &entry) {
        tracing::error!(code = "CATALOGUE_FAILED", %error, "cannot log the end of an upload");
    }
    // The guard is released before the last result is sent, so that a client that has read it can start a job.
    drop(guard);
    let (upload, error) = match loaded {
        Ok(upload) => {
            let error = match upload.input.error {
                Some(reason) => Some(IngestError::BrokenOff(reason)),
                None => upload.has_lost_lines().then(|| {
                    let code = PipelineError::LinesLost.code();
                    let UploadLines { read, .. } = upload.lines;
                    tracing::error!(code, read, accounted = upload.lines.accounted(), "an upload has lost lines");
                    PipelineError::LinesLost.into()
                }),
            };
            (Some(upload.clone()), error)
        }
        Err(failure) => (None, Some(IngestError::Failure(failure))),
    };
    let error = error.map(P::from);
    if error.is_some()
        // The results of durable records come before the error.
        && let Err(error) = results.finish(&context.area)
    {
        tracing::error!(code = "STAGING_FAILED", %error, "cannot report the staged records of an upload");
    }
    let closed = results.close(error.as_ref().map(P::to_json).as_ref());
    IngestOutcome { number, upload, error: error.or(closed.err().map(|error| IngestError::from(error).into())) }
}

/// Returns the numbers of records by outcome, for the metrics.
fn outcomes(upload: Option<&UploadSummary>) -> [(&'static str, u64); 4] {
    let of = |figure: fn(&UploadSummary) -> u64| upload.map_or(0, figure);
    [
        ("accepted", of(|upload| upload.accepted)),
        ("skipped", of(|upload| upload.skipped.values().sum())),
        ("rejected", of(|upload| upload.rejected)),
        ("quarantined", of(|upload| upload.quarantined)),
    ]
}
