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

/// Writes text on standard output. A closed pipe is no error.
pub fn print(text: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        done => done,
    }
}
