//! What a crash or a broken disk can leave of a journal, and that no area ever takes it for more than it is.

use std::path::{Path, PathBuf};

use cap_std::ambient_authority;
use cap_std::fs::Dir;

use super::{
    DirectRecord, Key, Origin, Product, Seen, SourceRecord, SourceStatus, StagedBatch, StagingArea, StagingError,
    StreamName,
};

const RECORDS: StreamName = StreamName::Records("things");
const SOURCE: StreamName = StreamName::Source("table");

/// What an area holds: bodies of the live entries of each stream, in order.
type Contents = Vec<Vec<Vec<u8>>>;

/// An area in the making, with the length of its journal and its contents after each group.
struct Written {
    dir: tempfile::TempDir,
    groups: Vec<(u64, Contents)>,
}

fn open(dir: &Path) -> Result<StagingArea, StagingError> {
    let sealer = crate::keys::Sealer::new(&[7; 32]);
    StagingArea::open(Dir::open_ambient_dir(dir, ambient_authority()).unwrap(), dir.into(), sealer)
}

fn segment(dir: &Path) -> PathBuf {
    dir.join("journal/00000000.seg")
}

fn contents(area: &StagingArea) -> Result<Contents, StagingError> {
    let mut contents = vec![];
    for stream in [RECORDS, SOURCE] {
        let mut bodies = vec![];
        let mut batch = StagedBatch::default();
        let mut reader = area.reader(stream, 0)?;
        while reader.next_batch(&mut batch, 2, 1_000)? {
            bodies.extend((0..batch.len()).map(|position| batch.body(position).to_vec()));
        }
        assert_eq!(bodies.len() as u64, area.count(stream)?);
        contents.push(bodies);
    }
    // What is read by its id is what is read in order.
    for body in &contents[0] {
        assert_eq!(area.read("things", key(body))?.as_ref(), Some(body));
    }
    Ok(contents)
}

/// A record's id is in its first byte.
fn key(body: &[u8]) -> Key {
    [body[0]; 16]
}

fn stage(area: &StagingArea, bodies: &[&str]) {
    let record =
        |body: &&'static str| DirectRecord { origin: Origin::Line(1), id: key(body.as_bytes()), body: body.as_bytes() };
    let bodies: Vec<&'static str> = bodies.iter().map(|body| &*body.to_string().leak()).collect();
    area.stage_records("things", 1, &bodies.iter().map(record).collect::<Vec<_>>()).unwrap();
}

fn stage_source(area: &StagingArea, body: &str, made: &str) {
    let product = Product { entity_type: "things", id: key(made.as_bytes()), body: made.as_bytes() };
    let record = SourceRecord {
        line: 1,
        offset: Some(0),
        given: true,
        key: Some(key(body.as_bytes())),
        lookups: vec![],
        body: body.as_bytes(),
        status: SourceStatus::Mapped,
        code: "",
        products: vec![product],
        replaces: None,
    };
    area.stage_sources("table", &[], 1, &Seen::new(), &[record]).unwrap();
}

/// Every kind of group: new records, replaced ones, source records and what they made, removed ones.
fn write() -> Written {
    let dir = tempfile::tempdir().unwrap();
    let area = open(dir.path()).unwrap();
    let mut groups = vec![];
    let steps: &[&dyn Fn(&StagingArea)] = &[
        &|area| stage(area, &["a1", "b1", "c1"]),
        &|area| stage(area, &["b2", "d1"]),
        &|area| stage_source(area, "s1", "e1"),
        &|area| assert_eq!(area.delete_records("things", &[key(b"a"), key(b"x")]).unwrap(), [true, false]),
        &|area| stage_source(area, "s2", "f1"),
        &|area| stage(area, &["c2", "g1", "h1"]),
    ];
    for step in steps {
        step(&area);
        area.sync().unwrap();
        groups.push((std::fs::metadata(segment(dir.path())).unwrap().len(), contents(&area).unwrap()));
    }
    Written { dir, groups }
}

/// A copy of what was written, with its journal put through `damage`.
fn damaged(written: &Written, damage: impl Fn(&mut Vec<u8>)) -> tempfile::TempDir {
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

/// The area opens, and holds exactly this.
fn check_holds(dir: &Path, expected: &Contents, what: &str) -> StagingArea {
    let area = open(dir).unwrap_or_else(|error| panic!("{what}: {error}"));
    assert_eq!(contents(&area).unwrap(), *expected, "{what}");
    area
}

/// The area opens, holds exactly this, and takes more.
fn check_goes_on(dir: &Path, expected: &Contents, what: &str) {
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
        // Every byte of the last group; of the others, which are cut no differently, one in seven.
        let step = if group + 1 == written.groups.len() { 1 } else { 7 };
        for length in (*from..*to).step_by(step) {
            let dir = damaged(&written, |bytes| bytes.truncate(length as usize));
            check_holds(dir.path(), before, &format!("cut at {length} of {from} to {to}"));
        }
        let dir = damaged(&written, |bytes| bytes.truncate(*to as usize - 1));
        check_goes_on(dir.path(), before, &format!("cut before {to}"));
        let dir = damaged(&written, |bytes| bytes.truncate(*to as usize));
        check_goes_on(dir.path(), after, &format!("whole to {to}"));
    }
}

#[test]
fn a_damaged_last_group_is_not_there() {
    let written = write();
    let [.., (from, before), (to, _)] = written.groups.as_slice() else { panic!("two groups at least") };
    for at in *from..*to {
        let dir = damaged(&written, |bytes| bytes[at as usize] ^= 0x40);
        check_holds(dir.path(), before, &format!("flipped at {at}"));
    }
    let dir = damaged(&written, |bytes| bytes[*to as usize - 1] ^= 1);
    check_goes_on(dir.path(), before, "the last bit flipped");
}

#[test]
fn zeros_at_the_end_are_nothing() {
    let written = write();
    let (_, whole) = written.groups.last().unwrap();
    for zeros in [1, 31, 32, 4_096] {
        let dir = damaged(&written, |bytes| bytes.extend(vec![0; zeros]));
        check_goes_on(dir.path(), whole, &format!("{zeros} zeros"));
    }
}

/// Damage is reported, or it is where nobody looks: what is read is never something else.
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
        bytes[at as usize] ^= 0x40;
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
    let size = std::fs::metadata(segment(written.dir.path())).unwrap().len() as usize;
    // Every byte of what all else hangs on, and some of the rest.
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
        let dir = damaged(&written, |bytes| bytes.truncate(*boundary as usize));
        check_reported(open(dir.path()).and_then(|area| contents(&area)), &whole, &format!("cut at {boundary}"));
    }
}

#[test]
fn damage_before_later_groups_is_reported() {
    let written = write();
    let [.., (to, _), (_, whole)] = written.groups.as_slice() else { panic!("two groups at least") };
    for at in 0..*to {
        let dir = damaged(&written, |bytes| bytes[at as usize] ^= 0x40);
        check_reported(open(dir.path()).and_then(|area| contents(&area)), whole, &format!("flipped at {at}"));
    }
}
