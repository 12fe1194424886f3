//! Sealing: files of a migration's directory reveal nothing without its key, and changed files are reported.

use std::path::Path;
use std::sync::Arc;

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use uuid::Uuid;

use crate::index::sorted_run::{self, ENTRY_BYTES};
use crate::journal::block::{BlockHeader, HEADER_BYTES};
use crate::{
    DirectRecord, Origin, Spool, StagedBatch, StagingArea, StagingError, StagingRoot, StreamName, UploadEntries, hash,
};
use sluice_keys::{Keyring, Sealer};

const RECORDS: StreamName = StreamName::Records("things");

fn open_with(dir: &Path, key: u8) -> Result<StagingArea, StagingError> {
    StagingArea::open(Dir::open_ambient_dir(dir, ambient_authority()).unwrap(), dir.into(), Sealer::new(&[key; 32]), 0)
}

fn stage(area: &StagingArea, bodies: &[String]) {
    let record = |body: &'_ String| hash(&[body.as_bytes()]);
    let records: Vec<DirectRecord> =
        bodies.iter().map(|body| DirectRecord::staged(Origin::Line(1), record(body), body.as_bytes())).collect();
    area.stage_records("things", &mut UploadEntries::new(1), &records).unwrap();
    area.sync().unwrap();
}

fn read(area: &StagingArea) -> Result<Vec<String>, StagingError> {
    let (mut bodies, mut batch) = (vec![], StagedBatch::default());
    let mut reader = area.reader(RECORDS, 0)?;
    while reader.next_batch(&mut batch, 10, 1_000)? {
        bodies.extend((0..batch.len()).map(|place| String::from_utf8(batch.body(place).to_vec()).unwrap()));
    }
    Ok(bodies)
}

/// Returns the offsets and headers of the blocks in a segment.
fn blocks(segment: &[u8]) -> Vec<(usize, BlockHeader)> {
    let (mut blocks, mut at) = (vec![], 0);
    while at < segment.len() {
        let header = BlockHeader::decode(segment[at..at + HEADER_BYTES].try_into().unwrap()).unwrap();
        blocks.push((at, header));
        at += HEADER_BYTES + header.payload_bytes as usize;
    }
    blocks
}

/// Writes a header with correct checksums.
fn write_header(segment: &mut [u8], at: usize, mut header: BlockHeader) {
    let payload = at + HEADER_BYTES;
    header.payload_crc = crc32fast::hash(&segment[payload..payload + header.payload_bytes as usize]);
    segment[at..payload].copy_from_slice(&header.encode());
}

/// The seal detects changes whose checksums are correct: flipped bits, changed headers, and blocks in another place.
#[test]
fn deliberate_changes_are_reported() {
    let held = tempfile::tempdir().unwrap();
    let (path, bodies) = (held.path().join("journal/00000000.seg"), ["a", "b", "c"].map(str::to_owned));
    let area = open_with(held.path(), 7).unwrap();
    bodies.iter().for_each(|body| stage(&area, std::slice::from_ref(body)));
    assert_eq!(read(&area).unwrap(), bodies);
    drop(area);
    let whole = std::fs::read(&path).unwrap();
    // The name of the stream, then the records.
    let [(name, name_header), (one, first), (two, second), (_, _)] = blocks(&whole)[..] else { panic!("four blocks") };
    assert_eq!(first.payload_bytes, second.payload_bytes);
    let length = HEADER_BYTES + first.payload_bytes as usize;
    type Transaction<'a> = Box<dyn Fn(&mut Vec<u8>) + 'a>;
    let mut changes: Vec<(String, Transaction)> = vec![];
    for (at, header) in [(name, name_header), (one, first)] {
        for bit in (0..header.payload_bytes as usize * 8).step_by(3) {
            let flip = move |segment: &mut Vec<u8>| {
                segment[at + HEADER_BYTES + bit / 8] ^= 1 << (bit % 8);
                write_header(segment, at, header);
            };
            changes.push((format!("bit {bit} of the block at {at}"), Box::new(flip)));
        }
    }
    let swap = |segment: &mut Vec<u8>| {
        segment[one..one + length].copy_from_slice(&whole[two..two + length]);
        segment[two..two + length].copy_from_slice(&whole[one..one + length]);
    };
    changes.push(("blocks swapped".into(), Box::new(swap)));
    let stand_in = |segment: &mut Vec<u8>| {
        let payload = two + HEADER_BYTES..two + length;
        segment[one + HEADER_BYTES..one + length].copy_from_slice(&whole[payload]);
        write_header(segment, one, first);
    };
    changes.push(("a payload in another's place".into(), Box::new(stand_in)));
    let fewer = |segment: &mut Vec<u8>| write_header(segment, one, BlockHeader { count: 2, ..first });
    changes.push(("another count".into(), Box::new(fewer)));
    for (what, change) in changes {
        let mut segment = whole.clone();
        change(&mut segment);
        assert!(segment != whole, "{what}");
        std::fs::write(&path, &segment).unwrap();
        let found = open_with(held.path(), 7).and_then(|area| read(&area));
        assert!(matches!(found, Err(StagingError::Damaged { .. })), "{what}: {found:?}");
    }
    std::fs::write(&path, &whole).unwrap();
    assert!(matches!(open_with(held.path(), 8), Err(StagingError::Damaged { .. })), "another key");
    assert_eq!(read(&open_with(held.path(), 7).unwrap()).unwrap(), bodies);
}

