//! Standard output, and the options that choose what is written to it.

use std::io::{IsTerminal as _, Write as _};

use clap::Args;
use sluice_model::printable;

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

/// Writes text on standard output, without control characters. A closed pipe is no error, so that the exit code still says
/// how the work ended.
pub fn print(text: &str) -> anyhow::Result<()> {
    match write_all(printable(text).as_bytes()) {
        Err(error) if error.is::<OutputClosed>() => Ok(()),
        done => done,
    }
}

/// Writes text on standard error, without control characters. A closed standard error does not stop the work.
pub fn warn(text: &str) {
    let _ = std::io::stderr().write_all(printable(text).as_bytes());
}

/// Writes bytes of records on standard output: as they are into a file or a pipe, and without control characters on a
/// terminal.
///
/// # Errors
///
/// Fails with [`OutputClosed`] if the reader has closed the pipe.
pub fn write(bytes: &[u8]) -> anyhow::Result<()> {
    if std::io::stdout().is_terminal() {
        return write_all(printable(&String::from_utf8_lossy(bytes)).as_bytes());
    }
    write_all(bytes)
}

fn write_all(bytes: &[u8]) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Err(OutputClosed.into()),
        done => Ok(done?),
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    /// Text reaches a terminal through this file and through the log. Nothing else of the command writes to one.
    #[test]
    fn text_leaves_through_one_file() {
        let source = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src");
        let (mut folders, mut files) = (vec![source.clone()], 0);
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                    continue;
                }
                let text = std::fs::read_to_string(&path).unwrap();
                files += 1;
                if ["output.rs", "server/telemetry.rs"].iter().any(|file| path == source.join(file)) {
                    continue;
                }
                let text = text.replace("std::io::stderr().is_terminal()", "");
                for exit in ["println!", "print!(", "io::stdout", "io::stderr"] {
                    assert!(!text.contains(exit), "{} writes with {exit}", path.display());
                }
            }
        }
        assert!(files > 40, "{files} files");
    }
}
