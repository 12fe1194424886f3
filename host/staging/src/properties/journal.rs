//! Properties of a staging area for any staged records and any damage of its files.

use std::path::{Path, PathBuf};

use arbitrary::{Result, Unstructured};
use cap_std::ambient_authority;
use cap_std::fs::Dir;

use crate::{
    DirectRecord, Key, Origin, Product, SourceLengths, SourceRecord, SourceStatus, StagedBatch, StagingArea,
    StagingError, StreamName, UploadEntries,
};

pub(crate) const RECORDS: StreamName = StreamName::Records("things");
const SOURCE: StreamName = StreamName::Source("table");

/// Bodies of the live entries of each stream, in order.
pub(crate) type Contents = Vec<Vec<Vec<u8>>>;

pub(crate) fn open(dir: &Path) -> std::result::Result<StagingArea, StagingError> {
    open_acknowledged(dir, 0)
}

pub(crate) fn open_acknowledged(dir: &Path, version: u64) -> std::result::Result<StagingArea, StagingError> {
    let sealer = sluice_keys::Sealer::new(&[7; 32]);
    StagingArea::open(Dir::open_ambient_dir(dir, ambient_authority())?, dir.into(), sealer, version)
}

pub(crate) fn contents(area: &StagingArea) -> std::result::Result<Contents, StagingError> {
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
    // Reading by id returns the same records as reading in order.
    for body in &contents[0] {
        assert_eq!(area.read("things", key(body))?.as_ref(), Some(body));
    }
    Ok(contents)
}

/// Returns the id of a record, which is its first byte.
pub(crate) fn key(body: &[u8]) -> Key {
    [body[0]; 16]
}

pub(crate) fn stage(area: &StagingArea, upload: u32, bodies: &[impl AsRef<[u8]>]) {
    let record = |body: &[u8]| key(body);
    let records: Vec<DirectRecord> = bodies
        .iter()
        .map(AsRef::as_ref)
        .map(|body| DirectRecord::staged(Origin::Line(1), record(body), body))
        .collect();
    area.stage_records("things", &mut UploadEntries::replacing(upload), &records).expect("it is staged");
}

/// Stages a source record that was mapped to one record.
pub(crate) fn stage_source(area: &StagingArea, upload: u32, body: &[u8], made: &[u8]) {
    let record = SourceRecord {
        line: 1,
        offset: Some(0),
        given: true,
        key: Some(key(body)),
        probable_key: None,
        lookups: vec![],
        body,
        status: SourceStatus::Mapped,
        code: "",
        notes: b"",
        products: vec![Product { entity_type: "things", id: key(made), body: made }],
        replaces: None,
        same_mapper: None,
    };
    let mut entries = UploadEntries::replacing(upload);
    area.stage_sources("table", &[], &mut entries, &SourceLengths::new(), &[record]).expect("it is staged");
}

/// The expected content of an area: a list for each stream.
#[derive(Clone, Default)]
struct AreaModel {
    records: Vec<Vec<u8>>,
    /// Source records, each with the record made from it.
    sources: Vec<(Vec<u8>, Vec<u8>)>,
}

impl AreaModel {
    fn stage(&mut self, body: &[u8]) {
        if !self.records.iter().any(|known| known == body) {
            self.records.retain(|known| known[0] != body[0]);
            self.records.push(body.to_vec());
        }
    }

    fn stage_source(&mut self, body: &[u8], made: &[u8]) {
        let pair = (body.to_vec(), made.to_vec());
        if self.sources.contains(&pair) && self.records.contains(&pair.1) {
            return;
        }
        self.sources.retain(|(known, _)| known[0] != body[0]);
        self.records.retain(|known| known[0] != made[0]);
        self.records.push(pair.1.clone());
        self.sources.push(pair);
    }

    fn contents(&self) -> Contents {
        vec![self.records.clone(), self.sources.iter().map(|(body, _)| body.clone()).collect()]
    }
}

/// Generates a body with one of a few ids, in one of a few versions, of any length.
fn body(input: &mut Unstructured, first: u8) -> Result<Vec<u8>> {
    let mut body = vec![first + input.int_in_range(0..=5)?, input.int_in_range(b'0'..=b'2')?];
    let longer = input.int_in_range(0..=255usize)?;
    body.resize(2 + longer, b'x');
    Ok(body)
}

