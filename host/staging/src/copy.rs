//! What of migrations' directories belongs to a backup: noted at one moment, and read afterwards, while others go on.
//!
//! Indexes are derived, trials are thrown away, and files that are written aside are renamed when they are whole: none
//! of these is noted. It needs no key.

use std::fs::File;
use std::io;
use std::path::Path;

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use uuid::Uuid;

use super::StagingError;
use super::area::{JOURNAL, LEDGER};
use super::journal::{committed, segment_names};
use super::lines::LIST;
use super::received::{ABOUT, BYTES, RESULTS, UPLOADS, absent, ids};

/// The directories of all migrations, only to read them.
pub struct Migrations(Dir);

/// A file as far as it belongs to a backup.
pub struct Part {
    /// Its path below the migration's directory.
    pub path: String,
    /// The file.
    pub file: File,
    /// Bytes of it that are wanted. Where they may be fewer by now, what is left is as good.
    pub bytes: u64,
}

/// What a migration's directory held at a moment.
pub struct Noted {
    /// Which.
    pub migration: Uuid,
    home: Dir,
    /// Journal segments and lists: they only grow.
    grown: Vec<(String, u64)>,
    /// Of uploads that come in parts. They go when they have been worked on: they are held open.
    held: Vec<Part>,
}

impl Migrations {
    /// Opens them; none where the data directory has none.
    pub fn open(data_dir: &Path) -> Result<Option<Self>, StagingError> {
        Ok(absent(Dir::open_ambient_dir(data_dir.join("migrations"), ambient_authority()))?.map(Self))
    }

    /// Ids of the migrations that have a directory.
    pub fn ids(&self) -> Result<Vec<Uuid>, StagingError> {
        Self::ids_in(&self.0)
    }

    pub(super) fn ids_in(migrations: &Dir) -> Result<Vec<Uuid>, StagingError> {
        let mut ids = vec![];
        for entry in migrations.entries()? {
            let entry = entry?;
            if let (Ok(id), true) = (entry.file_name().to_string_lossy().parse(), entry.file_type()?.is_dir()) {
                ids.push(id);
            }
        }
        ids.sort();
        Ok(ids)
    }

    /// A migration's directory; none if it is gone.
    pub fn home(&self, migration: Uuid) -> Result<Option<Dir>, StagingError> {
        Ok(absent(self.0.open_dir(migration.to_string()))?)
    }

    /// Notes how far everything of a migration has come; none if its directory is gone.
    ///
    /// Uploads first, then the journal: an upload that is noted as worked on has its records in the journal. Within an
    /// upload its bytes come before what is known of it, and its results after that, as they go and come in this order.
    pub fn note(&self, migration: Uuid) -> Result<Option<Noted>, StagingError> {
        let Some(home) = self.home(migration)? else { return Ok(None) };
        let mut noted = Noted { migration, home, grown: vec![], held: vec![] };
        for upload in ids(&noted.home)? {
            for file in [BYTES, ABOUT, RESULTS] {
                let path = format!("{UPLOADS}/{upload}/{file}");
                if let Some(file) = absent(noted.home.open(&path))? {
                    let bytes = file.metadata()?.len();
                    noted.held.push(Part { path, file: file.into_std(), bytes });
                }
            }
        }
        for path in noted.segments()?.into_iter().chain(noted.lists()?) {
            if let Some(metadata) = absent(noted.home.metadata(&path))? {
                noted.grown.push((path, metadata.len()));
            }
        }
        Ok(Some(noted))
    }
}

impl Noted {
    fn segments(&self) -> io::Result<Vec<String>> {
        let Some(journal) = absent(self.home.open_dir(JOURNAL))? else { return Ok(vec![]) };
        Ok(segment_names(&journal)?.into_iter().map(|name| format!("{JOURNAL}/{name}")).collect())
    }

    fn lists(&self) -> io::Result<Vec<String>> {
        let names = self.home.entries()?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
        let names: Vec<String> = names.collect::<io::Result<_>>()?;
        Ok(names.into_iter().filter(|name| name.ends_with(LIST)).collect())
    }

    /// Bytes, about: what of the journal is not committed is left out when it is read.
    pub fn bytes(&self) -> u64 {
        self.grown.iter().map(|(_, bytes)| bytes).chain(self.held.iter().map(|part| &part.bytes)).sum()
    }

    /// Whether it has a ledger of calls to a platform.
    pub fn has_ledger(&self) -> bool {
        self.home.exists(LEDGER)
    }

