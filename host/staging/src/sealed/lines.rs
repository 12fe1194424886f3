//! Lists of lines beside the journal. Each line is sealed on its own and written in base64, so that the end of the last
//! complete line can be found.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::FileExt as _;
use std::sync::{Arc, MutexGuard, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cap_std::fs::{Dir, OpenOptions};

use crate::{StagingArea, StagingError};
use sluice_keys::Sealer;

/// End of a list's file name.
pub(crate) const LIST_SUFFIX: &str = ".sealed";

fn file_name(list: &str) -> String {
    format!("{list}{LIST_SUFFIX}")
}

/// Returns the associated data of a line.
fn associated_data(list: &str) -> Vec<u8> {
    [b"L", list.as_bytes()].concat()
}

/// Truncates an incomplete line. The server was stopped while it wrote the line and never acknowledged it.
fn truncate_incomplete_line(file: &mut File) -> io::Result<()> {
    let length = file.metadata()?.len();
    let mut last = [b'\n'];
    if length > 0 {
        file.read_exact_at(&mut last, length - 1)?;
    }
    if last == [b'\n'] {
        return Ok(());
    }
    let mut bytes = vec![];
    file.read_to_end(&mut bytes)?;
    let complete = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    file.set_len(complete as u64)
}

impl StagingArea {
    /// Locks the lists.
    fn lists(&self) -> MutexGuard<'_, ()> {
        // The lock guards nothing in memory, so a panic of another thread does no harm.
        self.lists.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Appends lines to a list in the migration's directory, durably.
    pub fn append_lines<'a>(&self, list: &str, lines: impl IntoIterator<Item = &'a [u8]>) -> Result<(), StagingError> {
        let mut text = String::new();
        let mut sealed = vec![];
        for line in lines {
            sealed.clear();
            self.sealer.seal(&associated_data(list), &[line], &mut sealed);
            STANDARD.encode_string(&sealed, &mut text);
            text.push('\n');
        }
        let _lock = self.lists();
        let mut options = OpenOptions::new();
        options.read(true).append(true).create(true);
        let mut file = self.dir.open_with(file_name(list), &options)?.into_std();
        truncate_incomplete_line(&mut file)?;
        file.write_all(text.as_bytes())?;
        Ok(file.sync_data()?)
    }

    /// Returns at most `limit` lines of a list from the line `offset` on, and the number of all lines. The other lines
    /// are skipped without being opened.
    pub fn lines(&self, list: &str, offset: u64, limit: u64) -> Result<(Vec<Vec<u8>>, u64), StagingError> {
        drop(self.read_inner()?);
        let _lock = self.lists();
        let Some(mut lines) = SealedLines::open(&self.dir, self.sealer.clone(), list)? else { return Ok((vec![], 0)) };
        let mut found = vec![];
        while lines.advance()? {
            let at = lines.count - 1;
            if at >= offset && at - offset < limit {
                found.push(lines.line()?);
            }
        }
        Ok((found, lines.count))
    }
}

/// A reader of a list's lines, in order. Lines that are appended meanwhile are read as well.
pub struct SealedLines {
    file: BufReader<File>,
    sealer: Arc<Sealer>,
    list: String,
    /// The sealed line that was read last.
    sealed: Vec<u8>,
    /// Number of lines read so far.
    count: u64,
}

impl SealedLines {
    /// Opens a list in this directory. Returns `None` if it does not exist.
    pub(crate) fn open(dir: &Dir, sealer: Arc<Sealer>, list: &str) -> Result<Option<Self>, StagingError> {
        let file = match dir.open(file_name(list)) {
            Ok(file) => BufReader::new(file.into_std()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        Ok(Some(Self { file, sealer, list: list.into(), sealed: vec![], count: 0 }))
    }

    /// Reads the next line into `sealed`. Returns false at the end; an incomplete line was never acknowledged.
    fn advance(&mut self) -> Result<bool, StagingError> {
        self.sealed.clear();
        let complete = self.file.read_until(b'\n', &mut self.sealed)? > 0 && self.sealed.pop() == Some(b'\n');
        self.count += u64::from(complete);
        Ok(complete)
    }

    /// Opens the line that was read last.
    fn line(&self) -> Result<Vec<u8>, StagingError> {
        let damaged = || StagingError::Damaged { what: "a list", segment: 0, offset: self.count - 1 };
        let mut line = STANDARD.decode(&self.sealed).map_err(|_| damaged())?;
        self.sealer.open(&associated_data(&self.list), &mut line).map_err(|_| damaged())?;
        Ok(line)
    }

    /// Returns the next line, or `None` at the end.
    pub fn next_line(&mut self) -> Result<Option<Vec<u8>>, StagingError> {
        if self.advance()? { self.line().map(Some) } else { Ok(None) }
    }
}
