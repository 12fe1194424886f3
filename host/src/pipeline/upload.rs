//! An upload: framed batches out of a body, and the tally of what became of its records.

use std::collections::BTreeMap;
use std::time::Duration;

use sha2::{Digest as _, Sha256};

use tokio::runtime::Handle;
use tokio::sync::mpsc;

use super::{Desk, Failure};
use crate::config::UploadLimits;
use crate::framing::{Format, Framer, RawBatch};
use crate::model::{Code, Digest, Event, Outcome, RecordResult};
use crate::store::{TransitionError, UploadEnd};

/// The pieces of a request's body, or word that it broke off.
pub type Body = mpsc::Receiver<Result<bytes::Bytes, BrokenOff>>;

/// The client went away, or was silent for too long.
#[derive(Clone, Copy, Debug)]
pub struct BrokenOff;

/// What became of an upload's records.
#[derive(Clone, Debug, Default)]
pub struct Upload {
    /// What came.
    pub received: Received,
    /// Records that were read.
    pub records: u64,
    /// Source records that were mapped, or records that were staged.
    pub accepted: u64,
    /// Source records that were skipped, by code.
    pub skipped: BTreeMap<Code, u64>,
    /// Records that were wrong.
    pub rejected: u64,
    /// Records that broke a plugin.
    pub quarantined: u64,
    /// Whether anything in staging is not what it was.
    pub changed: bool,
    /// Source records that are not as they were in staging, or were not there.
    pub changes: u64,
}

/// What came of a body.
#[derive(Clone, Copy, Debug, Default)]
pub struct Received {
    /// How many bytes.
    pub bytes: u64,
    /// Their digest.
    pub digest: Digest,
    /// Whether it broke off before its end.
    pub broken_off: bool,
}

impl Upload {
    /// Notes that staging is not what it was: whatever validation said of it holds no longer.
    pub(super) fn note_change(&mut self, desk: &Desk, changed: bool) -> Result<(), Failure> {
        if changed && !std::mem::replace(&mut self.changed, true) {
            // Refused only while a job runs, and none starts while an upload does.
            match desk.store.transition(desk.migration.reference_id, Event::Changed) {
                Err(TransitionError::Store(error)) => return Err(error.into()),
                Err(TransitionError::Refused(_) | TransitionError::Gone) | Ok(_) => {}
            }
        }
        Ok(())
    }

    /// As it is kept.
    pub fn end(&self) -> UploadEnd {
        let Received { bytes, digest, broken_off } = self.received;
        UploadEnd {
            bytes,
            body: digest,
            records: self.records,
            accepted: self.accepted,
            skipped: self.skipped.iter().map(|(code, records)| (code.to_string(), *records)).collect(),
            rejected: self.rejected,
            quarantined: self.quarantined,
            broken_off,
        }
    }

    pub(super) fn tally(&mut self, result: &RecordResult) {
        self.records += 1;
        *match &result.outcome {
            Outcome::Staged(_) | Outcome::Mapped(_) | Outcome::Deleted(_) => &mut self.accepted,
            Outcome::Skipped(code) => self.skipped.entry(code.clone()).or_default(),
            Outcome::Rejected(_) => &mut self.rejected,
            Outcome::Quarantined(_) => &mut self.quarantined,
        } += 1;
    }
}

/// What comes out of a body.
pub(super) enum Framed {
    /// Records.
    Batch(RawBatch),
    /// Nothing came for a moment: whoever sends may be waiting for what we have to say.
    Pause,
}

/// How long nothing comes before it counts as a pause: long enough that a steady stream has none, short
/// enough that somebody who waits for each result does not notice.
const PAUSE: Duration = Duration::from_millis(10);

/// Reads the body to its end and hands on each batch; what came in all. Whole records that came
/// before a break are handed on, the unfinished one is not.
pub(super) fn frame(
    runtime: &Handle,
    mut body: Body,
    format: Format,
    limits: &UploadLimits,
    mut take: impl FnMut(Framed) -> Result<(), Failure>,
) -> Result<Received, Failure> {
    let mut framer = Framer::new(format, limits.max_record_bytes);
    let mut received = Received::default();
    let mut digest = Sha256::new();
    loop {
        let piece = match body.try_recv() {
            Ok(piece) => Some(piece),
            Err(mpsc::error::TryRecvError::Disconnected) => None,
            // Nothing more at the moment: what waits need not wait for more.
            Err(mpsc::error::TryRecvError::Empty) => {
                if framer.waiting() > 0 {
                    take(Framed::Batch(framer.take_batch()))?;
                }
                match runtime.block_on(async { tokio::time::timeout(PAUSE, body.recv()).await }) {
                    Ok(piece) => piece,
                    Err(_) => {
                        take(Framed::Pause)?;
                        body.blocking_recv()
                    }
                }
            }
        };
        let bytes = match piece {
            Some(Ok(bytes)) => bytes,
            Some(Err(BrokenOff)) => {
                received.broken_off = true;
                break;
            }
            None => {
                framer.finish();
                break;
            }
        };
        received.bytes += bytes.len() as u64;
        digest.update(&bytes);
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let taken = framer.push(rest, limits.batch_records, limits.batch_bytes);
            rest = &rest[taken..];
            if framer.waiting() >= limits.batch_records || !rest.is_empty() {
                take(Framed::Batch(framer.take_batch()))?;
            }
        }
    }
    if framer.waiting() > 0 {
        take(Framed::Batch(framer.take_batch()))?;
    }
    received.digest = Digest::from(<[u8; 32]>::from(digest.finalize()));
    Ok(received)
}