/// Returns true if a file below the directory contains these bytes.
fn holds(dir: &Path, bytes: &[u8]) -> bool {
    std::fs::read_dir(dir).unwrap().any(|entry| {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => holds(&path, bytes),
            false => memchr::memmem::find(&std::fs::read(path).unwrap(), bytes).is_some(),
        }
    })
}

/// A sorted run of many pages is searched and opened again, and contains no key in plain. A run with a changed page or
/// under another name is refused.
#[test]
fn runs_are_sealed_by_page() {
    let held = tempfile::tempdir().unwrap();
    let dir = Dir::open_ambient_dir(held.path(), ambient_authority()).unwrap();
    let sealer = Arc::new(Sealer::new(&[7; 32]));
    let mut pairs: Vec<(u128, u64)> =
        (0..1_000u64).map(|number| (u128::from_be_bytes(hash(&[&number.to_le_bytes()])), number)).collect();
    pairs.sort_unstable();
    sorted_run::write(&dir, &sealer, "a.run", 0..1_000, 1_000, pairs.iter().copied().map(Ok)).unwrap();
    let run = sorted_run::open(&dir, &sealer, "a.run").unwrap().unwrap();
    assert_eq!(run.pairs().collect::<Result<Vec<_>, _>>().unwrap(), pairs);
    for (key, ordinal) in &pairs {
        let mut found = vec![];
        run.find(*key, &mut found).unwrap();
        assert_eq!(found, [*ordinal]);
        assert!(!holds(held.path(), &key.to_be_bytes()) && !holds(held.path(), &key.to_le_bytes()));
    }
    let whole = std::fs::read(held.path().join("a.run")).unwrap();
    assert!(whole.len() > pairs.len() * ENTRY_BYTES);
    std::fs::write(held.path().join("b.run"), &whole).unwrap();
    assert!(sorted_run::open(&dir, &sealer, "b.run").unwrap().is_none(), "under another's name");
    assert!(sorted_run::open(&dir, &Arc::new(Sealer::new(&[8; 32])), "a.run").unwrap().is_none(), "with another key");
    for at in (0..whole.len()).step_by(97) {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        std::fs::write(held.path().join("a.run"), &bytes).unwrap();
        assert!(sorted_run::open(&dir, &sealer, "a.run").unwrap().is_none(), "byte {at}");
    }
}

