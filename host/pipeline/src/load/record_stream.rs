//! Streams of bytes that contain records, cut into batches.

use std::time::Duration;

use sha2::{Digest as _, Sha256};
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use crate::PipelineError;
use crate::load::originals::OriginalWindow;
use sluice_config::UploadLimits;
use sluice_framing::{BodyFormat, FrameLimits, Framing, LineCounter, PassedLines, RawBatch};
use sluice_model::{Digest, Message, message};
use sluice_staging::UploadedForm;

/// A stream of bytes that contains records.
pub struct RecordStream {
    /// Parts of the stream, or the error that ended it. A stream whose sender is gone before its end has failed.
    pub parts: mpsc::Receiver<Result<StreamPart, RecordStreamError>>,
    /// Format of the records.
    pub shape: BodyFormat,
}

/// A part of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StreamPart {
    /// Bytes.
    Bytes(bytes::Bytes),
    /// The end. It is sent, so that a sender that failed is not taken for the end of the stream.
    End,
}

/// The reason for which a stream ended early.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the stream ended early")]
pub enum RecordStreamError {
    /// The sender went away.
    Gone,
    /// The sender was silent for too long.
    Slow,
    /// The stream exceeds the maximum length of an upload.
    TooLong,
    /// The stream does not match its declared compression, or its end is missing.
    Compression,
    /// The stream expands further than allowed.
    Expansion,
    /// The stream was received in parts, and the stored parts cannot be read.
    Unreadable,
    /// The window of a Zstandard stream is larger than allowed. Its size in bytes, if the stream begins with it.
    Window(Option<u64>),
    /// The part of the server that receives the stream failed.
    Panicked,
}

impl RecordStreamError {
    /// Returns the stable code.
    pub fn code(self) -> &'static str {
        match self {
            RecordStreamError::Gone | RecordStreamError::Slow => "BODY_BROKEN_OFF",
            RecordStreamError::TooLong => "BODY_TOO_LARGE",
            RecordStreamError::Compression => "INVALID_COMPRESSION",
            RecordStreamError::Expansion => "BODY_EXPANDS_TOO_FAR",
            RecordStreamError::Unreadable => "UPLOAD_DAMAGED",
            RecordStreamError::Window(_) => "WINDOW_TOO_LARGE",
            RecordStreamError::Panicked => "HOST_PANICKED",
        }
    }

    /// Returns a message for the client, with a remedy.
    pub fn client_message(self) -> Message {
        let sentence = match self {
            RecordStreamError::Gone => {
                "The upload was interrupted. Records with a result are saved: send the whole table again."
            }
            RecordStreamError::Slow => {
                "The upload was too slow (`upload.idle_seconds` and `upload.least_bytes` in the server's configuration). \
                 Records with a result are saved: send the whole table again."
            }
            RecordStreamError::TooLong => {
                "The upload is longer than this server accepts (`upload.max_bytes` in its configuration, after \
                 decompression). Records with a result are saved: send the rest as another upload."
            }
            RecordStreamError::Compression => {
                "The upload does not match its declared compression, or its end is missing. Records with a result are \
                 saved: compress the table again, and send all of it."
            }
            RecordStreamError::Expansion => {
                "The upload expands further than this server allows (`upload.max_expansion` in its configuration). \
                 Records with a result are saved: send the table without compression."
            }
            RecordStreamError::Unreadable => {
                "The received part of the upload cannot be read any more. The server's log has the reason. Records \
                 with a result are saved: send the whole table again."
            }
            RecordStreamError::Window(Some(bytes)) => {
                return message!(
                    "The upload was compressed with a window of {} MiB, which is larger than this server accepts \
                     (`upload.max_zstd_window` in its configuration). Compress the table without `--long` and \
                     `--ultra`, or raise the limit.",
                    bytes.div_ceil(1 << 20)
                );
            }
            RecordStreamError::Window(None) => {
                "A part of the upload was compressed with a larger window than this server accepts \
                 (`upload.max_zstd_window` in its configuration). Records with a result are saved: compress the table \
                 without `--long` and `--ultra`, or raise the limit, and send all of it."
            }
            RecordStreamError::Panicked => {
                "The server failed while it received the upload, because of a defect. Its log has the place. Records \
                 with a result are saved: send the whole table again."
            }
        };
        sentence.into()
    }
}

