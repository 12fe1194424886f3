//! Results of an upload's records. A result is written when its record is durable, and not before.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::PipelineError;
use sluice_config::UploadLimits;
use sluice_framing::{Fault, JsonFormat};
use sluice_model::{Issue, RecordOutcome, RecordResult, TablePlace};
use sluice_staging::{SealedFile, Spool, StagingArea, StagingError};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ResultLine<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    reference_id: Option<uuid::Uuid>,
    is_successful: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u64>,
    /// Last line of a record with more than one.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_line: Option<u64>,
    /// Place of the quote because of which the lines are refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    quote: Option<TablePlace>,
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    records: Option<Vec<ResultRecord<'a>>>,
    errors: Vec<ResultIssue<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<ResultIssue<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ResultRecord<'a> {
    entity_type: &'a str,
    reference_id: uuid::Uuid,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ResultIssue<'a> {
    field: &'a str,
    code: &'a str,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<&'a str>,
    /// Line of the record that has the same key or id.
    #[serde(skip_serializing_if = "Option::is_none")]
    first_line: Option<u64>,
    /// Number of the table's columns, if the row has another number of fields.
    #[serde(skip_serializing_if = "Option::is_none")]
    expected_fields: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    found_fields: Option<u32>,
}

/// Message of an issue whose code a plugin has declared. The plugin's description says what it means.
const DECLARED_BY_A_PLUGIN: &str = "The plugin reports this code of its own.";

fn wrong(issues: &[Issue], field_counts: Option<(u32, u32)>, stopping: bool) -> Vec<ResultIssue<'_>> {
    let matching = issues.iter().filter(|issue| issue.is_error() == stopping);
    matching
        .map(|issue| {
            let counts = field_counts.filter(|_| &*issue.code == Fault::FieldCount.code());
            ResultIssue {
                field: &issue.field,
                code: &issue.code,
                message: sluice_codes::find_exact(&issue.code).map_or(DECLARED_BY_A_PLUGIN, |known| &known.meaning),
                rule: issue.rule.as_deref(),
                first_line: issue.first_line,
                expected_fields: counts.map(|(expected, _)| expected),
                found_fields: counts.map(|(_, found)| found),
            }
        })
        .collect()
}

/// Writes one result as JSON. Records in the platform's own shape get the fields that the platform's API uses. Source
/// records have no reference id, so they get their line.
fn write(result: &RecordResult, of_source: bool, out: &mut Vec<u8>) {
    let RecordResult { line, last_line, quote, field_counts, outcome, issues } = result;
    let mut output = ResultLine {
        reference_id: None,
        is_successful: true,
        line: None,
        last_line: (last_line > line).then_some(*last_line),
        quote: *quote,
        outcome: None,
        code: None,
        records: None,
        errors: wrong(issues, *field_counts, true),
        warnings: wrong(issues, *field_counts, false),
    };
    let (name, successful) = match outcome {
        RecordOutcome::Staged(id) | RecordOutcome::Deleted(id) => {
            output.reference_id = Some(*id);
            (None, true)
        }
        RecordOutcome::Mapped(produced) => {
            let made = |made: &'_ sluice_model::ProducedRecord| made.reference_id;
            output.records = Some(
                produced.iter().map(|p| ResultRecord { entity_type: &p.entity_type, reference_id: made(p) }).collect(),
            );
            (Some("mapped"), true)
        }
        RecordOutcome::Skipped(code) => {
            output.code = Some(code);
            (Some("skipped"), true)
        }
        RecordOutcome::Rejected(id) => {
            output.reference_id = *id;
            (Some("rejected"), false)
        }
        RecordOutcome::Quarantined(code) => {
            output.code = Some(code);
            (Some("quarantined"), false)
        }
    };
    output.is_successful = successful;
    output.outcome = name.filter(|_| of_source || name == Some("quarantined"));
    // A record without a reference id is identified by its line.
    output.line = (of_source || output.reference_id.is_none()).then_some(*line);
    serde_json::to_writer(&mut *out, &output).expect("a result can be written as JSON");
}

/// Code of an upload without a record, such as a table that has a header alone.
const NO_RECORDS: &str = "NO_RECORDS";

/// Destination of results.
enum ResultSink {
    /// No destination. Staged records are only made durable.
    Discard,
    /// A caller that reads results as they come.
    Client(Spool),
    /// A file that callers can read later.
    Kept(SealedFile),
}

impl ResultSink {
    fn write(&mut self, bytes: &[u8]) -> Result<(), StagingError> {
        match self {
            ResultSink::Discard => Ok(()),
            ResultSink::Client(spool) => spool.write(bytes),
            ResultSink::Kept(file) => file.append(bytes),
        }
    }
}

/// A group of results, and the staging area that has to be durable before they are written.
struct ResultGroup {
    area: Arc<StagingArea>,
    bytes: Vec<u8>,
}

/// A thread that waits for the disk and then writes results, while staging continues.
struct DurableWriter {
    groups: SyncSender<ResultGroup>,
    saved: Receiver<Result<(), StagingError>>,
    on_their_way: usize,
    /// Maximum number of groups in progress.
    ahead: usize,
    thread: JoinHandle<ResultSink>,
}

