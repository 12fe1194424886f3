//! Results on their way to the client: written when they are durable, and not before.

use std::time::{Duration, Instant};

use serde::Serialize;

use crate::config::UploadLimits;
use crate::framing::Format;
use crate::model::{Issue, Outcome, RecordResult};
use crate::staging::{PieceFile, Spool, StagingArea, StagingError};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Line<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    reference_id: Option<uuid::Uuid>,
    is_successful: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    records: Option<Vec<Made<'a>>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<Wrong<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<Wrong<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Made<'a> {
    entity_type: &'a str,
    reference_id: uuid::Uuid,
}

#[derive(Serialize)]
struct Wrong<'a> {
    field: &'a str,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<&'a str>,
}

fn wrong(issues: &[Issue], stopping: bool) -> Vec<Wrong<'_>> {
    let matching = issues.iter().filter(|issue| issue.stops() == stopping);
    matching.map(|issue| Wrong { field: &issue.field, message: &issue.code, rule: issue.rule.as_deref() }).collect()
}

/// One result, as the API shows it. Records in the platform's own shape are answered as Akkuro does;
/// source records with their line, as they have no reference id.
fn write(result: &RecordResult, of_source: bool, out: &mut Vec<u8>) {
    let RecordResult { line, outcome, issues } = result;
    let mut shown = Line {
        reference_id: None,
        is_successful: true,
        line: None,
        outcome: None,
        code: None,
        records: None,
        errors: wrong(issues, true),
        warnings: wrong(issues, false),
    };
    let (name, successful) = match outcome {
        Outcome::Staged(id) | Outcome::Deleted(id) => {
            shown.reference_id = Some(*id);
            (None, true)
        }
        Outcome::Mapped(produced) => {
            let made = |made: &'_ crate::model::Produced| made.reference_id;
            shown.records =
                Some(produced.iter().map(|p| Made { entity_type: &p.entity_type, reference_id: made(p) }).collect());
            (Some("mapped"), true)
        }
        Outcome::Skipped(code) => {
            shown.code = Some(code);
            (Some("skipped"), true)
        }
        Outcome::Rejected(id) => {
            shown.reference_id = *id;
            (Some("rejected"), false)
        }
        Outcome::Quarantined(code) => {
            shown.code = Some(code);
            (Some("quarantined"), false)
        }
    };
    shown.is_successful = successful;
    shown.outcome = name.filter(|_| of_source || name == Some("quarantined"));
    // A record without a reference id can only be told by its line.
    shown.line = (of_source || shown.reference_id.is_none()).then_some(*line);
    serde_json::to_writer(&mut *out, &shown).expect("a result can be written as JSON");
}

/// Where results go.
enum Sink {
    /// Nobody waits for them, and what is staged is only made durable.
    Nobody,
    /// To a client that reads them as they come.
    Client(Spool),
    /// Into a file, for whoever asks.
    Kept(PieceFile),
}

impl Sink {
    fn write(&mut self, bytes: &[u8]) -> Result<(), StagingError> {
        match self {
            Sink::Nobody => Ok(()),
            Sink::Client(spool) => spool.write(bytes),
            Sink::Kept(file) => file.append(bytes),
        }
    }
}

/// Holds results back until what they say is on disk.
pub struct Results {
    sink: Sink,
    format: Format,
    of_source: bool,
    waiting: Vec<u8>,
    records: usize,
    since: Instant,
    sync_records: usize,
    sync_after: Duration,
}

impl Results {
    /// For one upload.
    pub fn new(spool: Spool, format: Format, of_source: bool, limits: &UploadLimits) -> Self {
        Self { sink: Sink::Client(spool), format, of_source, ..Self::unheard(limits) }
    }

    /// For one upload of a source whose results are kept.
    pub fn into_file(file: PieceFile, limits: &UploadLimits) -> Self {
        Self { sink: Sink::Kept(file), ..Self::unheard(limits) }
    }

    /// For work whose results nobody waits for.
    pub(super) fn unheard(limits: &UploadLimits) -> Self {
        Self {
            sink: Sink::Nobody,
            format: Format::JsonLines,
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
        if matches!(self.sink, Sink::Nobody) {
            return;
        }
        if self.format == Format::JsonSeq {
            self.waiting.push(0x1e);
        }
        write(result, self.of_source, &mut self.waiting);
        self.waiting.push(b'\n');
    }

    /// Makes everything durable and lets go of the results, if enough wait or `now`.
    pub fn settle(&mut self, area: &StagingArea, now: bool) -> Result<(), StagingError> {
        let due = now || self.records >= self.sync_records || self.since.elapsed() >= self.sync_after;
        if self.records == 0 || !due {
            return Ok(());
        }
        area.sync()?;
        self.records = 0;
        self.sink.write(&self.waiting)?;
        self.waiting.clear();
        Ok(())
    }

    /// Tells the client why the rest was not worked on, as a line of its own.
    pub fn stop(&mut self, problem: &serde_json::Value) -> Result<(), StagingError> {
        let mut line = vec![];
        if self.format == Format::JsonSeq {
            line.push(0x1e);
        }
        line.extend_from_slice(serde_json::json!({"isSuccessful": false, "problem": problem}).to_string().as_bytes());
        line.push(b'\n');
        self.sink.write(&line)
    }

    /// Nothing more comes: what is kept is on disk.
    pub fn close(mut self) -> Result<(), StagingError> {
        if let Sink::Kept(file) = &mut self.sink { file.sync() } else { Ok(()) }
    }
}
