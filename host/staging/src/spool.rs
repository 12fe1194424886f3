//! Results of an upload on their way to a client that may not be reading yet.
//!
//! A client that sends its whole body before it reads a byte would otherwise stand still with us, each
//! waiting for the other. The file has no name once it is open, so it is gone with the upload.

use std::sync::Arc;

use tokio::sync::watch;

use super::{Scratch, StagingArea, StagingError};

/// Bytes handed to the client at once.
const CHUNK_BYTES: usize = 64 * 1024;

#[derive(Clone, Copy)]
struct Reached {
    /// Where whole pieces end.
    end: u64,
    ended: bool,
    /// Something could not be written: what there is, is not all.
    broken: bool,
}

/// Where results are written.
pub struct Spool {
    file: Arc<Scratch>,
    reached: watch::Sender<Reached>,
}

/// Where they are read, in the same order.
pub struct SpoolReader {
    file: Arc<Scratch>,
    reached: watch::Receiver<Reached>,
    at: u64,
}

impl Spool {
    /// A new spool in a migration's directory.
    pub fn new(area: &StagingArea) -> Result<(Self, SpoolReader), StagingError> {
        let file = Arc::new(area.scratch()?);
        let (sender, receiver) = watch::channel(Reached { end: 0, ended: false, broken: false });
        Ok((Self { file: file.clone(), reached: sender }, SpoolReader { file, reached: receiver, at: 0 }))
    }

    /// Adds bytes for the client.
    pub fn write(&self, bytes: &[u8]) -> Result<(), StagingError> {
        for piece in bytes.chunks(CHUNK_BYTES) {
            let at = self.reached.borrow().end;
            // A client that is told nothing more must not take it for the end: the answer is broken off.
            let written = self.file.write(at, piece);
            self.reached.send_modify(|reached| match &written {
                Ok(end) => reached.end = *end,
                Err(_) => reached.broken = true,
            });
            written?;
        }
        Ok(())
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        self.reached.send_modify(|reached| reached.ended = true);
    }
}

impl SpoolReader {
    /// The next bytes, when there are some; none at the end, and an error where that is not all.
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>, StagingError> {
        let at = self.at;
        let reached = self.reached.wait_for(|reached| reached.end > at || reached.ended).await;
        let (end, broken) = reached.map_or((at, false), |reached| (reached.end, reached.broken));
        if end == at {
            return if broken { Err(StagingError::Cut) } else { Ok(None) };
        }
        let (piece, next) = self.file.read(at)?;
        self.at = next;
        Ok(Some(piece))
    }
}
