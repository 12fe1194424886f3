//! Properties of a sealed append-only file for any writes and any damage.

use std::path::Path;
use std::sync::Arc;

use arbitrary::{Result, Unstructured};
use cap_std::ambient_authority;
use cap_std::fs::Dir;

use crate::sealed::file::{FilePosition, MAX_CHUNK_BYTES, SealedFile, SealedFileState};
use sluice_keys::Sealer;

const FILE: &str = "bytes";

/// A directory with a sealed file.
struct FileDirectory {
    held: tempfile::TempDir,
    dir: Dir,
    sealer: Arc<Sealer>,
}

impl FileDirectory {
    fn new() -> Self {
        let held = tempfile::tempdir().expect("a directory");
        let dir = Dir::open_ambient_dir(held.path(), ambient_authority()).expect("it opens");
        Self { held, dir, sealer: Arc::new(Sealer::new(&[7; 32])) }
    }

    fn create(&self) -> SealedFile {
        SealedFile::create(&self.dir, FILE, FILE.into(), self.sealer.clone()).expect("it is made")
    }

    fn open(&self, state: SealedFileState) -> SealedFile {
        let opened = SealedFile::open(&self.dir, FILE, FILE.into(), self.sealer.clone(), state);
        opened.expect("it opens, whatever it contains")
    }

    fn path(&self) -> std::path::PathBuf {
        self.held.path().join(FILE)
    }
}

/// Returns all sealed bytes of a file.
fn all(file: &SealedFile) -> Vec<u8> {
    let mut reader = file.read().expect("it is read");
    let all: Vec<u8> = std::iter::from_fn(|| reader.next_chunk().expect("a chunk is complete")).flatten().collect();
    assert_eq!(all.len() as u64, file.len());
    all
}

/// The expected content of a file.
#[derive(Default)]
struct FileModel {
    bytes: Vec<u8>,
    /// Ends of the final bytes, each with the file's length. A reopened file ends at one of them.
    ends: Vec<(usize, u64)>,
    /// Positions to which the file can be rolled back.
    positions: Vec<(FilePosition, usize)>,
}

impl FileModel {
    fn end_final(&mut self, size: u64) {
        self.ends.push((self.bytes.len(), size));
    }

    /// Returns the bytes of the reopened file.
    fn reopened(&self) -> &[u8] {
        &self.bytes[..self.ends.last().map_or(0, |(end, _)| *end)]
    }

    fn truncate(&mut self, length: usize) {
        self.bytes.truncate(length);
        self.ends.retain(|(end, _)| *end <= length);
        self.positions.retain(|(_, end)| *end <= length);
    }
}

/// Generates bytes of one chunk, and sometimes of several.
fn bytes(input: &mut Unstructured) -> Result<Vec<u8>> {
    let longer = if input.ratio(1, 16)? { MAX_CHUNK_BYTES } else { 0 };
    let mut bytes = vec![input.arbitrary()?; longer + input.int_in_range(1..=40usize)?];
    bytes[0] = input.arbitrary()?;
    Ok(bytes)
}

fn size(path: &Path) -> u64 {
    path.metadata().expect("it is there").len()
}

/// Applies one operation of an upload to its file: final bytes, provisional bytes with their confirmation or rollback,
/// a rollback, or reopening.
fn step(input: &mut Unstructured, place: &FileDirectory, file: &mut SealedFile, model: &mut FileModel) -> Result<()> {
    let start = (file.position(), model.bytes.len());
    match input.int_in_range(0..=5)? {
        0 | 1 => {
            let bytes = bytes(input)?;
            for piece in bytes.chunks(MAX_CHUNK_BYTES) {
                file.append(piece).expect("it is added");
                model.bytes.extend_from_slice(piece);
                model.end_final(size(&place.path()));
            }
        }
        2 => {
            for _ in 0..input.int_in_range(1..=3)? {
                let bytes = bytes(input)?;
                file.append_provisional(&bytes).expect("it is added");
                model.bytes.extend_from_slice(&bytes);
            }
            if input.arbitrary()? {
                file.confirm().expect("it is confirmed");
                model.end_final(size(&place.path()));
            } else {
                file.roll_back(start.0);
                model.truncate(start.1);
            }
        }
        3 => model.positions.push(start),
        4 if !model.positions.is_empty() => {
            let (mark, length) = *input.choose(&model.positions)?;
            file.roll_back(mark);
            file.sync().expect("it is synced");
            model.truncate(length);
        }
        _ => {
            // The server is killed before it confirms provisional bytes, or it closes the file.
            let state = if input.arbitrary()? {
                file.append_provisional(&bytes(input)?).expect("it is added");
                SealedFileState::default()
            } else {
                std::mem::replace(file, place.open(SealedFileState::default())).close()
            };
            *file = place.open(state);
        }
    }
    if input.arbitrary()? {
        file.sync().expect("it is synced");
    }
    assert_eq!(all(file), model.bytes);
    Ok(())
}

