//! Journals that a crash or a broken disk has damaged: an area opens with committed groups only, or reports the damage.

use std::path::{Path, PathBuf};

use crate::number::to_index;
use crate::properties::{self, Contents, contents, key, open, open_acknowledged};
use crate::{StagingArea, StagingError};

/// A written area, with the length of its journal and its contents after each group.
struct WrittenArea {
    dir: tempfile::TempDir,
    groups: Vec<(u64, Contents)>,
}

fn segment(dir: &Path) -> PathBuf {
    dir.join("journal/00000000.seg")
}

fn stage(area: &StagingArea, bodies: &[&str]) {
    properties::stage(area, 1, bodies);
}

fn stage_source(area: &StagingArea, body: &str, made: &str) {
    properties::stage_source(area, 1, body.as_bytes(), made.as_bytes());
}

/// Writes every kind of group: new records, replaced ones, source records with their products, deleted ones.
fn write() -> WrittenArea {
    let dir = tempfile::tempdir().unwrap();
    let area = open(dir.path()).unwrap();
    let mut groups = vec![];
    let steps: &[&dyn Fn(&StagingArea)] = &[
        &|area| stage(area, &["a1", "b1", "c1"]),
        &|area| stage(area, &["b2", "d1"]),
        &|area| stage_source(area, "s1", "e1"),
        &|area| assert_eq!(area.delete_records("things", &[key(b"a"), key(b"x")]).unwrap().found, [true, false]),
        &|area| stage_source(area, "s2", "f1"),
        &|area| stage(area, &["c2", "g1", "h1"]),
    ];
    for step in steps {
        step(&area);
        area.sync().unwrap();
        groups.push((std::fs::metadata(segment(dir.path())).unwrap().len(), contents(&area).unwrap()));
    }
    WrittenArea { dir, groups }
}

/// Copies a written area and changes its journal by `damage`.
fn damaged(written: &WrittenArea, damage: impl Fn(&mut Vec<u8>)) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for folder in ["journal", "index"] {
        std::fs::create_dir(dir.path().join(folder)).unwrap();
        for entry in std::fs::read_dir(written.dir.path().join(folder)).unwrap() {
            let entry = entry.unwrap();
            std::fs::copy(entry.path(), dir.path().join(folder).join(entry.file_name())).unwrap();
        }
    }
    let mut bytes = std::fs::read(segment(dir.path())).unwrap();
    damage(&mut bytes);
    std::fs::write(segment(dir.path()), bytes).unwrap();
    dir
}

/// Checks that the area opens and has exactly these contents.
fn check_holds(dir: &Path, expected: &Contents, what: &str) -> StagingArea {
    let area = open(dir).unwrap_or_else(|error| panic!("{what}: {error}"));
    assert_eq!(contents(&area).unwrap(), *expected, "{what}");
    area
}

/// Checks that the area opens, has exactly these contents, and accepts more.
fn check_accepts_more(dir: &Path, expected: &Contents, what: &str) {
    let area = check_holds(dir, expected, what);
    stage(&area, &["z1"]);
    let mut more = expected.clone();
    more[0].push(b"z1".to_vec());
    drop(area);
    assert_eq!(contents(&open(dir).unwrap()).unwrap(), more, "{what}, and opened again");
}

#[test]
fn groups_are_there_whole_or_not_at_all() {
    let written = write();
    for group in 1..written.groups.len() {
        let (from, before) = &written.groups[group - 1];
        let (to, after) = &written.groups[group];
        assert_ne!(before, after);
        // Every byte of the last group, and one byte in seven of the others.
        let step = if group + 1 == written.groups.len() { 1 } else { 7 };
        for length in (*from..*to).step_by(step) {
            let dir = damaged(&written, |bytes| bytes.truncate(to_index(length)));
            check_holds(dir.path(), before, &format!("cut at {length} of {from} to {to}"));
        }
        let dir = damaged(&written, |bytes| bytes.truncate(to_index(*to) - 1));
        check_accepts_more(dir.path(), before, &format!("cut before {to}"));
        let dir = damaged(&written, |bytes| bytes.truncate(to_index(*to)));
        check_accepts_more(dir.path(), after, &format!("whole to {to}"));
    }
}

#[test]
fn a_damaged_last_group_is_not_there() {
    let written = write();
    let [.., (from, before), (to, _)] = written.groups.as_slice() else { panic!("two groups at least") };
    for at in *from..*to {
        let dir = damaged(&written, |bytes| bytes[to_index(at)] ^= 0x40);
        check_holds(dir.path(), before, &format!("flipped at {at}"));
    }
    let dir = damaged(&written, |bytes| bytes[to_index(*to) - 1] ^= 1);
    check_accepts_more(dir.path(), before, "the last bit flipped");
}

#[test]
fn zeros_at_the_end_are_nothing() {
    let written = write();
    let (_, whole) = written.groups.last().unwrap();
    for zeros in [1, 31, 32, 4_096] {
        let dir = damaged(&written, |bytes| bytes.extend(vec![0; zeros]));
        check_accepts_more(dir.path(), whole, &format!("{zeros} zeros"));
    }
}