/// Lists are read back line by line, under their own name only. An incomplete line is discarded, and a changed one is
/// reported.
#[test]
fn lists_are_sealed_by_line() {
    let held = tempfile::tempdir().unwrap();
    let area = open_with(held.path(), 7).unwrap();
    let all =
        |list: &str| area.lines(list, 0, u64::MAX).map(|(lines, total)| (total == lines.len() as u64).then_some(lines));
    assert_eq!(all("a").unwrap().unwrap(), Vec::<Vec<u8>>::new());
    let lines: [&[u8]; 3] = [b"one canary", b"", b"two\nlines"];
    area.append_lines("a", lines).unwrap();
    area.append_lines("a", [lines[0]]).unwrap();
    let path = held.path().join("a.sealed");
    let mut incomplete = std::fs::read(&path).unwrap();
    incomplete.extend_from_slice(b"bm90IGZpbmlz");
    std::fs::write(&path, &incomplete).unwrap();
    assert_eq!(all("a").unwrap().unwrap(), [lines[0], lines[1], lines[2], lines[0]]);
    assert_eq!(area.lines("a", 1, 2).unwrap(), (vec![lines[1].to_vec(), lines[2].to_vec()], 4));
    area.append_lines("a", [lines[2]]).unwrap();
    assert_eq!(all("a").unwrap().unwrap(), [lines[0], lines[1], lines[2], lines[0], lines[2]]);
    assert!(!holds(held.path(), b"canary"));
    let whole = std::fs::read(&path).unwrap();
    std::fs::write(held.path().join("b.sealed"), &whole).unwrap();
    assert!(matches!(all("b"), Err(StagingError::Damaged { .. })), "under another's name");
    for at in 0..whole.len() - 1 {
        let mut bytes = whole.clone();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        std::fs::write(&path, &bytes).unwrap();
        assert!(matches!(all("a"), Err(StagingError::Damaged { .. })), "byte {at}");
    }
}

/// Scratch files and spools return the bytes that were written, and contain nothing in plain.
#[test]
fn scratch_is_sealed() {
    let held = tempfile::tempdir().unwrap();
    let area = open_with(held.path(), 7).unwrap();
    let file = area.scratch().unwrap();
    let next = file.write(0, b"canary").unwrap();
    let end = file.write(next, b"").unwrap();
    assert_eq!(file.read(0).unwrap(), (b"canary".to_vec(), next));
    assert_eq!(file.read(next).unwrap(), (vec![], end));
    assert!(memchr::memmem::find(&file.bytes(), b"canary").is_none());

    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let (spool, mut reader) = Spool::new(&area).unwrap();
    let pieces = [vec![1; 10], vec![], vec![2; 200_000], vec![3; 64 * 1024]];
    pieces.iter().for_each(|piece| spool.write(piece).unwrap());
    spool.end();
    let mut came = vec![];
    while let Some(piece) = runtime.block_on(reader.next()).unwrap() {
        came.extend(piece);
    }
    assert!(came == pieces.concat());
}

/// A directory whose key is lost is not opened with a new key, and an erased one stays erased.
#[test]
fn a_directory_without_its_key_is_not_opened() {
    let held = tempfile::tempdir().unwrap();
    let keys = || Arc::new(Keyring::open(&held.path().join("keys"), &held.path().join("master.key")).unwrap());
    let (id, other) = (Uuid::from_bytes([1; 16]), Uuid::from_bytes([2; 16]));
    let [directory, copy] = ["migrations", "copies"].map(|folder| held.path().join(folder).join(id.to_string()));
    let root = StagingRoot::open(held.path(), keys(), 100).unwrap();
    for id in [id, other] {
        stage(&root.area(id, 0).unwrap(), &["a canary".to_owned()]);
    }
    drop(root);

    let root = StagingRoot::open(held.path(), keys(), 100).unwrap();
    let area = root.area(id, 0).unwrap();
    let reading = area.reader(RECORDS, 0).unwrap();
    assert_eq!(read(&area).unwrap(), ["a canary"]);
    std::fs::create_dir(held.path().join("copies")).unwrap();
    std::fs::rename(&directory, &copy).unwrap();
    for _ in 0..2 {
        root.erase(id).unwrap();
    }
    assert!(matches!(root.area(id, 0).map(|_| ()), Err(StagingError::Erased)));
    let mut reading = reading;
    let broken_off = reading.next_batch(&mut StagedBatch::default(), 1, 1);
    assert!(matches!(broken_off, Err(StagingError::Erased)), "a reader at work fails: {broken_off:?}");
    assert!(!directory.exists(), "opening it does not create it again");
    drop(root);

    std::fs::rename(&copy, &directory).unwrap();
    let root = StagingRoot::open(held.path(), keys(), 100).unwrap();
    for _ in 0..2 {
        assert!(matches!(root.area(id, 0).map(|_| ()), Err(StagingError::KeyGone)), "no new key is made");
    }
    assert_eq!(read(&root.area(other, 0).unwrap()).unwrap(), ["a canary"], "nor is another touched");
}