impl DurableWriter {
    fn new(mut sink: ResultSink, ahead: usize) -> Self {
        let (groups, handed) = sync_channel::<ResultGroup>(ahead);
        let (report, saved) = sync_channel(ahead);
        let thread = std::thread::spawn(move || {
            let mut intact = true;
            for ResultGroup { area, bytes } in handed {
                // Results come in order. After a group that could not be written, no other group is written.
                let done =
                    if intact { area.sync().and_then(|()| sink.write(&bytes)) } else { Err(StagingError::SpoolFailed) };
                intact = done.is_ok();
                // A receiver that is gone has failed, and its own error is returned.
                let _ = report.send(done);
            }
            sink
        });
        Self { groups, saved, on_their_way: 0, ahead, thread }
    }

    /// Hands a group to the thread, as soon as there is room.
    fn hand(&mut self, group: ResultGroup) -> Result<(), StagingError> {
        self.wait(self.ahead - 1)?;
        // The send fails if the thread has panicked. The join reports it.
        self.groups.send(group).map_err(|_| StagingError::SpoolFailed)?;
        self.on_their_way += 1;
        Ok(())
    }

    /// Waits until at most this many groups are in progress.
    fn wait(&mut self, most: usize) -> Result<(), StagingError> {
        while self.on_their_way > most {
            self.on_their_way -= 1;
            self.saved.recv().unwrap_or(Err(StagingError::SpoolFailed))?;
        }
        Ok(())
    }

    fn end(self) -> ResultSink {
        drop(self.groups);
        self.thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

/// A writer that holds results back until their records are durable.
pub struct ResultWriter {
    writer: DurableWriter,
    format: JsonFormat,
    of_source: bool,
    /// True if results are not written.
    discarding: bool,
    /// True if the upload has no record so far.
    empty: bool,
    waiting: Vec<u8>,
    records: usize,
    since: Instant,
    sync_records: usize,
    sync_after: Duration,
}

impl ResultWriter {
    /// Creates a writer for an upload whose caller reads the results as they come.
    pub fn new(spool: Spool, format: JsonFormat, of_source: bool, limits: &UploadLimits) -> Self {
        Self { format, of_source, ..Self::into(ResultSink::Client(spool), limits) }
    }

    /// Creates a writer for an upload of a source whose results are kept in a file.
    pub fn into_file(file: SealedFile, limits: &UploadLimits) -> Self {
        Self::into(ResultSink::Kept(file), limits)
    }

    /// Creates a writer that makes records durable and writes no results.
    pub(crate) fn discarding(limits: &UploadLimits) -> Self {
        Self::into(ResultSink::Discard, limits)
    }

    fn into(sink: ResultSink, limits: &UploadLimits) -> Self {
        Self {
            discarding: matches!(sink, ResultSink::Discard),
            empty: true,
            writer: DurableWriter::new(sink, limits.sync_ahead),
            format: JsonFormat::JsonLines,
            of_source: true,
            waiting: vec![],
            records: 0,
            since: Instant::now(),
            sync_records: limits.sync_records,
            sync_after: Duration::from_millis(limits.sync_millis),
        }
    }

    /// Adds a record's result.
    pub fn add(&mut self, result: &RecordResult) {
        if self.records == 0 {
            self.since = Instant::now();
        }
        self.records += 1;
        self.empty = false;
        if self.discarding {
            return;
        }
        if self.format == JsonFormat::JsonSeq {
            self.waiting.push(0x1e);
        }
        write(result, self.of_source, &mut self.waiting);
        self.waiting.push(b'\n');
    }

    /// Starts to make all records durable and to write their results, if enough results wait or `now` is true. Does not
    /// wait for the disk.
    pub fn flush(&mut self, area: &Arc<StagingArea>, now: bool) -> Result<(), StagingError> {
        let due = now || self.records >= self.sync_records || self.since.elapsed() >= self.sync_after;
        if self.records == 0 || !due {
            return Ok(());
        }
        self.records = 0;
        let bytes = std::mem::take(&mut self.waiting);
        self.writer.hand(ResultGroup { area: area.clone(), bytes })
    }

    /// Waits until all records are durable, and all results are written.
    pub fn finish(&mut self, area: &Arc<StagingArea>) -> Result<(), StagingError> {
        self.flush(area, true)?;
        self.writer.wait(0)
    }

    /// Finishes after work that succeeded or failed. If the staging area was closed during the work, returns the error
    /// that closed it.
    pub fn after<T>(&mut self, area: &Arc<StagingArea>, worked: Result<T, PipelineError>) -> Result<T, PipelineError> {
        match (worked, self.finish(area)) {
            (Ok(done), Ok(())) => Ok(done),
            (Ok(_) | Err(PipelineError::Staging(StagingError::SpoolFailed)), Err(error)) => Err(error.into()),
            (Err(failure), _) => Err(failure),
        }
    }

    /// Ends the results, with an error as the last line if there is one. If the upload had no record, the last line says
    /// so. A file of results is on disk afterwards.
    pub fn close(self, error: Option<&serde_json::Value>) -> Result<(), StagingError> {
        let mut sink = self.writer.end();
        let last = match error {
            Some(error) => Some(serde_json::json!({"isSuccessful": false, "problem": error})),
            None if self.empty => Some(serde_json::json!({"isSuccessful": true, "code": NO_RECORDS})),
            None => None,
        };
        if let Some(line) = last {
            let separator = if self.format == JsonFormat::JsonSeq { "\u{1e}" } else { "" };
            sink.write(format!("{separator}{line}\n").as_bytes())?;
        }
        match sink {
            ResultSink::Kept(mut file) => file.sync(),
            ResultSink::Client(spool) => {
                spool.end();
                Ok(())
            }
            ResultSink::Discard => Ok(()),
        }
    }
}
