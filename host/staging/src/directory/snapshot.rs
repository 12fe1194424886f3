//! Snapshots of migrations' directories for backups: taken at one moment, and read later while other work goes on.
//!
//! A snapshot excludes indexes, which are derived, trials, which are temporary, and files that are renamed when they are
//! complete. It needs no key.

use std::fs::File;
use std::io;
use std::path::Path;

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use uuid::Uuid;

use crate::StagingError;
use crate::area::{JOURNAL, LEDGER};
use crate::file_system::if_exists;
use crate::journal::{committed, segment_names};
use crate::number::segment_number;
use crate::resumable_upload::{BYTES, METADATA, RESULTS, UPLOADS, upload_ids};
use crate::sealed::lines::LIST_SUFFIX;

/// The directories of all migrations, open for reading.
pub struct MigrationDirectories(Dir);

/// A file of a snapshot.
pub struct SnapshotFile {
    /// Path below the migration's directory.
    pub path: String,
    /// The file.
    pub file: File,
    /// Number of bytes to copy. The file may be shorter by now; a shorter copy is as good.
    pub bytes: u64,
}

/// A snapshot of a migration's directory.
pub struct DirectorySnapshot {
    /// Id of the migration.
    pub migration: Uuid,
    home: Dir,
    /// Journal segments and lists with their lengths. These files only grow.
    grown: Vec<(String, u64)>,
    /// Files of resumable uploads. They are removed once the upload is processed, so they are kept open.
    held: Vec<SnapshotFile>,
}

impl MigrationDirectories {
    /// Opens the directories. Returns `None` if the data directory has none.
    pub fn open(data_dir: &Path) -> Result<Option<Self>, StagingError> {
        Ok(if_exists(Dir::open_ambient_dir(data_dir.join("migrations"), ambient_authority()))?.map(Self))
    }

    /// Returns the ids of the migrations that have a directory.
    pub fn ids(&self) -> Result<Vec<Uuid>, StagingError> {
        Self::ids_in(&self.0)
    }

    /// Returns the ids of the migrations that have a directory in this one.
    pub(crate) fn ids_in(migrations: &Dir) -> Result<Vec<Uuid>, StagingError> {
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

    /// Returns a migration's directory, if it exists.
    pub fn home(&self, migration: Uuid) -> Result<Option<Dir>, StagingError> {
        Ok(if_exists(self.0.open_dir(migration.to_string()))?)
    }

    /// Takes a snapshot of a migration. Returns `None` if its directory does not exist.
    ///
    /// Uploads come before the journal, so that the journal contains the records of an upload that is recorded as processed.
    /// Within an upload the bytes come first, then the metadata, then the results, because they are removed and created
    /// in this order.
    pub fn snapshot(&self, migration: Uuid) -> Result<Option<DirectorySnapshot>, StagingError> {
        let Some(home) = self.home(migration)? else { return Ok(None) };
        let mut snapshot = DirectorySnapshot { migration, home, grown: vec![], held: vec![] };
        for upload in upload_ids(&snapshot.home)? {
            for file in [BYTES, METADATA, RESULTS] {
                let path = format!("{UPLOADS}/{upload}/{file}");
                if let Some(file) = if_exists(snapshot.home.open(&path))? {
                    let bytes = file.metadata()?.len();
                    snapshot.held.push(SnapshotFile { path, file: file.into_std(), bytes });
                }
            }
        }
        for path in snapshot.segments()?.into_iter().chain(snapshot.lists()?) {
            if let Some(metadata) = if_exists(snapshot.home.metadata(&path))? {
                snapshot.grown.push((path, metadata.len()));
            }
        }
        Ok(Some(snapshot))
    }
}

impl DirectorySnapshot {
    fn segments(&self) -> io::Result<Vec<String>> {
        let Some(journal) = if_exists(self.home.open_dir(JOURNAL))? else { return Ok(vec![]) };
        Ok(segment_names(&journal)?.into_iter().map(|name| format!("{JOURNAL}/{name}")).collect())
    }

    fn lists(&self) -> io::Result<Vec<String>> {
        let names = self.home.entries()?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
        let names: Vec<String> = names.collect::<io::Result<_>>()?;
        Ok(names.into_iter().filter(|name| name.ends_with(LIST_SUFFIX)).collect())
    }

    /// Returns the approximate number of bytes. Uncommitted bytes of the journal are excluded when they are read.
    pub fn bytes(&self) -> u64 {
        self.grown.iter().map(|(_, bytes)| bytes).chain(self.held.iter().map(|part| &part.bytes)).sum()
    }

    /// Returns true if there is a ledger of calls to a platform.
    pub fn has_ledger(&self) -> bool {
        self.home.exists(LEDGER)
    }

