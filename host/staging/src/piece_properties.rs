//! What holds of a file of pieces whatever is written to it and however it is damaged afterwards: for tests, and for fuzzing.

use std::path::Path;
use std::sync::Arc;

use arbitrary::{Result, Unstructured};
use cap_std::ambient_authority;
use cap_std::fs::Dir;

use super::pieces::{Left, Mark, PIECE_BYTES, PieceFile};
use sluice_keys::Sealer;

const FILE: &str = "bytes";

/// A place with such a file.
struct Place {
    held: tempfile::TempDir,
    dir: Dir,
    sealer: Arc<Sealer>,
}

impl Place {
    fn new() -> Self {
        let held = tempfile::tempdir().expect("a directory");
        let dir = Dir::open_ambient_dir(held.path(), ambient_authority()).expect("it opens");
        Self { held, dir, sealer: Arc::new(Sealer::new(&[7; 32])) }
    }

    fn create(&self) -> PieceFile {
        PieceFile::create(&self.dir, FILE, FILE.into(), self.sealer.clone()).expect("it is made")
    }

    fn open(&self, left: Left) -> PieceFile {
        let opened = PieceFile::open(&self.dir, FILE, FILE.into(), self.sealer.clone(), left);
        opened.expect("it opens, whatever stands in it")
    }

    fn path(&self) -> std::path::PathBuf {
        self.held.path().join(FILE)
    }
}

/// All bytes that are sealed in it.
fn all(file: &PieceFile) -> Vec<u8> {
    let mut reader = file.read().expect("it is read");
    let all: Vec<u8> = std::iter::from_fn(|| reader.next_piece().expect("a piece is whole")).flatten().collect();
    assert_eq!(all.len() as u64, file.len());
    all
}

/// A file as it should be.
#[derive(Default)]
struct Model {
    bytes: Vec<u8>,
    /// Where bytes end that count, and where the file does then: only these may come back.
    ends: Vec<(usize, u64)>,
    /// Where it can be taken back to.
    marks: Vec<(Mark, usize)>,
}

impl Model {
    fn sure(&mut self, size: u64) {
        self.ends.push((self.bytes.len(), size));
    }

    /// What is there when it is opened again.
    fn left(&self) -> &[u8] {
        &self.bytes[..self.ends.last().map_or(0, |(end, _)| *end)]
    }

    fn cut(&mut self, length: usize) {
        self.bytes.truncate(length);
        self.ends.retain(|(end, _)| *end <= length);
        self.marks.retain(|(_, end)| *end <= length);
    }
}

/// Bytes of some piece, now and then of several.
fn bytes(chance: &mut Unstructured) -> Result<Vec<u8>> {
    let longer = if chance.ratio(1, 16)? { PIECE_BYTES } else { 0 };
    let mut bytes = vec![chance.arbitrary()?; longer + chance.int_in_range(1..=40usize)?];
    bytes[0] = chance.arbitrary()?;
    Ok(bytes)
}

fn size(path: &Path) -> u64 {
    path.metadata().expect("it is there").len()
}

/// Does what an upload does to its file: parts that are sure, parts that wait for their checksum, and what comes of it.
fn step(chance: &mut Unstructured, place: &Place, file: &mut PieceFile, model: &mut Model) -> Result<()> {
    let begun = (file.mark(), model.bytes.len());
    match chance.int_in_range(0..=5)? {
        0 | 1 => {
            let bytes = bytes(chance)?;
            for piece in bytes.chunks(PIECE_BYTES) {
                file.append(piece).expect("it is added");
                model.bytes.extend_from_slice(piece);
                model.sure(size(&place.path()));
            }
        }
        2 => {
            for _ in 0..chance.int_in_range(1..=3)? {
                let bytes = bytes(chance)?;
                file.append_unsure(&bytes).expect("it is added");
                model.bytes.extend_from_slice(&bytes);
            }
            if chance.arbitrary()? {
                file.confirm().expect("it is confirmed");
                model.sure(size(&place.path()));
            } else {
                file.back_to(begun.0);
                model.cut(begun.1);
            }
        }
        3 => model.marks.push(begun),
        4 if !model.marks.is_empty() => {
            let (mark, length) = *chance.choose(&model.marks)?;
            file.back_to(mark);
            file.sync().expect("it is synced");
            model.cut(length);
        }
        _ => {
            // Killed in the middle of a part that waits for its checksum, or let go.
            let left = if chance.arbitrary()? {
                file.append_unsure(&bytes(chance)?).expect("it is added");
                Left::default()
            } else {
                std::mem::replace(file, place.open(Left::default())).leave()
            };
            *file = place.open(left);
        }
    }
    if chance.arbitrary()? {
        file.sync().expect("it is synced");
    }
    assert_eq!(all(file), model.bytes);
    Ok(())
}

