//! Resumable uploads: a folder each in the migration's directory, with the upload's metadata, the received bytes, and in
//! the end the results. All files are sealed with the migration's key.

use std::io::{self, Read as _, Write as _};
use std::time::{Duration, SystemTime};

use cap_std::fs::{Dir, OpenOptions};
use uuid::Uuid;

use crate::file_system::{if_exists, sync_dir};
use crate::sealed::file::{SealedFile, SealedFileReader, SealedFileState};
use crate::{StagingArea, StagingError, StagingRoot};
use sluice_keys::Sealer;

/// Folder of all uploads in a migration's directory.
pub(crate) const UPLOADS: &str = "uploads";

/// File of an upload's metadata, written as a whole.
pub(crate) const METADATA: &str = "about.sealed";
/// File of the metadata while it is written.
const NEW_METADATA: &str = "about.new";
/// File of the received bytes.
pub(crate) const BYTES: &str = "bytes.sealed";
/// File of the results.
pub(crate) const RESULTS: &str = "results.sealed";

/// The folder of a resumable upload.
pub struct ResumableUpload {
    dir: Dir,
    id: Uuid,
    sealer: std::sync::Arc<Sealer>,
}

/// Returns the name to which a file's chunks are sealed.
fn sealed_name(id: Uuid, file: &str) -> String {
    format!("{id}/{file}")
}

/// Returns the associated data of an upload's metadata.
fn associated_data(id: Uuid) -> Vec<u8> {
    [b"U", id.as_bytes().as_slice()].concat()
}

/// Opens the sealed metadata of an upload.
pub(crate) fn open_metadata(sealer: &Sealer, id: Uuid, mut sealed: Vec<u8>) -> Result<Vec<u8>, StagingError> {
    let damaged = |_| StagingError::Damaged { what: "an upload's metadata", segment: 0, offset: 0 };
    sealer.open(&associated_data(id), &mut sealed).map_err(damaged)?;
    Ok(sealed)
}

impl StagingArea {
    /// Creates the folder of an upload, with its metadata.
    pub fn begin_resumable_upload(
        &self,
        id: Uuid,
        metadata: &[u8],
    ) -> Result<(ResumableUpload, SealedFile), StagingError> {
        drop(self.read_inner()?);
        self.dir.create_dir_all(UPLOADS)?;
        let uploads = self.dir.open_dir(UPLOADS)?;
        uploads.create_dir(id.to_string())?;
        let upload = ResumableUpload { dir: uploads.open_dir(id.to_string())?, id, sealer: self.sealer.clone() };
        let bytes = SealedFile::create(&upload.dir, BYTES, sealed_name(id, BYTES), self.sealer.clone())?;
        upload.write_metadata(metadata)?;
        sync_dir(&uploads)?;
        sync_dir(&self.dir)?;
        Ok((upload, bytes))
    }

    /// Returns an upload's folder, if it exists.
    pub fn resumable_upload(&self, id: Uuid) -> Result<Option<ResumableUpload>, StagingError> {
        drop(self.read_inner()?);
        let dir = if_exists(self.dir.open_dir(format!("{UPLOADS}/{id}")))?;
        Ok(dir.map(|dir| ResumableUpload { dir, id, sealer: self.sealer.clone() }))
    }

    /// Returns the ids of all uploads.
    pub fn resumable_uploads(&self) -> Result<Vec<Uuid>, StagingError> {
        drop(self.read_inner()?);
        Ok(upload_ids(&self.dir)?)
    }

    /// Removes an upload's folder, if it exists.
    pub fn remove_resumable_upload(&self, id: Uuid) -> Result<(), StagingError> {
        if_exists(self.dir.remove_dir_all(format!("{UPLOADS}/{id}")))?;
        Ok(())
    }
}

impl ResumableUpload {
    /// Replaces the metadata, durably and atomically.
    pub fn write_metadata(&self, metadata: &[u8]) -> Result<(), StagingError> {
        let mut sealed = vec![];
        self.sealer.seal(&associated_data(self.id), &[metadata], &mut sealed);
        let mut options = OpenOptions::new();
        let mut file = self.dir.open_with(NEW_METADATA, options.write(true).create(true).truncate(true))?.into_std();
        file.write_all(&sealed)?;
        file.sync_all()?;
        self.dir.rename(NEW_METADATA, &self.dir, METADATA)?;
        Ok(sync_dir(&self.dir)?)
    }

