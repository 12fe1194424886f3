//! Results of an upload on their way to a client that may not be reading yet.
//!
//! A client that sends its whole body before it reads a byte would otherwise stand still with us, each
//! waiting for the other. The file has no name once it is open, so it is gone with the upload.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use tokio::sync::watch;

use super::{StagingArea, StagingError};

/// Bytes handed to the client at once.
const CHUNK_BYTES: usize = 64 * 1024;

#[derive(Clone, Copy)]
struct Reached {
    bytes: u64,
    ended: bool,
}

/// Where results are written.
pub struct Spool {
    file: Arc<File>,
    reached: watch::Sender<Reached>,
}

/// Where they are read, in the same order.
pub struct SpoolReader {
    file: Arc<File>,
    reached: watch::Receiver<Reached>,
    at: u64,
}

impl Spool {
    /// A new spool in a migration's directory.
    pub fn new(area: &StagingArea) -> Result<(Self, SpoolReader), StagingError> {
        let file = Arc::new(area.scratch()?);
        let (sender, receiver) = watch::channel(Reached { bytes: 0, ended: false });
        Ok((Self { file: file.clone(), reached: sender }, SpoolReader { file, reached: receiver, at: 0 }))
    }

    /// Adds bytes for the client.
    pub fn write(&self, bytes: &[u8]) -> Result<(), StagingError> {
        let at = self.reached.borrow().bytes;
        self.file.write_all_at(bytes, at)?;
        self.reached.send_modify(|reached| reached.bytes += bytes.len() as u64);
        Ok(())
    }

    /// Whether the client is gone.
    pub fn is_abandoned(&self) -> bool {
        self.reached.is_closed()
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        self.reached.send_modify(|reached| reached.ended = true);
    }
}

impl SpoolReader {
    /// The next bytes, when there are some; none at the end.
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>, StagingError> {
        let at = self.at;
        let reached = self.reached.wait_for(|reached| reached.bytes > at || reached.ended).await;
        let bytes = reached.map_or(at, |reached| reached.bytes);
        if bytes == at {
            return Ok(None);
        }
        let mut chunk = vec![0; ((bytes - at) as usize).min(CHUNK_BYTES)];
        self.file.read_exact_at(&mut chunk, at)?;
        self.at += chunk.len() as u64;
        Ok(Some(chunk))
    }
}