/// Damages the file; how many of its first bytes are as they were.
fn damage(chance: &mut Unstructured, path: &Path) -> Result<usize> {
    let whole = std::fs::read(path).expect("it is read");
    let mut bytes = whole.clone();
    let at = chance.int_in_range(0..=bytes.len().saturating_sub(1))?;
    match chance.int_in_range(0..=5)? {
        0 => bytes.truncate(at),
        1 if !bytes.is_empty() => bytes[at] ^= 1 << chance.int_in_range(0..=7)?,
        2 => bytes[at..].fill(0),
        3 => {
            let from = chance.int_in_range(0..=at)?;
            let piece = bytes[from..at].to_vec();
            bytes.splice(at..at, piece);
        }
        4 => {
            let from = chance.int_in_range(0..=at)?;
            drop(bytes.drain(from..at));
        }
        _ => bytes.extend_from_slice(chance.bytes(chance.len().min(60))?),
    }
    std::fs::write(path, &bytes).expect("it is written");
    Ok(whole.iter().zip(&bytes).take_while(|(one, other)| one == other).count())
}

/// A file holds what was added and not taken back, in order. Opened again it holds what counts of it; damaged in any way,
/// what counted and stands before the damage, and never anything else. What opens takes more, and another upload's file
/// is none of its own.
pub fn check_pieces(data: &[u8]) {
    let mut chance = Unstructured::new(data);
    let place = Place::new();
    let mut file = place.create();
    let mut model = Model::default();
    for _ in 0..chance.int_in_range(0..=12).unwrap_or(0) {
        if step(&mut chance, &place, &mut file, &mut model).is_err() {
            break;
        }
    }
    drop(file);
    assert_eq!(all(&place.open(Left::default())), model.left());
    let Ok(untouched) = damage(&mut chance, &place.path()) else { return };
    let mut file = place.open(Left::default());
    let (found, left) = (all(&file), model.left());
    assert!(left.starts_with(&found), "{found:?} is no beginning of {left:?}");
    let before = model.ends.iter().filter(|(_, end)| *end <= untouched as u64).map(|(length, _)| *length).max();
    assert!(found.len() >= before.unwrap_or(0), "what stands before the damage is there");
    assert!(found.is_empty() || model.ends.iter().any(|(length, _)| *length == found.len()));
    file.append(b"more").expect("it is added");
    file.sync().expect("it is synced");
    drop(file);
    assert_eq!(all(&place.open(Left::default())), [&found, &b"more"[..]].concat());
    let other = PieceFile::open(&place.dir, FILE, "another's".into(), place.sealer.clone(), Left::default());
    let other = other.expect("it opens");
    assert!(other.is_empty() && size(&place.path()) == 0);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::check_pieces;

    /// What was once found, and what fuzzing begins with.
    #[test]
    fn seeds() {
        sluice_test_seeds::seeds("pieces").iter().for_each(|seed| check_pieces(seed));
    }

    proptest! {
        // Each writes to disk, and waits for it.
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn pieces(data in prop::collection::vec(any::<u8>(), 0..400)) {
            check_pieces(&data);
        }
    }
}
