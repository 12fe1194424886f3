//! A file of sealed pieces that only grows: what is whole in it survives whatever stops the server, and what is torn at
//! its end is cut off.
//!
//! ```text
//! kind 1 · length 4 · sealed piece
//! ```
//! A piece is sealed to the file's name, its own kind, and how many bytes stand before it, so that none can be left out,
//! or stand elsewhere. Pieces that depend on a check that comes after them are only there once they are confirmed.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use cap_std::fs::{Dir, OpenOptions};

use super::StagingError;
use sluice_keys::Sealer;

/// Bytes of a piece, at most.
pub const PIECE_BYTES: usize = 64 * 1024;

const HEADER_BYTES: usize = 5;

/// What a piece is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Kind {
    /// It counts as soon as it is there.
    Sure = 0,
    /// It counts once it is confirmed.
    Unsure = 1,
    /// Confirms the unsure ones before it; it is empty.
    Confirmed = 2,
}

/// How far a file has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mark {
    /// Bytes of the file.
    at: u64,
    /// Bytes that are sealed in it.
    length: u64,
}

/// How a file was left by whoever wrote to it last, in this life of the server.
#[derive(Clone, Copy, Debug, Default)]
pub struct Left {
    /// What is on disk for certain.
    durable: Mark,
    /// Where it ends, if what stands behind that was taken back.
    uncut: Option<Mark>,
}

/// A file that is being written.
pub struct PieceFile {
    file: File,
    sealer: Arc<Sealer>,
    name: String,
    end: Mark,
    /// What is on disk for certain.
    durable: Mark,
    /// Whether something stands behind its end that was taken back.
    uncut: bool,
}

fn place(name: &str, kind: u8, before: u64) -> Vec<u8> {
    [b"P", name.as_bytes(), &[kind], &before.to_le_bytes()].concat()
}

/// Reads the piece at the reader's place: its kind and what is sealed in it. None where there is no whole one.
fn next(reader: &mut impl Read, sealer: &Sealer, name: &str, before: u64) -> io::Result<Option<(u8, Vec<u8>)>> {
    let mut header = [0; HEADER_BYTES];
    let mut piece = vec![];
    let mut read = |into: &mut [u8]| match reader.read_exact(into) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        read => read.map(|()| true),
    };
    if !read(&mut header)? {
        return Ok(None);
    }
    let (kind, length) = (header[0], u32::from_le_bytes([header[1], header[2], header[3], header[4]]) as usize);
    if length > PIECE_BYTES + Sealer::OVERHEAD {
        return Ok(None);
    }
    piece.resize(length, 0);
    if !read(&mut piece)? || sealer.open(&place(name, kind, before), &mut piece).is_err() {
        return Ok(None);
    }
    Ok(Some((kind, piece)))
}

