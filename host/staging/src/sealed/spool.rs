//! A spool: the results of an upload on their way to a client that may not be reading yet.
//!
//! A client that sends its whole body before it reads a byte would otherwise block, and block the server, each waiting
//! for the other. The file has no name once it is open, so it is removed with the upload.

use std::sync::Arc;

use tokio::sync::watch;

use crate::{ScratchFile, StagingArea, StagingError};

/// Maximum number of bytes that the reader returns at once.
const CHUNK_BYTES: usize = 64 * 1024;

/// Progress of the writer.
#[derive(Clone, Copy)]
struct SpoolProgress {
    /// End of the last chunk in the file.
    end: u64,
    /// True once the writer is dropped.
    ended: bool,
    /// True if a chunk could not be written, or the writer was dropped before its end, so that the file is incomplete.
    broken: bool,
}

/// The writer of a spool.
pub struct Spool {
    file: Arc<ScratchFile>,
    progress: watch::Sender<SpoolProgress>,
}

/// The reader of a spool. It returns the bytes in the order in which they were written.
pub struct SpoolReader {
    file: Arc<ScratchFile>,
    progress: watch::Receiver<SpoolProgress>,
    at: u64,
}

impl Spool {
    /// Creates a spool in a migration's directory.
    pub fn new(area: &StagingArea) -> Result<(Self, SpoolReader), StagingError> {
        let file = Arc::new(area.scratch()?);
        let (sender, receiver) = watch::channel(SpoolProgress { end: 0, ended: false, broken: false });
        Ok((Self { file: file.clone(), progress: sender }, SpoolReader { file, progress: receiver, at: 0 }))
    }

    /// Writes bytes for the client.
    pub fn write(&self, bytes: &[u8]) -> Result<(), StagingError> {
        for chunk in bytes.chunks(CHUNK_BYTES) {
            let at = self.progress.borrow().end;
            // After a failed write the reader must fail, so that the client does not take the rest for the end.
            let written = self.file.write(at, chunk);
            self.progress.send_modify(|progress| match &written {
                Ok(end) => progress.end = *end,
                Err(_) => progress.broken = true,
            });
            written?;
        }
        Ok(())
    }
}

impl Spool {
    /// Ends the spool. A spool that is dropped before its end is incomplete, and its reader fails.
    pub fn end(self) {
        self.progress.send_modify(|progress| progress.ended = true);
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        self.progress.send_modify(|progress| {
            progress.broken |= !progress.ended;
            progress.ended = true;
        });
    }
}

impl SpoolReader {
    /// Waits for the next bytes. Returns `None` at the end. Fails if the spool is incomplete.
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>, StagingError> {
        let at = self.at;
        let progress = self.progress.wait_for(|progress| progress.end > at || progress.ended).await;
        let (end, broken) = progress.map_or((at, false), |progress| (progress.end, progress.broken));
        if end == at {
            return if broken { Err(StagingError::SpoolFailed) } else { Ok(None) };
        }
        let (chunk, next) = self.file.read(at)?;
        self.at = next;
        Ok(Some(chunk))
    }
}
