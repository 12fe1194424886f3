//! Results on their way to the client: written when they are durable, and not before.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::Failure;
use sluice_config::UploadLimits;
use sluice_framing::Format;
use sluice_model::{Issue, Outcome, RecordResult};
use sluice_staging::{PieceFile, Spool, StagingArea, StagingError};

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
            let made = |made: &'_ sluice_model::Produced| made.reference_id;
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

/// A group of results, and the area that has to be on disk before they are let go.
struct Group {
    area: Arc<StagingArea>,
    bytes: Vec<u8>,
}

/// The thread that waits for the disk, so that nobody else does: staging goes on meanwhile.
struct Settler {
    groups: SyncSender<Group>,
    settled: Receiver<Result<(), StagingError>>,
    on_their_way: usize,
    /// Groups that may be on their way.
    ahead: usize,
    thread: JoinHandle<Sink>,
}

impl Settler {
    fn new(mut sink: Sink, ahead: usize) -> Self {
        let (groups, handed) = sync_channel::<Group>(ahead);
        let (tell, settled) = sync_channel(ahead);
        let thread = std::thread::spawn(move || {
            let mut whole = true;
            for Group { area, bytes } in handed {
                // Results come in order or not at all: after one that could not be let go there are no more.
                let done =
                    if whole { area.sync().and_then(|()| sink.write(&bytes)) } else { Err(StagingError::Poisoned) };
                whole = done.is_ok();
                // Whoever does not listen any more has failed, and what it failed of is what counts.
                let _ = tell.send(done);
            }
            sink
        });
        Self { groups, settled, on_their_way: 0, ahead, thread }
    }

    /// Hands a group over, once there is room.
    fn hand(&mut self, group: Group) -> Result<(), StagingError> {
        self.wait(self.ahead - 1)?;
        // A thread that is gone has panicked, which is heard of when it is joined.
        self.groups.send(group).map_err(|_| StagingError::Poisoned)?;
        self.on_their_way += 1;
        Ok(())
    }

    /// Waits until no more than so many groups are on their way.
    fn wait(&mut self, most: usize) -> Result<(), StagingError> {
        while self.on_their_way > most {
            self.on_their_way -= 1;
            self.settled.recv().unwrap_or(Err(StagingError::Poisoned))?;
        }
        Ok(())
    }

    fn end(self) -> Sink {
        drop(self.groups);
        self.thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

/// Holds results back until what they say is on disk.
pub struct Results {
    settler: Settler,
    format: Format,
    of_source: bool,
    /// Nobody waits for results: none are written.
    unheard: bool,
    waiting: Vec<u8>,
    records: usize,
    since: Instant,
    sync_records: usize,
    sync_after: Duration,
}

impl Results {
    /// For one upload.
    pub fn new(spool: Spool, format: Format, of_source: bool, limits: &UploadLimits) -> Self {
        Self { format, of_source, ..Self::into(Sink::Client(spool), limits) }
    }

    /// For one upload of a source whose results are kept.
    pub fn into_file(file: PieceFile, limits: &UploadLimits) -> Self {
        Self::into(Sink::Kept(file), limits)
    }

    /// For work whose results nobody waits for.
    pub(super) fn unheard(limits: &UploadLimits) -> Self {
        Self::into(Sink::Nobody, limits)
    }

    fn into(sink: Sink, limits: &UploadLimits) -> Self {
        Self {
            unheard: matches!(sink, Sink::Nobody),
            settler: Settler::new(sink, limits.sync_ahead),
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
        if self.unheard {
            return;
        }
        if self.format == Format::JsonSeq {
            self.waiting.push(0x1e);
        }
        write(result, self.of_source, &mut self.waiting);
        self.waiting.push(b'\n');
    }

    /// Has everything made durable and the results let go, if enough wait or `now`; does not wait for it.
    pub fn settle(&mut self, area: &Arc<StagingArea>, now: bool) -> Result<(), StagingError> {
        let due = now || self.records >= self.sync_records || self.since.elapsed() >= self.sync_after;
        if self.records == 0 || !due {
            return Ok(());
        }
        self.records = 0;
        let bytes = std::mem::take(&mut self.waiting);
        self.settler.hand(Group { area: area.clone(), bytes })
    }

    /// Returns when everything is durable, and all results are let go.
    pub fn finish(&mut self, area: &Arc<StagingArea>) -> Result<(), StagingError> {
        self.settle(area, true)?;
        self.settler.wait(0)
    }

    /// The same at the end of work. Where the area was closed under it, why is what could not be made durable.
    pub fn after<T>(&mut self, area: &Arc<StagingArea>, worked: Result<T, Failure>) -> Result<T, Failure> {
        match (worked, self.finish(area)) {
            (Ok(done), Ok(())) => Ok(done),
            (Ok(_) | Err(Failure::Staging(StagingError::Poisoned)), Err(error)) => Err(error.into()),
            (Err(failure), _) => Err(failure),
        }
    }

    /// Ends with why the rest was not worked on, as a line of its own, if there is something to say: nothing more comes, and
    /// what is kept is on disk.
    pub fn close(self, problem: Option<&serde_json::Value>) -> Result<(), StagingError> {
        let mut sink = self.settler.end();
        if let Some(problem) = problem {
            let separator = if self.format == Format::JsonSeq { "\u{1e}" } else { "" };
            let line = serde_json::json!({"isSuccessful": false, "problem": problem});
            sink.write(format!("{separator}{line}\n").as_bytes())?;
        }
        if let Sink::Kept(file) = &mut sink { file.sync() } else { Ok(()) }
    }
}
