//! Working on an upload: what is noted of it, and what it came to.

use std::sync::Arc;

use jiff::Timestamp;

use super::caller::Author;
use super::pieces::broken_off;
use super::problem::Problem;
use crate::app::App;
use sluice_audit::{Action, Scope};
use sluice_catalog::LogEntry;
use sluice_model::{Digest, Level, Name};
use sluice_pipeline::jobs::UploadGuard;
use sluice_pipeline::{self, Desk, Failure, Results, Upload};

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
    pub fn word(&self) -> &'static str {
        if matches!(self, Kind::Source { .. }) { "sources" } else { "staging" }
    }

    /// What is uploaded to: a source and an entity type of one name are two streams.
    pub fn stream(&self, name: &Name) -> String {
        format!("{}/{name}", self.word())
    }
}

/// What is noted of an upload, when it begins and when it ends.
pub struct Noted {
    pub app: Arc<App>,
    pub author: Author,
    pub stream: Name,
    pub kind: Kind,
    pub of_table: bool,
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
        let acknowledged = desk.acknowledged();
        if !deletion && number > 0 {
            let end = end.as_ref().map_err(|failure| failure.code());
            desk.store.end_upload(id, number, end, acknowledged, Timestamp::now())?;
        } else {
            desk.store.acknowledge(id, acknowledged)?;
        }
        Ok(self.app.audit(Scope::Migration(id), entry)?)
    }
}

/// What takes a body in: it is told the upload's number.
pub trait Load:
    FnOnce(&Desk, u32, sluice_pipeline::Body, &mut Results) -> Result<Upload, Failure> + Send + 'static
{
}

impl<F> Load for F where
    F: FnOnce(&Desk, u32, sluice_pipeline::Body, &mut Results) -> Result<Upload, Failure> + Send + 'static
{
}

/// What an upload came to.
pub struct Worked {
    /// Its number in the migration; 0 if it never began.
    pub number: u32,
    pub upload: Option<Upload>,
    /// Why not all of it was worked on.
    pub problem: Option<Problem>,
}

/// Works on an upload, from its first piece to its last result.
pub fn work(
    desk: &Desk,
    guard: UploadGuard,
    noted: &Noted,
    body: sluice_pipeline::Body,
    mut results: Results,
    load: impl Load,
) -> Worked {
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
                .with("changed", upload.changes)
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
    let (upload, problem) = match loaded {
        Ok(upload) => (Some(upload.clone()), upload.received.broken_off.map(broken_off)),
        Err(failure) => (None, Some(Problem::from(failure))),
    };
    if problem.is_some()
        // What was worked on before is answered first, as far as it is on disk.
        && let Err(error) = results.finish(&desk.area)
    {
        tracing::error!(code = "STAGING_FAILED", %error, "a client could not be told what of its upload is staged");
    }
    let closed = results.close(problem.as_ref().map(Problem::to_json).as_ref());
    Worked { number, upload, problem: problem.or(closed.err().map(Problem::from)) }
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