    /// Passes all files to `take`, in order. Fails if a file does not exist any more: the migration was erased, or the
    /// directory was changed by hand.
    pub fn for_each_file<E: From<StagingError>>(
        self,
        mut take: impl FnMut(SnapshotFile) -> Result<(), E>,
    ) -> Result<(), E> {
        self.held.into_iter().try_for_each(&mut take)?;
        let last = self.grown.iter().rposition(|(path, _)| path.starts_with(JOURNAL));
        for (number, (path, bytes)) in self.grown.into_iter().enumerate() {
            let file = self.home.open(&path).map_err(StagingError::from)?.into_std();
            let bytes = match last {
                // Complete groups only. A group that was being written at that moment was not acknowledged.
                Some(last) if number <= last => {
                    match committed(&file, segment_number(number), bytes, (number == last).then_some(0), &mut |_, _| {
                        Ok(())
                    }) {
                        // A damaged segment is copied as it is. Verification of the copy reports it.
                        Err(error) if error.is_of_files() => bytes,
                        committed => committed?,
                    }
                }
                _ => bytes,
            };
            take(SnapshotFile { path, file, bytes })?;
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
        DirectRecord, DirectorySummary, Origin, SealedFileState, StagedBatch, StagingArea, StagingRoot, StreamName,
        UploadEntries, hash, key_name,
    };
    use sluice_keys::Keyring;

    fn stage(area: &StagingArea, numbers: std::ops::Range<u32>) {
        for number in numbers {
            let body = format!("record {number}");
            let id = hash(&[body.as_bytes()]);
            let record = DirectRecord::staged(Origin::Line(1), id, body.as_bytes());
            area.stage_records("things", &mut UploadEntries::replacing(1), &[record]).unwrap();
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

    /// Writes a snapshot below another data directory.
    fn write(snapshot: DirectorySnapshot, data_dir: &Path) {
        let home = data_dir.join("migrations").join(snapshot.migration.to_string());
        let take = |SnapshotFile { path, file, bytes }| {
            std::fs::create_dir_all(home.join(&path).parent().unwrap()).unwrap();
            let mut whole = vec![];
            file.take(bytes).read_to_end(&mut whole).unwrap();
            std::fs::write(home.join(path), whole).unwrap();
            Ok::<_, StagingError>(())
        };
        snapshot.for_each_file(take).unwrap();
    }

    /// A copy has the content of the moment of the snapshot, up to the last complete group, whatever changes meanwhile.
    /// Verification with and without the key accepts it, and reports a damaged copy.
    #[test]
    fn a_copy_has_the_content_of_the_snapshot() {
        let held = tempfile::tempdir().unwrap();
        let [live, copy] = ["live", "copy"].map(|name| held.path().join(name));
        std::fs::create_dir_all(&live).unwrap();
        let keys = Arc::new(Keyring::open(&held.path().join("keys"), &held.path().join("master.key")).unwrap());
        let root = StagingRoot::open(&live, keys.clone(), 100).unwrap();
        let (id, upload) = (Uuid::from_bytes([1; 16]), Uuid::from_bytes([2; 16]));
        let area = root.area(id, 0).unwrap();
        stage(&area, 0..50);
        area.append_lines("said", [&b"a line"[..]]).unwrap();
        let (_, mut bytes) = area.begin_resumable_upload(upload, b"about").unwrap();
        bytes.append(b"some bytes").unwrap();
        bytes.sync().unwrap();
        let (was, version) = (read(&area), area.version().unwrap());
        let migrations = MigrationDirectories::open(&live).unwrap().unwrap();
        assert_eq!(migrations.ids().unwrap(), [id]);
        let mut snapshot = migrations.snapshot(id).unwrap().unwrap();
        // The snapshot ends in the middle of the next group.
        let last = snapshot.grown.iter_mut().rfind(|(path, _)| path.starts_with(JOURNAL)).unwrap();
        last.1 += 60;
        stage(&area, 50..200);
        area.append_lines("said", [&b"another line"[..]]).unwrap();
        area.remove_resumable_upload(upload).unwrap();
        write(snapshot, &copy);

        let copied = MigrationDirectories::open(&copy).unwrap().unwrap();
        let key = keys.find(&key_name(id)).unwrap();
        let streams = Some(vec![("records/things".to_owned(), 50)]);
        // One block has the stream's name.
        let whole = DirectorySummary { blocks: 51, entries: 51, uploads: 1, streams };
        assert_eq!(copied.verify(id, key, version, &mut |_| {}).unwrap(), whole);
        assert_eq!(copied.verify(id, None, version, &mut |_| {}).unwrap(), DirectorySummary { streams: None, ..whole });
        let behind = copied.verify(id, None, version + 1, &mut |_| {});
        assert!(matches!(behind, Err(StagingError::Behind { .. })), "{behind:?}");
        let restored = StagingRoot::open(&copy, keys, 100).unwrap().area(id, version).unwrap();
        assert_eq!(read(&restored), was);
        assert_eq!(restored.lines("said", 0, 9).unwrap().0, [b"a line"]);
        let received = restored.resumable_upload(upload).unwrap().unwrap();
        assert_eq!(
            (received.metadata().unwrap().unwrap(), received.bytes(SealedFileState::default()).unwrap().unwrap().len()),
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
            let found = copied.verify(id, key, version, &mut |_| {});
            assert!(matches!(found, Err(StagingError::Damaged { .. })), "{}: {found:?}", file.display());
            std::fs::write(&file, bytes).unwrap();
        }
    }
}