/// Damages the file. Returns the number of its first bytes that are unchanged.
fn damage(input: &mut Unstructured, path: &Path) -> Result<usize> {
    let whole = std::fs::read(path).expect("it is read");
    let mut bytes = whole.clone();
    let at = input.int_in_range(0..=bytes.len().saturating_sub(1))?;
    match input.int_in_range(0..=5)? {
        0 => bytes.truncate(at),
        1 if !bytes.is_empty() => bytes[at] ^= 1 << input.int_in_range(0..=7)?,
        2 => bytes[at..].fill(0),
        3 => {
            let from = input.int_in_range(0..=at)?;
            let piece = bytes[from..at].to_vec();
            bytes.splice(at..at, piece);
        }
        4 => {
            let from = input.int_in_range(0..=at)?;
            drop(bytes.drain(from..at));
        }
        _ => bytes.extend_from_slice(input.bytes(input.len().min(60))?),
    }
    std::fs::write(path, &bytes).expect("it is written");
    Ok(whole.iter().zip(&bytes).take_while(|(one, other)| one == other).count())
}

/// Checks that a file contains the bytes that were appended and not rolled back, in order. A reopened file contains the
/// final and confirmed bytes. A damaged file contains those before the damage. An opened file accepts more, and another
/// upload's file is read as empty.
pub fn check_sealed_file(data: &[u8]) {
    let mut input = Unstructured::new(data);
    let place = FileDirectory::new();
    let mut file = place.create();
    let mut model = FileModel::default();
    for _ in 0..input.int_in_range(0..=12).unwrap_or(0) {
        if step(&mut input, &place, &mut file, &mut model).is_err() {
            break;
        }
    }
    drop(file);
    assert_eq!(all(&place.open(SealedFileState::default())), model.reopened());
    let Ok(untouched) = damage(&mut input, &place.path()) else { return };
    let mut file = place.open(SealedFileState::default());
    let (found, expected) = (all(&file), model.reopened());
    assert!(expected.starts_with(&found), "{found:?} is no beginning of {expected:?}");
    let before = model.ends.iter().filter(|(_, end)| *end <= untouched as u64).map(|(length, _)| *length).max();
    assert!(found.len() >= before.unwrap_or(0), "the bytes before the damage are read");
    assert!(found.is_empty() || model.ends.iter().any(|(length, _)| *length == found.len()));
    file.append(b"more").expect("it is added");
    file.sync().expect("it is synced");
    drop(file);
    assert_eq!(all(&place.open(SealedFileState::default())), [&found, &b"more"[..]].concat());
    let other =
        SealedFile::open(&place.dir, FILE, "another's".into(), place.sealer.clone(), SealedFileState::default());
    let other = other.expect("it opens");
    assert!(other.is_empty() && size(&place.path()) == 0);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::check_sealed_file;

    /// Checks the seeds of fuzzing and inputs of earlier failures.
    #[test]
    fn seeds() {
        sluice_test_seeds::seeds("pieces").iter().for_each(|seed| check_sealed_file(seed));
    }

    proptest! {
        // Each case writes to disk and syncs.
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn pieces(data in prop::collection::vec(any::<u8>(), 0..400)) {
            check_sealed_file(&data);
        }
    }
}