    /// Hands out everything that was noted, one after the other. A file that is gone by now ends it: its migration was
    /// erased, or somebody has meddled.
    pub fn each<E: From<StagingError>>(self, mut take: impl FnMut(Part) -> Result<(), E>) -> Result<(), E> {
        self.held.into_iter().try_for_each(&mut take)?;
        let last = self.grown.iter().rposition(|(path, _)| path.starts_with(JOURNAL));
        for (number, (path, bytes)) in self.grown.into_iter().enumerate() {
            let file = self.home.open(&path).map_err(StagingError::from)?.into_std();
            let bytes = match last {
                // Only whole groups: what was being written at that moment was not acknowledged.
                Some(last) if number <= last => {
                    match committed(&file, number as u32, bytes, (number == last).then_some(0), &mut |_, _| Ok(())) {
                        // It is copied as it is, and whoever checks the copy says so.
                        Err(error) if error.is_of_files() => bytes,
                        committed => committed?,
                    }
                }
                _ => bytes,
            };
            take(Part { path, file, bytes })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::sync::Arc;

    use super::*;
    use crate::{
        Checked, DirectRecord, Left, Origin, StagedBatch, StagingArea, StagingRoot, StreamName, hash, key_name,
    };
    use sluice_keys::Keyring;

    fn stage(area: &StagingArea, numbers: std::ops::Range<u32>) {
        for number in numbers {
            let body = format!("record {number}");
            let id = hash(&[body.as_bytes()]);
            let record = DirectRecord { origin: Origin::Line(1), id, body: body.as_bytes() };
            area.stage_records("things", 1, &[record]).unwrap();
        }
    }

    fn read(area: &StagingArea) -> Vec<String> {
        let (mut bodies, mut batch) = (vec![], StagedBatch::default());
        let mut reader = area.reader(StreamName::Records("things"), 0).unwrap();
        while reader.next_batch(&mut batch, 10, 1_000).unwrap() {
            bodies.extend((0..batch.len()).map(|at| String::from_utf8(batch.body(at).to_vec()).unwrap()));
        }
        bodies
    }

    /// Writes all that was noted below another data directory.
    fn write(noted: Noted, data_dir: &Path) {
        let home = data_dir.join("migrations").join(noted.migration.to_string());
        let take = |Part { path, file, bytes }| {
            std::fs::create_dir_all(home.join(&path).parent().unwrap()).unwrap();
            let mut whole = vec![];
            file.take(bytes).read_to_end(&mut whole).unwrap();
            std::fs::write(home.join(path), whole).unwrap();
            Ok::<_, StagingError>(())
        };
        noted.each(take).unwrap();
    }

    /// A copy is what was there when it was noted, up to the last whole group, whatever comes and goes while it is
    /// made; and with or without the key it is known to be whole, or which migration's is not.
    #[test]
    fn as_it_was_at_that_moment() {
        let held = tempfile::tempdir().unwrap();
        let [live, copy] = ["live", "copy"].map(|name| held.path().join(name));
        std::fs::create_dir_all(&live).unwrap();
        let keys = Arc::new(Keyring::open(&held.path().join("keys"), &held.path().join("master.key")).unwrap());
        let root = StagingRoot::open(&live, keys.clone()).unwrap();
        let (id, upload) = (Uuid::from_bytes([1; 16]), Uuid::from_bytes([2; 16]));
        let area = root.area(id, 0).unwrap();
        stage(&area, 0..50);
        area.append_lines("said", [&b"a line"[..]]).unwrap();
        let (_, mut bytes) = area.begin_received(upload, b"about").unwrap();
        bytes.append(b"some bytes").unwrap();
        bytes.sync().unwrap();
        let (was, version) = (read(&area), area.version().unwrap());
        let migrations = Migrations::open(&live).unwrap().unwrap();
        assert_eq!(migrations.ids().unwrap(), [id]);
        let mut noted = migrations.note(id).unwrap().unwrap();
        // In the middle of a group that comes now.
        let last = noted.grown.iter_mut().rfind(|(path, _)| path.starts_with(JOURNAL)).unwrap();
        last.1 += 60;
        stage(&area, 50..200);
        area.append_lines("said", [&b"another line"[..]]).unwrap();
        area.remove_received(upload).unwrap();
        write(noted, &copy);

        let copied = Migrations::open(&copy).unwrap().unwrap();
        let key = keys.find(&key_name(id)).unwrap();
        let streams = Some(vec![("records/things".to_owned(), 50)]);
        // One block is the stream's name.
        let whole = Checked { blocks: 51, entries: 51, uploads: 1, streams };
        assert_eq!(copied.check(id, key, version, &mut |_| {}).unwrap(), whole);
        assert_eq!(copied.check(id, None, version, &mut |_| {}).unwrap(), Checked { streams: None, ..whole });
        let behind = copied.check(id, None, version + 1, &mut |_| {});
        assert!(matches!(behind, Err(StagingError::Behind { .. })), "{behind:?}");
        let restored = StagingRoot::open(&copy, keys).unwrap().area(id, version).unwrap();
        assert_eq!(read(&restored), was);
        assert_eq!(restored.lines("said", 0, 9).unwrap().0, [b"a line"]);
        let received = restored.received(upload).unwrap().unwrap();
        assert_eq!(
            (received.about().unwrap().unwrap(), received.bytes(Left::default()).unwrap().unwrap().len()),
            (b"about".to_vec(), 10)
        );
        drop(restored);

        let home = copy.join("migrations").join(id.to_string());
        for (file, key) in [("journal/00000000.seg", None), ("journal/00000000.seg", key), ("said.sealed", key)] {
            let file = home.join(file);
            let bytes = std::fs::read(&file).unwrap();
            let mut changed = bytes.clone();
            let at = bytes.len() / 2;
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            std::fs::write(&file, changed).unwrap();
            let found = copied.check(id, key, version, &mut |_| {});
            assert!(matches!(found, Err(StagingError::Damaged { .. })), "{}: {found:?}", file.display());
            std::fs::write(&file, bytes).unwrap();
        }
    }
}
