//! An upload: framed batches out of a body, and the tally of what became of its records.

use std::collections::BTreeMap;
use std::time::Duration;

use sha2::{Digest as _, Sha256};

use tokio::runtime::Handle;
use tokio::sync::mpsc;

use super::{Desk, Failure};
use sluice_catalog::{TransitionError, UploadEnd};
use sluice_config::UploadLimits;
use sluice_framing::{RawBatch, Shape};
use sluice_model::{Code, Digest, Event, Outcome, RecordResult};

/// A body of records.
pub struct Body {
    /// Its pieces, or word that it broke off.
    pub pieces: mpsc::Receiver<Result<bytes::Bytes, BrokenOff>>,
    /// How records stand in it.
    pub shape: Shape,
}

/// Why a body came to no end of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the body broke off")]
pub enum BrokenOff {
    /// The client went away.
    Gone,
    /// It was silent for too long.
    Slow,
    /// It is longer than an upload may be.
    TooLong,
    /// It is not what its encoding says, or its end is missing.
    Compression,
    /// It is expanded further than it may be.
    Expansion,
    /// It came in parts, and what was kept of them cannot be read.
    Unreadable,
}

impl BrokenOff {
    /// Stable code.
    pub fn code(self) -> &'static str {
        match self {
            BrokenOff::Gone | BrokenOff::Slow => "BODY_BROKEN_OFF",
            BrokenOff::TooLong => "BODY_TOO_LARGE",
            BrokenOff::Compression => "INVALID_COMPRESSION",
            BrokenOff::Expansion => "BODY_EXPANDS_TOO_FAR",
            BrokenOff::Unreadable => "UPLOAD_DAMAGED",
        }
    }

    /// What is the matter and what to do.
    pub fn told(self) -> &'static str {
        match self {
            BrokenOff::Gone => "The body broke off. What is answered is kept: send the whole table again.",
            BrokenOff::Slow => {
                "The body came too slowly (`upload.idle_seconds` and `upload.least_bytes` in the server's configuration). \
                 What is answered is kept: send the whole table again."
            }
            BrokenOff::TooLong => {
                "The body is longer than this server takes (`upload.max_bytes` in its configuration, of what it expands to \
                 where it is compressed). What is answered is kept: send the rest as another upload."
            }
            BrokenOff::Compression => {
                "The body is not what its Content-Encoding says, or its end is missing. What is answered is kept: compress \
                 the table again, and send all of it."
            }
            BrokenOff::Expansion => {
                "The body expands further than this server allows (`upload.max_expansion` in its configuration). What is \
                 answered is kept: send the table without compression."
            }
            BrokenOff::Unreadable => {
                "What was received of the upload cannot be read any more; the server's log says why. What is answered is \
                 kept: send the whole table again."
            }
        }
    }
}

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
    /// Records that are not as they were in staging, or were not there: none where the same was uploaded before.
    pub changes: u64,
}

/// What came of a body.
#[derive(Clone, Copy, Debug, Default)]
pub struct Received {
    /// How many bytes.
    pub bytes: u64,
    /// Their digest.
    pub digest: Digest,
    /// Why it broke off before its end, if it did.
    pub broken_off: Option<BrokenOff>,
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
            broken_off: broken_off.is_some(),
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
    body: Body,
    limits: &UploadLimits,
    mut take: impl FnMut(Framed) -> Result<(), Failure>,
) -> Result<Received, Failure> {
    let Body { mut pieces, shape } = body;
    let mut framer = shape.framer(limits.max_record_bytes);
    let mut received = Received::default();
    let mut digest = Sha256::new();
    loop {
        let piece = match pieces.try_recv() {
            Ok(piece) => Some(piece),
            Err(mpsc::error::TryRecvError::Disconnected) => None,
            // Nothing more at the moment: what waits need not wait for more.
            Err(mpsc::error::TryRecvError::Empty) => {
                if framer.waiting() > 0 {
                    take(Framed::Batch(framer.take_batch()))?;
                }
                match runtime.block_on(async { tokio::time::timeout(PAUSE, pieces.recv()).await }) {
                    Ok(piece) => piece,
                    Err(_) => {
                        take(Framed::Pause)?;
                        pieces.blocking_recv()
                    }
                }
            }
        };
        let bytes = match piece {
            Some(Ok(bytes)) => bytes,
            Some(Err(reason)) => {
                received.broken_off = Some(reason);
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
            if let Some(fault) = framer.refused() {
                return Err(Failure::Header(fault));
            }
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
