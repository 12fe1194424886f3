//! A sealed append-only file. Complete chunks survive a crash, and an incomplete one at the end is truncated.
//!
//! ```text
//! kind 1 · length 4 · sealed chunk
//! ```
//! The associated data of a chunk is the file's name, the chunk's kind and the number of sealed bytes before it, so that
//! no chunk can be removed or moved. Provisional chunks depend on a later check, and count only once they are confirmed.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use cap_std::fs::{Dir, OpenOptions};

use crate::StagingError;
use sluice_keys::Sealer;

/// Maximum number of bytes in a chunk.
pub const MAX_CHUNK_BYTES: usize = 64 * 1024;

const HEADER_BYTES: usize = 5;

/// Kind of a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum ChunkKind {
    /// The chunk counts as soon as it is complete.
    Final = 0,
    /// The chunk counts once it is confirmed.
    Provisional = 1,
    /// The chunk is empty and confirms the provisional chunks before it.
    Confirmation = 2,
}

/// A position in a file, after a complete chunk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FilePosition {
    /// Offset in the file.
    at: u64,
    /// Number of sealed bytes before it.
    length: u64,
}

/// State of a file that was closed since the server started.
#[derive(Clone, Copy, Debug, Default)]
pub struct SealedFileState {
    /// End of the bytes that are durable.
    durable: FilePosition,
    /// End of the file, if bytes after it were rolled back and could not be truncated yet.
    pending_truncation: Option<FilePosition>,
}

/// A sealed append-only file that is open for writing.
pub struct SealedFile {
    file: File,
    sealer: Arc<Sealer>,
    name: String,
    end: FilePosition,
    /// End of the bytes that are durable.
    durable: FilePosition,
    /// True if bytes after `end` were rolled back and are not truncated yet.
    pending_truncation: bool,
}

/// Returns the associated data of a chunk.
fn associated_data(name: &str, kind: u8, before: u64) -> Vec<u8> {
    [b"P", name.as_bytes(), &[kind], &before.to_le_bytes()].concat()
}

/// Reads the next chunk: its kind and its opened bytes. Returns `None` if there is no complete chunk.
fn next(reader: &mut impl Read, sealer: &Sealer, name: &str, before: u64) -> io::Result<Option<(u8, Vec<u8>)>> {
    let mut header = [0; HEADER_BYTES];
    let mut chunk = vec![];
    let mut read = |into: &mut [u8]| match reader.read_exact(into) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        read => read.map(|()| true),
    };
    if !read(&mut header)? {
        return Ok(None);
    }
    let (kind, length) = (header[0], u32::from_le_bytes([header[1], header[2], header[3], header[4]]) as usize);
    if length > MAX_CHUNK_BYTES + Sealer::OVERHEAD {
        return Ok(None);
    }
    chunk.resize(length, 0);
    if !read(&mut chunk)? || sealer.open(&associated_data(name, kind, before), &mut chunk).is_err() {
        return Ok(None);
    }
    Ok(Some((kind, chunk)))
}