    /// Returns the metadata. Returns `None` if the upload was not completely created.
    pub fn metadata(&self) -> Result<Option<Vec<u8>>, StagingError> {
        let Some(file) = if_exists(self.dir.open(METADATA))? else { return Ok(None) };
        let mut sealed = vec![];
        file.into_std().read_to_end(&mut sealed)?;
        open_metadata(&self.sealer, self.id, sealed).map(Some)
    }

    /// Opens the received bytes, as far as they are durable. Returns `None` once the upload was processed.
    pub fn bytes(&self, state: SealedFileState) -> Result<Option<SealedFile>, StagingError> {
        if !self.dir.try_exists(BYTES)? {
            return Ok(None);
        }
        SealedFile::open(&self.dir, BYTES, sealed_name(self.id, BYTES), self.sealer.clone(), state).map(Some)
    }

    /// Returns the time of the last change.
    pub fn last_changed(&self) -> Result<SystemTime, StagingError> {
        Ok(last_changed(&self.dir)?)
    }

    /// Creates the file of the results.
    pub fn create_results(&self) -> Result<SealedFile, StagingError> {
        SealedFile::create(&self.dir, RESULTS, sealed_name(self.id, RESULTS), self.sealer.clone())
    }

    /// Opens the results, if they exist.
    pub fn results(&self) -> Result<Option<SealedFileReader>, StagingError> {
        if !self.dir.try_exists(RESULTS)? {
            return Ok(None);
        }
        let file = SealedFile::open(
            &self.dir,
            RESULTS,
            sealed_name(self.id, RESULTS),
            self.sealer.clone(),
            SealedFileState::default(),
        )?;
        file.read().map(Some)
    }

    /// Removes the received bytes after the upload was processed.
    pub fn remove_bytes(&self) -> Result<(), StagingError> {
        if_exists(self.dir.remove_file(BYTES))?;
        Ok(())
    }
}

/// Returns the ids of the uploads in a migration's directory.
pub(crate) fn upload_ids(home: &Dir) -> io::Result<Vec<Uuid>> {
    let Some(uploads) = if_exists(home.open_dir(UPLOADS))? else { return Ok(vec![]) };
    let names = uploads.entries()?.map(|entry| Ok(entry?.file_name().to_string_lossy().parse().ok()));
    Ok(names.collect::<io::Result<Vec<Option<Uuid>>>>()?.into_iter().flatten().collect())
}

fn last_changed(dir: &Dir) -> io::Result<SystemTime> {
    let mut latest = SystemTime::UNIX_EPOCH;
    for file in [METADATA, BYTES] {
        if let Some(metadata) = if_exists(dir.metadata(file))? {
            latest = latest.max(metadata.modified()?.into_std());
        }
    }
    Ok(latest)
}

impl StagingRoot {
    /// Returns the uploads of all migrations whose received bytes exist, each with its migration.
    pub fn unfinished_uploads(&self) -> Result<Vec<(Uuid, Uuid)>, StagingError> {
        self.uploads(&|dir| dir.try_exists(BYTES))
    }

    /// Returns the uploads of all migrations that have not changed for this long, each with its migration.
    pub fn stale_uploads(&self, now: SystemTime, age: Duration) -> Result<Vec<(Uuid, Uuid)>, StagingError> {
        self.uploads(&|dir| Ok(now.duration_since(last_changed(dir)?).is_ok_and(|unchanged| unchanged >= age)))
    }

    /// Removes an upload's folder, if it exists.
    pub fn remove_upload(&self, migration: Uuid, id: Uuid) -> Result<(), StagingError> {
        if_exists(self.migrations.remove_dir_all(format!("{migration}/{UPLOADS}/{id}")))?;
        Ok(())
    }

    fn uploads(&self, is_wanted: &dyn Fn(&Dir) -> io::Result<bool>) -> Result<Vec<(Uuid, Uuid)>, StagingError> {
        let mut found = vec![];
        for entry in self.migrations.entries()? {
            let entry = entry?;
            let (Ok(migration), true) =
                (entry.file_name().to_string_lossy().parse::<Uuid>(), entry.file_type()?.is_dir())
            else {
                continue;
            };
            let home = entry.open_dir()?;
            for id in upload_ids(&home)? {
                // The upload may have been removed meanwhile.
                if if_exists(home.open_dir(format!("{UPLOADS}/{id}")).and_then(|dir| is_wanted(&dir)))? == Some(true) {
                    found.push((migration, id));
                }
            }
        }
        Ok(found)
    }
}