/// Applies one operation to an area and its model.
fn step(input: &mut Unstructured, area: &StagingArea, model: &mut AreaModel, upload: u32) -> Result<()> {
    match input.int_in_range(0..=3)? {
        0 | 1 => {
            let bodies: Vec<_> = (0..input.int_in_range(1..=4)?).map(|_| body(input, b'a')).collect::<Result<_>>()?;
            bodies.iter().for_each(|body| model.stage(body));
            stage(area, upload, &bodies);
        }
        2 => {
            let source = body(input, b'A')?;
            // A product has an id of its own source record.
            let made = [&[source[0] - b'A' + b'p'], &body(input, b'0')?[1..]].concat();
            model.stage_source(&source, &made);
            stage_source(area, upload, &source, &made);
        }
        _ => {
            let id = *input.choose(b"abcdefpqrs")?;
            let was_there = model.records.iter().any(|known| known[0] == id);
            model.records.retain(|known| known[0] != id);
            assert_eq!(area.delete_records("things", &[[id; 16]]).expect("it is removed").found, [was_there]);
        }
    }
    if input.arbitrary()? {
        area.sync().expect("it is synced");
    }
    Ok(())
}

/// Returns the journal's files, in order.
fn segments(dir: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(dir.join("journal")).expect("a journal").map(|entry| entry.expect("a file").path()).collect();
    files.sort();
    files
}

/// Damages one of the journal's files.
fn damage(input: &mut Unstructured, dir: &Path) -> Result<()> {
    let files = segments(dir);
    let Some(last) = files.last() else { return Ok(()) };
    let file = input.choose(&files)?;
    let mut bytes = std::fs::read(file).expect("a segment");
    let at = input.int_in_range(0..=bytes.len().saturating_sub(1))?;
    match input.int_in_range(0..=6)? {
        0 => {}
        1 => bytes.truncate(at),
        2 if !bytes.is_empty() => bytes[at] ^= 1 << input.int_in_range(0..=7)?,
        3 => bytes[at..].fill(0),
        4 => {
            let from = input.int_in_range(0..=at)?;
            let piece = bytes[from..at].to_vec();
            bytes.splice(at..at, piece);
        }
        5 if file == last => bytes.extend_from_slice(input.bytes(input.len().min(60))?),
        6 if file == last => {
            std::fs::remove_file(file).expect("it is removed");
            return Ok(());
        }
        _ => {}
    }
    std::fs::write(file, bytes).expect("it is written");
    Ok(())
}

/// Checks that an area contains the staged records, in order. A damaged area contains the records of an earlier group, or
/// reports the damage. An area that opens accepts more records.
pub fn check_segments(data: &[u8]) {
    let mut input = Unstructured::new(data);
    let dir = tempfile::tempdir().expect("a directory");
    let mut states = vec![AreaModel::default().contents()];
    let area = open(dir.path()).expect("a new area opens");
    let mut model = AreaModel::default();
    for upload in 1..=input.int_in_range(1..=10).unwrap_or(1) {
        if step(&mut input, &area, &mut model, upload).is_err() {
            break;
        }
        assert_eq!(contents(&area).expect("it is read"), model.contents());
        states.push(model.contents());
    }
    drop(area);
    assert_eq!(contents(&open(dir.path()).expect("it opens")).expect("it is read"), model.contents());
    if damage(&mut input, dir.path()).is_err() {
        return;
    }
    let area = match open(dir.path()) {
        Ok(area) => area,
        Err(StagingError::Damaged { .. }) => return,
        Err(error) => panic!("{error}"),
    };
    match contents(&area) {
        Err(StagingError::Damaged { .. }) => {}
        Err(error) => panic!("{error}"),
        Ok(found) => {
            assert!(states.contains(&found), "{found:?} is none of {states:?}");
            stage(&area, 100, &["z1"]);
            drop(area);
            let mut more = found;
            more[0].push(b"z1".to_vec());
            assert_eq!(contents(&open(dir.path()).expect("it opens again")).expect("it is read"), more);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::check_segments;

    /// Checks the seeds of fuzzing and inputs of earlier failures.
    #[test]
    fn seeds() {
        sluice_test_seeds::seeds("segments").iter().for_each(|seed| check_segments(seed));
    }

    proptest! {
        // Each case writes to disk and syncs.
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn segments(data in prop::collection::vec(any::<u8>(), 0..200)) {
            check_segments(&data);
        }
    }
}