impl PieceFile {
    /// A new file, empty. `name` says whose it is as well: no other file's pieces are taken for this one's.
    pub(super) fn create(dir: &Dir, file: &str, name: String, sealer: Arc<Sealer>) -> Result<Self, StagingError> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(true);
        let file = dir.open_with(file, &options)?.into_std();
        Ok(Self { file, sealer, name, end: Mark::default(), durable: Mark::default(), uncut: false })
    }

    /// Opens a file, and cuts off what is not whole at its end. What is left is durable. What was known to be is not read
    /// again.
    pub(super) fn open(
        dir: &Dir,
        file: &str,
        name: String,
        sealer: Arc<Sealer>,
        left: Left,
    ) -> Result<Self, StagingError> {
        let file = dir.open_with(file, OpenOptions::new().read(true).write(true))?.into_std();
        let size = file.metadata()?.len();
        let known = if size < left.durable.at { Mark::default() } else { left.durable };
        if let Some(end) = left.uncut.filter(|end| end.at < size) {
            file.set_len(end.at)?;
        }
        let mut reader = BufReader::with_capacity(2 * PIECE_BYTES, At(&file, known.at));
        let (mut seen, mut sure, mut unsure) = (known, known, false);
        while let Some((kind, piece)) = next(&mut reader, &sealer, &name, seen.length)? {
            seen.at += (HEADER_BYTES + piece.len() + Sealer::OVERHEAD) as u64;
            seen.length += piece.len() as u64;
            unsure = match kind {
                kind if kind == Kind::Unsure as u8 => true,
                kind if kind == Kind::Confirmed as u8 => false,
                // Nothing is added to what was never confirmed.
                _ if unsure => break,
                _ => false,
            };
            if !unsure {
                sure = seen;
            }
        }
        drop(reader);
        // What was read back just now may still be on its way to disk.
        if known == Mark::default() || sure != known || size != sure.at {
            file.set_len(sure.at)?;
            file.sync_all()?;
        }
        Ok(Self { file, sealer, name, end: sure, durable: sure, uncut: false })
    }

    /// Closes it; it can be opened again as it was left.
    pub fn leave(self) -> Left {
        Left { durable: self.durable, uncut: self.uncut.then_some(self.end) }
    }

    /// Bytes that are sealed in it.
    pub fn len(&self) -> u64 {
        self.end.length
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How far it has come.
    pub fn mark(&self) -> Mark {
        self.end
    }

    fn write(&mut self, kind: Kind, bytes: &[u8]) -> Result<(), StagingError> {
        self.cut()?;
        let mut piece = vec![0; HEADER_BYTES];
        self.sealer.seal(&place(&self.name, kind as u8, self.end.length), &[bytes], &mut piece);
        let length = (piece.len() - HEADER_BYTES) as u32;
        piece[0] = kind as u8;
        piece[1..HEADER_BYTES].copy_from_slice(&length.to_le_bytes());
        self.file.write_all_at(&piece, self.end.at)?;
        self.end.at += piece.len() as u64;
        self.end.length += bytes.len() as u64;
        Ok(())
    }

    /// Adds bytes.
    pub fn append(&mut self, bytes: &[u8]) -> Result<(), StagingError> {
        bytes.chunks(PIECE_BYTES).try_for_each(|piece| self.write(Kind::Sure, piece))
    }

    /// Adds bytes that are only there once they are confirmed.
    pub fn append_unsure(&mut self, bytes: &[u8]) -> Result<(), StagingError> {
        bytes.chunks(PIECE_BYTES).try_for_each(|piece| self.write(Kind::Unsure, piece))
    }

    /// Confirms what was added unsure.
    pub fn confirm(&mut self) -> Result<(), StagingError> {
        self.write(Kind::Confirmed, b"")
    }

    /// Cuts off what was taken back. Where that fails it is done before anything is added: pieces behind a new one could be
    /// taken for what follows it.
    fn cut(&mut self) -> io::Result<()> {
        if self.uncut {
            self.file.set_len(self.end.at)?;
            self.uncut = false;
        }
        Ok(())
    }

    /// Makes what was added and taken back durable. Where that fails nobody knows what is on disk: what was added is taken
    /// back, and has to come again.
    pub fn sync(&mut self) -> Result<(), StagingError> {
        if let Err(error) = self.cut().and_then(|()| self.file.sync_data()) {
            self.back_to(self.durable);
            return Err(error.into());
        }
        self.durable = self.end;
        Ok(())
    }

    /// Forgets what was added after this; durably with the next sync.
    pub fn back_to(&mut self, mark: Mark) {
        self.end = mark;
        self.durable = if self.durable.at > mark.at { mark } else { self.durable };
        self.uncut = true;
    }

    /// Reads it from its start, as far as it has come by now.
    pub fn read(&self) -> Result<PieceReader, StagingError> {
        let file = self.file.try_clone()?;
        Ok(PieceReader {
            file,
            sealer: self.sealer.clone(),
            name: self.name.clone(),
            next: Mark::default(),
            end: self.end,
        })
    }
}

/// Reads a file's pieces in their order.
pub struct PieceReader {
    file: File,
    sealer: Arc<Sealer>,
    name: String,
    next: Mark,
    end: Mark,
}

/// Reads on at a place, whoever else reads or writes.
struct At<'a>(&'a File, u64);

impl Read for At<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.0.read_at(into, self.1)?;
        self.1 += read as u64;
        Ok(read)
    }
}

