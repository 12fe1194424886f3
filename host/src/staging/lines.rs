//! Lists beside the journal, each line sealed on its own: a file of base64, so that its end can be found again.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::FileExt as _;
use std::sync::{MutexGuard, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cap_std::fs::OpenOptions;

use super::{StagingArea, StagingError};

fn file_name(list: &str) -> String {
    format!("{list}.sealed")
}

/// What a line is sealed to.
fn place(list: &str) -> Vec<u8> {
    [b"L", list.as_bytes()].concat()
}

/// Cuts off a line without an end: it was never acknowledged, the server was stopped in the middle of it.
fn cut_unended(file: &mut File) -> io::Result<()> {
    let length = file.metadata()?.len();
    let mut last = [b'\n'];
    if length > 0 {
        file.read_exact_at(&mut last, length - 1)?;
    }
    if last == [b'\n'] {
        return Ok(());
    }
    let mut there = vec![];
    file.read_to_end(&mut there)?;
    let whole = there.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    file.set_len(whole as u64)
}

impl StagingArea {
    fn lists(&self) -> MutexGuard<'_, ()> {
        // It guards nothing in memory that a panic could have left half done.
        self.lists.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds lines to a list in the migration's directory, durably.
    pub fn append_lines<'a>(&self, list: &str, lines: impl IntoIterator<Item = &'a [u8]>) -> Result<(), StagingError> {
        let mut text = String::new();
        let mut sealed = vec![];
        for line in lines {
            sealed.clear();
            self.sealer.seal(&place(list), &[line], &mut sealed);
            STANDARD.encode_string(&sealed, &mut text);
            text.push('\n');
        }
        let _held = self.lists();
        let mut options = OpenOptions::new();
        options.read(true).append(true).create(true);
        let mut file = self.dir.open_with(file_name(list), &options)?.into_std();
        cut_unended(&mut file)?;
        file.write_all(text.as_bytes())?;
        Ok(file.sync_data()?)
    }

    /// The lines of a list, in order; none if nobody added any.
    pub fn lines(&self, list: &str) -> Result<Vec<Vec<u8>>, StagingError> {
        drop(self.read_inner()?);
        let text = {
            let _held = self.lists();
            match self.dir.read(file_name(list)) {
                Ok(text) => text,
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(vec![]),
                Err(error) => return Err(error.into()),
            }
        };
        let ended = text.split_inclusive(|byte| *byte == b'\n').filter_map(|line| line.strip_suffix(b"\n"));
        ended
            .enumerate()
            .map(|(number, line)| {
                let damaged = || StagingError::Damaged { what: "a list", segment: 0, offset: number as u64 };
                let mut line = STANDARD.decode(line).map_err(|_| damaged())?;
                self.sealer.open(&place(list), &mut line).map_err(|_| damaged())?;
                Ok(line)
            })
            .collect()
    }
}
