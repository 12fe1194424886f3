//! Source records that are staged already, run through a mapper once more: in their own place, or into another area.

use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use super::lookups::LoadedSources;
use super::results::Results;
use super::side_by_side::side_by_side;
use super::source::{Stager, map};
use super::upload::{Received, Upload};
use super::{Desk, Failure, Stop};
use sluice_contract::Source;
use sluice_framing::RawBatch;
use sluice_model::{Digest, Progress};
use sluice_plugin_host::MapperPlugin;
use sluice_staging::{Key, Seen, SourceRecord, SourceStatus, StagedBatch, StagedEntry, StagingArea, StreamName};

/// What is run again, and where it goes.
///
/// Lookups are answered from where the records stand: a source sees all others, and nothing of its own.
pub(super) struct Rerun<'a> {
    /// Where the records stand.
    pub from: &'a Arc<StagingArea>,
    /// Whose staging area takes what comes of them: that of `from`, where each takes its own place, or another.
    pub to: &'a Desk,
    /// What maps them.
    pub mapper: &'a Arc<MapperPlugin>,
    /// Which are wanted.
    pub wanted: &'a (dyn Fn(&StagedEntry) -> bool + Sync),
    /// How far it is: it advances by records that are read, wanted or not.
    pub progress: &'a Progress,
}

impl Rerun<'_> {
    /// Runs the records of one source, under this number of an upload. What is acknowledged is on disk.
    pub fn source(&self, source: &Source, upload: u32) -> Result<Upload, Stop> {
        let limits = &self.to.config.upload;
        let in_place = Arc::ptr_eq(self.from, &self.to.area);
        let lookup = LoadedSources::new(self.from.clone(), self.mapper.clone())?.but_own(&source.name);
        let seen = lookup.seen().clone();
        let mut instance = self.mapper.instance(self.to.context(), Arc::new(lookup), &self.to.usage);
        let mut reader = self.from.reader(StreamName::Source(&source.name), 0)?;
        let mut stager = Stager::new(self.to, self.mapper, source, upload, seen);
        let mut results = Results::unheard(limits);
        let mut done = Upload::default();
        let received = side_by_side(
            |send| {
                let (mut digest, mut received) = (Sha256::new(), Received::default());
                let mut staged = StagedBatch::default();
                while reader.next_batch(&mut staged, limits.batch_records, limits.batch_bytes)? {
                    if self.progress.is_cancelled() {
                        return Err(Stop::Cancelled);
                    }
                    if !in_place {
                        self.keep(source, upload, &staged)?;
                    }
                    let (raw, replaces) = self.cut(&staged);
                    self.progress.advance(staged.len() as u64);
                    for record in raw.records() {
                        digest.update(record);
                        digest.update(b"\n");
                    }
                    received.bytes += (raw.bytes.len() + raw.len()) as u64;
                    if raw.is_empty() {
                        continue;
                    }
                    let mut mapped = map(self.to, &mut instance, source, raw)?;
                    if in_place {
                        mapped.replaces = replaces;
                    }
                    if !send(mapped) {
                        break;
                    }
                }
                received.digest = Digest::from(<[u8; 32]>::from(digest.finalize()));
                Ok(received)
            },
            |mapped| Ok(stager.stage(mapped, &mut done, &mut results)?),
        );
        // What was staged before somebody cancelled stays.
        results.finish(&self.to.area)?;
        done.received = received?;
        Ok(done)
    }

    /// What is run again of a batch, and the entries it came from. Of a record without a key it is not known which it
    /// was, so it stays as it is.
    fn cut(&self, staged: &StagedBatch) -> (RawBatch, Vec<(u64, Key)>) {
        let (mut raw, mut replaces) = (RawBatch::default(), vec![]);
        for (position, entry) in staged.entries.iter().enumerate() {
            if entry.is_keyless() || !(self.wanted)(entry) {
                continue;
            }
            raw.bytes.extend_from_slice(staged.body(position));
            raw.ends.push(raw.bytes.len() as u32);
            raw.lines.push(entry.line());
            replaces.push((entry.ordinal, entry.key));
        }
        (raw, replaces)
    }

    /// Takes over what was refused for want of a key, so that it is counted where the others go too.
    fn keep(&self, source: &Source, upload: u32, staged: &StagedBatch) -> Result<(), Failure> {
        let refused: Vec<(usize, &StagedEntry, std::borrow::Cow<str>)> = staged
            .entries
            .iter()
            .enumerate()
            .filter(|(_, entry)| entry.is_keyless() && (self.wanted)(entry))
            .map(|(position, entry)| (position, entry, String::from_utf8_lossy(&entry.extra)))
            .collect();
        let records: Vec<SourceRecord> = refused
            .iter()
            .map(|(position, entry, code)| SourceRecord {
                line: entry.line(),
                offset: None,
                given: false,
                key: None,
                lookups: vec![],
                body: staged.body(*position),
                status: SourceStatus::Rejected,
                code,
                products: vec![],
                replaces: None,
            })
            .collect();
        self.to.area.stage_sources(&source.name, &source.lookups, upload, &Seen::new(), &records)?;
        Ok(())
    }
}