impl SealedFile {
    /// Creates an empty file. `name` names the file and its owner, so that chunks of another file are not read as this
    /// one's.
    pub(crate) fn create(dir: &Dir, file: &str, name: String, sealer: Arc<Sealer>) -> Result<Self, StagingError> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(true);
        let file = dir.open_with(file, &options)?.into_std();
        Ok(Self {
            file,
            sealer,
            name,
            end: FilePosition::default(),
            durable: FilePosition::default(),
            pending_truncation: false,
        })
    }

    /// Opens a file and truncates incomplete and unconfirmed chunks at its end. The rest is durable. Bytes that are known
    /// to be durable are not read again.
    pub(crate) fn open(
        dir: &Dir,
        file: &str,
        name: String,
        sealer: Arc<Sealer>,
        state: SealedFileState,
    ) -> Result<Self, StagingError> {
        let file = dir.open_with(file, OpenOptions::new().read(true).write(true))?.into_std();
        let size = file.metadata()?.len();
        let known = if size < state.durable.at { FilePosition::default() } else { state.durable };
        if let Some(end) = state.pending_truncation.filter(|end| end.at < size) {
            file.set_len(end.at)?;
        }
        let mut reader = BufReader::with_capacity(2 * MAX_CHUNK_BYTES, OffsetReader(&file, known.at));
        let (mut read, mut end, mut unconfirmed) = (known, known, false);
        while let Some((kind, chunk)) = next(&mut reader, &sealer, &name, read.length)? {
            read.at += (HEADER_BYTES + chunk.len() + Sealer::OVERHEAD) as u64;
            read.length += chunk.len() as u64;
            unconfirmed = match kind {
                kind if kind == ChunkKind::Provisional as u8 => true,
                kind if kind == ChunkKind::Confirmation as u8 => false,
                // No chunk is appended to unconfirmed ones.
                _ if unconfirmed => break,
                _ => false,
            };
            if !unconfirmed {
                end = read;
            }
        }
        drop(reader);
        // The bytes that were read may not be on disk yet.
        if known == FilePosition::default() || end != known || size != end.at {
            file.set_len(end.at)?;
            file.sync_all()?;
        }
        Ok(Self { file, sealer, name, end, durable: end, pending_truncation: false })
    }

    /// Closes the file. It can be opened again with the returned state.
    pub fn close(self) -> SealedFileState {
        SealedFileState { durable: self.durable, pending_truncation: self.pending_truncation.then_some(self.end) }
    }

    /// Returns the number of sealed bytes.
    pub fn len(&self) -> u64 {
        self.end.length
    }

    /// Returns true if there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the end of the file.
    pub fn position(&self) -> FilePosition {
        self.end
    }

    fn write(&mut self, kind: ChunkKind, bytes: &[u8]) -> Result<(), StagingError> {
        self.truncate()?;
        let mut chunk = vec![0; HEADER_BYTES];
        self.sealer.seal(&associated_data(&self.name, kind as u8, self.end.length), &[bytes], &mut chunk);
        let length = u32::try_from(chunk.len() - HEADER_BYTES).expect("a chunk has at most 64 KiB");
        chunk[0] = kind as u8;
        chunk[1..HEADER_BYTES].copy_from_slice(&length.to_le_bytes());
        self.file.write_all_at(&chunk, self.end.at)?;
        self.end.at += chunk.len() as u64;
        self.end.length += bytes.len() as u64;
        Ok(())
    }

    /// Appends bytes.
    pub fn append(&mut self, bytes: &[u8]) -> Result<(), StagingError> {
        bytes.chunks(MAX_CHUNK_BYTES).try_for_each(|chunk| self.write(ChunkKind::Final, chunk))
    }

    /// Appends bytes that count once they are confirmed.
    pub fn append_provisional(&mut self, bytes: &[u8]) -> Result<(), StagingError> {
        bytes.chunks(MAX_CHUNK_BYTES).try_for_each(|chunk| self.write(ChunkKind::Provisional, chunk))
    }

    /// Confirms the provisional bytes.
    pub fn confirm(&mut self) -> Result<(), StagingError> {
        self.write(ChunkKind::Confirmation, b"")
    }

    /// Truncates bytes that were rolled back. If it fails, it is tried again before the next chunk is appended, because
    /// old chunks after a new one could be read as its successors.
    fn truncate(&mut self) -> io::Result<()> {
        if self.pending_truncation {
            self.file.set_len(self.end.at)?;
            self.pending_truncation = false;
        }
        Ok(())
    }

    /// Makes appended and rolled back bytes durable. If it fails, the content on disk is unknown: the appended bytes are
    /// rolled back, and the client has to send them again.
    pub fn sync(&mut self) -> Result<(), StagingError> {
        if let Err(error) = self.truncate().and_then(|()| self.file.sync_data()) {
            self.roll_back(self.durable);
            return Err(error.into());
        }
        self.durable = self.end;
        Ok(())
    }

    /// Discards all bytes after a position. Durable with the next sync.
    pub fn roll_back(&mut self, position: FilePosition) {
        self.end = position;
        self.durable = if self.durable.at > position.at { position } else { self.durable };
        self.pending_truncation = true;
    }

    /// Returns a reader from the start to the present end.
    pub fn read(&self) -> Result<SealedFileReader, StagingError> {
        let file = self.file.try_clone()?;
        Ok(SealedFileReader {
            file,
            sealer: self.sealer.clone(),
            name: self.name.clone(),
            next: FilePosition::default(),
            end: self.end,
        })
    }
}

/// A reader of a file's chunks, in order.
pub struct SealedFileReader {
    file: File,
    sealer: Arc<Sealer>,
    name: String,
    next: FilePosition,
    end: FilePosition,
}

/// A reader of a file at its own offset.
struct OffsetReader<'a>(&'a File, u64);

impl Read for OffsetReader<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.0.read_at(into, self.1)?;
        self.1 += read as u64;
        Ok(read)
    }
}