/// Totals of a stream.
#[derive(Clone, Copy, Debug, Default)]
pub struct InputTotals {
    /// Number of bytes.
    pub bytes: u64,
    /// SHA-256 of the bytes.
    pub digest: Digest,
    /// Number of lines, counted apart from the records.
    pub lines: u64,
    /// Lines that belong to no record.
    pub passed: PassedLines,
    /// Error that ended the stream early, if there was one.
    pub error: Option<RecordStreamError>,
}

/// An event of a stream.
#[expect(clippy::large_enum_variant, reason = "an event is passed on at once and never kept")]
pub(crate) enum FrameEvent {
    /// A batch of records, and the form in which they were uploaded, if it is to be kept.
    Batch(RawBatch, Option<UploadedForm>),
    /// No bytes came for a moment. The sender may be waiting for results.
    Pause,
}

/// Returns the limits of records.
pub fn frame_limits(limits: &UploadLimits) -> FrameLimits {
    FrameLimits { record_bytes: limits.max_record_bytes, quoted_lines: limits.max_quoted_lines }
}

/// Silence that counts as a pause: long enough that a steady stream has none, short enough that a sender that waits for
/// each result does not notice.
const PAUSE: Duration = Duration::from_millis(10);

/// Reads the stream to its end, passes each batch on, and returns the totals. If the stream ends early, the complete
/// records before its end are passed on. If `keeps_form` is true, passes on the form of the records as well.
pub(crate) fn frame(
    runtime: &Handle,
    stream: RecordStream,
    limits: &UploadLimits,
    keeps_form: bool,
    mut take: impl FnMut(FrameEvent) -> Result<(), PipelineError>,
) -> Result<InputTotals, PipelineError> {
    let RecordStream { mut parts, shape } = stream;
    let (max_records, max_bytes) = (limits.batch_records, limits.batch_bytes);
    let mut window = keeps_form.then(|| OriginalWindow::new(&shape, limits.max_record_bytes, limits.batch_bytes));
    let mut framer = shape.framer(frame_limits(limits));
    let mut lines = LineCounter::new(&shape);
    let mut totals = InputTotals::default();
    let mut digest = Sha256::new();
    let take_batch = |framer: &mut dyn Framing, window: &mut Option<OriginalWindow>| {
        let raw = framer.take_batch();
        let uploaded = window.as_mut().and_then(|window| window.take(&raw, limits.max_depth));
        FrameEvent::Batch(raw, uploaded)
    };
    loop {
        let part = match parts.try_recv() {
            Ok(part) => Some(part),
            Err(mpsc::error::TryRecvError::Disconnected) => None,
            // No bytes are there at the moment. Complete records are passed on without waiting for more.
            Err(mpsc::error::TryRecvError::Empty) => {
                if framer.waiting() > 0 {
                    take(take_batch(&mut *framer, &mut window))?;
                }
                match runtime.block_on(async { tokio::time::timeout(PAUSE, parts.recv()).await }) {
                    Ok(part) => part,
                    Err(_) => {
                        take(FrameEvent::Pause)?;
                        parts.blocking_recv()
                    }
                }
            }
        };
        let bytes = match part.unwrap_or(Err(RecordStreamError::Panicked)) {
            Ok(StreamPart::Bytes(bytes)) => bytes,
            Ok(StreamPart::End) => {
                while !framer.finish(max_records, max_bytes) {
                    take(take_batch(&mut *framer, &mut window))?;
                }
                break;
            }
            Err(error) => {
                totals.error = Some(error);
                break;
            }
        };
        totals.bytes += bytes.len() as u64;
        digest.update(&bytes);
        lines.push(&bytes);
        if let Some(window) = &mut window {
            window.push(&bytes);
        }
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let taken = framer.push(rest, max_records, max_bytes);
            if let Some(fault) = framer.refused() {
                return Err(PipelineError::Header(fault));
            }
            rest = &rest[taken..];
            if framer.waiting() >= max_records || !rest.is_empty() {
                take(take_batch(&mut *framer, &mut window))?;
            }
        }
    }
    // A header that is the last line of a table is known only now.
    if let Some(fault) = framer.refused() {
        return Err(PipelineError::Header(fault));
    }
    if framer.waiting() > 0 {
        take(take_batch(&mut *framer, &mut window))?;
    }
    (totals.lines, totals.passed) = (lines.lines(), framer.passed());
    totals.digest = Digest::from(<[u8; 32]>::from(digest.finalize()));
    Ok(totals)
}
