//! Standard output, and the options that choose what is written to it.

use std::io::Write;

use clap::Args;

use crate::progress::ProgressDisplay;

/// Options of the commands that report a result.
#[derive(Args)]
pub struct OutputArgs {
    /// Print one JSON document on standard output, and show no progress
    #[arg(long)]
    pub json: bool,
    /// Show no progress
    #[arg(long, short)]
    pub quiet: bool,
}

impl OutputArgs {
    /// Returns the progress display that the options ask for.
    pub fn progress(&self) -> ProgressDisplay {
        ProgressDisplay::new(self.quiet || self.json)
    }
}

/// The reader of standard output has closed it, as `head` does. The command ends, and that is no failure.
#[derive(Debug, thiserror::Error)]
#[error("the reader of standard output has closed it")]
pub struct OutputClosed;

/// Writes text on standard output. A closed pipe is no error, so that the exit code still says how the work ended.
pub fn print(text: &str) -> anyhow::Result<()> {
    match write(text.as_bytes()) {
        Err(error) if error.is::<OutputClosed>() => Ok(()),
        done => done,
    }
}

/// Writes bytes on standard output.
///
/// # Errors
///
/// Fails with [`OutputClosed`] if the reader has closed the pipe.
pub fn write(bytes: &[u8]) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Err(OutputClosed.into()),
        done => Ok(done?),
    }
}
