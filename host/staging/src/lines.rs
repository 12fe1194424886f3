//! Lists beside the journal, each line sealed on its own: a file of base64, so that its end can be found again.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::FileExt as _;
use std::sync::{Arc, MutexGuard, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cap_std::fs::{Dir, OpenOptions};

use super::{StagingArea, StagingError};
use sluice_keys::Sealer;

/// What a list's file name ends with.
pub(super) const LIST: &str = ".sealed";

fn file_name(list: &str) -> String {
    format!("{list}{LIST}")
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

    /// So many lines of a list from this one on, and how many there are in all; none if nobody added any. The others
    /// are passed over without being opened.
    pub fn lines(&self, list: &str, offset: u64, limit: u64) -> Result<(Vec<Vec<u8>>, u64), StagingError> {
        drop(self.read_inner()?);
        let _held = self.lists();
        let Some(mut lines) = Lines::open(&self.dir, self.sealer.clone(), list)? else { return Ok((vec![], 0)) };
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

/// A list's lines, in order. What is added while it is read is read as well.
pub struct Lines {
    file: BufReader<File>,
    sealer: Arc<Sealer>,
    list: String,
    /// The last line, as it stands in the file.
    sealed: Vec<u8>,
    /// Lines read so far.
    count: u64,
}

impl Lines {
    /// Opens a list in this directory; none if there is not any.
    pub(super) fn open(dir: &Dir, sealer: Arc<Sealer>, list: &str) -> Result<Option<Self>, StagingError> {
        let file = match dir.open(file_name(list)) {
            Ok(file) => BufReader::new(file.into_std()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        Ok(Some(Self { file, sealer, list: list.into(), sealed: vec![], count: 0 }))
    }

    /// Goes on to the next line, if there is one. A line without an end was never acknowledged.
    fn advance(&mut self) -> Result<bool, StagingError> {
        self.sealed.clear();
        let there = self.file.read_until(b'\n', &mut self.sealed)? > 0 && self.sealed.pop() == Some(b'\n');
        self.count += u64::from(there);
        Ok(there)
    }

    /// The line that it has come to.
    fn line(&self) -> Result<Vec<u8>, StagingError> {
        let damaged = || StagingError::Damaged { what: "a list", segment: 0, offset: self.count - 1 };
        let mut line = STANDARD.decode(&self.sealed).map_err(|_| damaged())?;
        self.sealer.open(&place(&self.list), &mut line).map_err(|_| damaged())?;
        Ok(line)
    }

    /// The next line; none at the end.
    pub fn next_line(&mut self) -> Result<Option<Vec<u8>>, StagingError> {
        if self.advance()? { self.line().map(Some) } else { Ok(None) }
    }
}