impl PieceReader {
    /// The next bytes; none at the end.
    pub fn next_piece(&mut self) -> Result<Option<Vec<u8>>, StagingError> {
        while self.next.at < self.end.at {
            let found = next(&mut At(&self.file, self.next.at), &self.sealer, &self.name, self.next.length)?;
            let damaged = StagingError::Damaged { what: "a received upload", segment: 0, offset: self.next.at };
            let (_, piece) = found.ok_or(damaged)?;
            self.next.at += (HEADER_BYTES + piece.len() + Sealer::OVERHEAD) as u64;
            self.next.length += piece.len() as u64;
            if !piece.is_empty() {
                return Ok(Some(piece));
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use cap_std::ambient_authority;

    use super::*;

    fn all(file: &PieceFile) -> Vec<u8> {
        let mut reader = file.read().unwrap();
        std::iter::from_fn(|| reader.next_piece().unwrap()).flatten().collect()
    }

    /// Wherever a file is cut or changed, what stands whole before that comes back, and can be added to.
    #[test]
    fn what_is_whole_comes_back() {
        let held = tempfile::tempdir().unwrap();
        let dir = Dir::open_ambient_dir(held.path(), ambient_authority()).unwrap();
        let sealer = Arc::new(Sealer::new(&[7; 32]));
        let open = || PieceFile::open(&dir, "a", "a".into(), sealer.clone(), Left::default());
        let mut file = PieceFile::create(&dir, "a", "a".into(), sealer.clone()).unwrap();
        file.append(b"one canary").unwrap();
        file.append_unsure(b"two").unwrap();
        file.append_unsure(b"three").unwrap();
        file.confirm().unwrap();
        file.append(b"four").unwrap();
        file.sync().unwrap();
        let (path, text) = (held.path().join("a"), b"one canarytwothreefour");
        assert_eq!((all(&file), file.len()), (text.to_vec(), 22));
        let whole = std::fs::read(&path).unwrap();
        assert!(memchr::memmem::find(&whole, b"canary").is_none());
        for at in 0..whole.len() {
            let mut changed = whole.clone();
            changed[at] ^= 1;
            for bytes in [&whole[..at], &changed] {
                std::fs::write(&path, bytes).unwrap();
                let mut file = open().unwrap();
                let left = all(&file);
                assert!([0, 10, 18].contains(&left.len()) && text.starts_with(&left), "{at}: {}", left.len());
                file.append(b"more").unwrap();
                file.sync().unwrap();
                assert_eq!(all(&open().unwrap()), [&left[..], b"more"].concat(), "{at}");
            }
        }
        // Nobody else's pieces, and not in another order.
        std::fs::write(&path, &whole).unwrap();
        assert!(PieceFile::open(&dir, "a", "b".into(), sealer.clone(), Left::default()).unwrap().is_empty());
        std::fs::write(&path, &whole[HEADER_BYTES + 10 + Sealer::OVERHEAD..]).unwrap();
        assert!(open().unwrap().is_empty());
    }

    /// What is taken back is gone, also for who opens it again, and so is what nobody confirmed.
    #[test]
    fn what_is_taken_back_is_gone() {
        let held = tempfile::tempdir().unwrap();
        let dir = Dir::open_ambient_dir(held.path(), ambient_authority()).unwrap();
        let sealer = Arc::new(Sealer::new(&[7; 32]));
        let mut file = PieceFile::create(&dir, "a", "a".into(), sealer.clone()).unwrap();
        file.append(&vec![b'x'; 3 * PIECE_BYTES + 1]).unwrap();
        let mark = file.mark();
        file.append(b"y").unwrap();
        file.sync().unwrap();
        file.back_to(mark);
        assert_eq!(all(&file).len(), 3 * PIECE_BYTES + 1);
        file.append_unsure(b"z").unwrap();
        file.sync().unwrap();
        let file = PieceFile::open(&dir, "a", "a".into(), sealer, Left::default()).unwrap();
        assert_eq!((all(&file).len(), file.mark()), (3 * PIECE_BYTES + 1, mark));
    }
    /// What cannot be cut off is not added to, nothing is told of it, and it is cut off as soon as that can be done.
    #[test]
    fn what_cannot_be_cut_off() {
        let held = tempfile::tempdir().unwrap();
        let dir = Dir::open_ambient_dir(held.path(), ambient_authority()).unwrap();
        let sealer = Arc::new(Sealer::new(&[7; 32]));
        let mut file = PieceFile::create(&dir, "a", "a".into(), sealer.clone()).unwrap();
        file.append(b"one").unwrap();
        file.sync().unwrap();
        file.append(b"two").unwrap();
        let mark = file.mark();
        file.append(b"six").unwrap();
        file.append(b"ten").unwrap();
        file.back_to(mark);
        file.file = File::open(held.path().join("a")).unwrap();
        assert!(file.sync().is_err());
        assert!(file.append(b"new").is_err());
        assert_eq!(all(&file), b"one");
        // Nor by whoever opens it next.
        let left = file.leave();
        let mut file = PieceFile::open(&dir, "a", "a".into(), sealer.clone(), left).unwrap();
        assert_eq!(all(&file), b"one");
        file.append(b"new").unwrap();
        file.sync().unwrap();
        assert_eq!(all(&file), b"onenew");
        assert_eq!(all(&PieceFile::open(&dir, "a", "a".into(), sealer, Left::default()).unwrap()), b"onenew");
    }
}