impl SealedFileReader {
    /// Returns the next bytes, or `None` at the end.
    pub fn next_chunk(&mut self) -> Result<Option<Vec<u8>>, StagingError> {
        while self.next.at < self.end.at {
            let found = next(&mut OffsetReader(&self.file, self.next.at), &self.sealer, &self.name, self.next.length)?;
            let damaged = StagingError::Damaged { what: "an upload", segment: 0, offset: self.next.at };
            let (_, chunk) = found.ok_or(damaged)?;
            self.next.at += (HEADER_BYTES + chunk.len() + Sealer::OVERHEAD) as u64;
            self.next.length += chunk.len() as u64;
            if !chunk.is_empty() {
                return Ok(Some(chunk));
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use cap_std::ambient_authority;

    use super::*;

    fn all(file: &SealedFile) -> Vec<u8> {
        let mut reader = file.read().unwrap();
        std::iter::from_fn(|| reader.next_chunk().unwrap()).flatten().collect()
    }

    /// Truncates and changes a file at every byte. The complete chunks before are read, and more can be appended.
    #[test]
    fn complete_chunks_are_read_back() {
        let held = tempfile::tempdir().unwrap();
        let dir = Dir::open_ambient_dir(held.path(), ambient_authority()).unwrap();
        let sealer = Arc::new(Sealer::new(&[7; 32]));
        let open = || SealedFile::open(&dir, "a", "a".into(), sealer.clone(), SealedFileState::default());
        let mut file = SealedFile::create(&dir, "a", "a".into(), sealer.clone()).unwrap();
        file.append(b"one canary").unwrap();
        file.append_provisional(b"two").unwrap();
        file.append_provisional(b"three").unwrap();
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
        // Chunks of another file and in another order are not read.
        std::fs::write(&path, &whole).unwrap();
        assert!(
            SealedFile::open(&dir, "a", "b".into(), sealer.clone(), SealedFileState::default()).unwrap().is_empty()
        );
        std::fs::write(&path, &whole[HEADER_BYTES + 10 + Sealer::OVERHEAD..]).unwrap();
        assert!(open().unwrap().is_empty());
    }

    /// Rolled back and unconfirmed bytes are discarded, also when the file is opened again.
    #[test]
    fn rolled_back_bytes_are_discarded() {
        let held = tempfile::tempdir().unwrap();
        let dir = Dir::open_ambient_dir(held.path(), ambient_authority()).unwrap();
        let sealer = Arc::new(Sealer::new(&[7; 32]));
        let mut file = SealedFile::create(&dir, "a", "a".into(), sealer.clone()).unwrap();
        file.append(&vec![b'x'; 3 * MAX_CHUNK_BYTES + 1]).unwrap();
        let position = file.position();
        file.append(b"y").unwrap();
        file.sync().unwrap();
        file.roll_back(position);
        assert_eq!(all(&file).len(), 3 * MAX_CHUNK_BYTES + 1);
        file.append_provisional(b"z").unwrap();
        file.sync().unwrap();
        let file = SealedFile::open(&dir, "a", "a".into(), sealer, SealedFileState::default()).unwrap();
        assert_eq!((all(&file).len(), file.position()), (3 * MAX_CHUNK_BYTES + 1, position));
    }

    /// After a failed truncation nothing is appended or read, and the truncation is repeated as soon as possible.
    #[test]
    fn a_failed_truncation_is_repeated() {
        let held = tempfile::tempdir().unwrap();
        let dir = Dir::open_ambient_dir(held.path(), ambient_authority()).unwrap();
        let sealer = Arc::new(Sealer::new(&[7; 32]));
        let mut file = SealedFile::create(&dir, "a", "a".into(), sealer.clone()).unwrap();
        file.append(b"one").unwrap();
        file.sync().unwrap();
        file.append(b"two").unwrap();
        let position = file.position();
        file.append(b"six").unwrap();
        file.append(b"ten").unwrap();
        file.roll_back(position);
        file.file = File::open(held.path().join("a")).unwrap();
        assert!(file.sync().is_err());
        assert!(file.append(b"new").is_err());
        assert_eq!(all(&file), b"one");
        // The state of the closed file contains the pending truncation.
        let state = file.close();
        let mut file = SealedFile::open(&dir, "a", "a".into(), sealer.clone(), state).unwrap();
        assert_eq!(all(&file), b"one");
        file.append(b"new").unwrap();
        file.sync().unwrap();
        assert_eq!(all(&file), b"onenew");
        assert_eq!(
            all(&SealedFile::open(&dir, "a", "a".into(), sealer, SealedFileState::default()).unwrap()),
            b"onenew"
        );
    }
}