/// Checks that damage is reported, or that it does not affect the contents.
fn check_reported(read: Result<Contents, StagingError>, whole: &Contents, what: &str) {
    match read {
        Err(StagingError::Damaged { .. }) => {}
        Err(error) => panic!("{what}: {error}"),
        Ok(contents) => assert!(contents == *whole, "{what}: {contents:?}"),
    }
}

#[test]
fn damage_under_an_open_area_is_reported() {
    let written = write();
    let [.., (to, _), (_, whole)] = written.groups.as_slice() else { panic!("two groups at least") };
    for at in 0..*to {
        let dir = damaged(&written, |_| {});
        let area = open(dir.path()).unwrap();
        let mut bytes = std::fs::read(segment(dir.path())).unwrap();
        bytes[to_index(at)] ^= 0x40;
        std::fs::write(segment(dir.path()), bytes).unwrap();
        check_reported(contents(&area), whole, &format!("flipped at {at}"));
    }
}

#[test]
fn damage_in_a_closed_segment_is_reported() {
    let written = write();
    let area = open(written.dir.path()).unwrap();
    let filling: Vec<String> = (b'A'..=b'Z').map(|id| char::from(id).to_string().repeat(100)).collect();
    while !written.dir.path().join("journal/00000001.seg").exists() {
        let bodies: Vec<&str> = filling.iter().map(String::as_str).collect();
        stage(&area, &bodies);
        stage(&area, &["A", "B"]);
    }
    let whole = contents(&area).unwrap();
    let size = to_index(std::fs::metadata(segment(written.dir.path())).unwrap().len());
    // Every byte of the first blocks, and some of the rest.
    for at in (0..200).chain((200..size).step_by(31)) {
        let dir = damaged(&written, |bytes| bytes[at] ^= 0x40);
        check_reported(open(dir.path()).and_then(|area| contents(&area)), &whole, &format!("flipped at {at}"));
        let dir = damaged(&written, |bytes| bytes.truncate(at));
        check_reported(open(dir.path()).and_then(|area| contents(&area)), &whole, &format!("cut at {at}"));
    }
}

#[test]
fn a_group_missing_from_a_closed_segment_is_reported() {
    let written = write();
    let area = open(written.dir.path()).unwrap();
    let long = "A".repeat(2_000);
    while !written.dir.path().join("journal/00000001.seg").exists() {
        stage(&area, &[&long]);
        stage(&area, &["A"]);
    }
    let whole = contents(&area).unwrap();
    for (boundary, _) in &written.groups {
        let dir = damaged(&written, |bytes| bytes.truncate(to_index(*boundary)));
        check_reported(open(dir.path()).and_then(|area| contents(&area)), &whole, &format!("cut at {boundary}"));
    }
}

#[test]
fn damage_before_later_groups_is_reported() {
    let written = write();
    let [.., (to, _), (_, whole)] = written.groups.as_slice() else { panic!("two groups at least") };
    for at in 0..*to {
        let dir = damaged(&written, |bytes| bytes[to_index(at)] ^= 0x40);
        check_reported(open(dir.path()).and_then(|area| contents(&area)), whole, &format!("flipped at {at}"));
    }
}

/// A journal that ends before the acknowledged version is damaged, wherever it ends. A longer one is not.
#[test]
fn less_than_was_acknowledged_is_reported() {
    let written = write();
    let [.., (from, before), (to, whole)] = written.groups.as_slice() else { panic!("two groups at least") };
    let first = open(written.dir.path()).unwrap().durable().unwrap() - to;
    for length in (0..*to).step_by(7).chain(written.groups.iter().map(|(end, _)| *end)).filter(|length| length < to) {
        let dir = damaged(&written, |bytes| bytes.truncate(to_index(length)));
        let opened = open_acknowledged(dir.path(), first + to).map(drop);
        let reported = matches!(opened, Err(StagingError::Damaged { .. } | StagingError::Behind { .. }));
        assert!(reported, "cut at {length}: {opened:?}");
        // The journal was not truncated.
        assert_eq!(std::fs::metadata(segment(dir.path())).unwrap().len(), length);
    }
    let dir = damaged(&written, |_| {});
    std::fs::remove_file(segment(dir.path())).unwrap();
    assert!(matches!(open_acknowledged(dir.path(), first + to).map(drop), Err(StagingError::Behind { .. })), "gone");
    for (acknowledged, length, held) in [(*to, *to, whole), (*from, *to, whole), (*from, to - 1, before)] {
        let dir = damaged(&written, |bytes| bytes.truncate(to_index(length)));
        let area = open_acknowledged(dir.path(), first + acknowledged).unwrap();
        assert_eq!(contents(&area).unwrap(), *held, "{acknowledged} acknowledged of {length}");
    }
}

#[test]
fn a_missing_segment_is_reported() {
    let written = write();
    let area = open(written.dir.path()).unwrap();
    let long = "A".repeat(2_000);
    while !written.dir.path().join("journal/00000002.seg").exists() {
        stage(&area, &[&long]);
        stage(&area, &["A"]);
    }
    for gone in ["00000000.seg", "00000001.seg"] {
        let dir = damaged(&written, |_| {});
        std::fs::remove_file(dir.path().join("journal").join(gone)).unwrap();
        let opened = open(dir.path()).map(drop);
        assert!(
            matches!(opened, Err(StagingError::Damaged { what: "a segment is missing", .. })),
            "{gone}: {opened:?}"
        );
    }
}
