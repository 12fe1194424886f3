//! Uploads that come in parts: a folder each in the migration's directory, with what is known of it, the bytes that have
//! come, and in the end the results. All of it is sealed with the migration's key.

use std::io::{self, Read as _, Write as _};
use std::time::{Duration, SystemTime};

use cap_std::fs::{Dir, OpenOptions};
use uuid::Uuid;

use super::pieces::{Left, PieceFile, PieceReader};
use super::{StagingArea, StagingError, StagingRoot};
use sluice_keys::Sealer;

/// The folder of a migration's directory that these folders are in.
pub(super) const UPLOADS: &str = "uploads";

/// What is known of an upload, which is written as a whole.
pub(super) const ABOUT: &str = "about.sealed";
/// The same, while it is written.
const NEW: &str = "about.new";
/// Bytes that have come.
pub(super) const BYTES: &str = "bytes.sealed";
/// What became of its records.
pub(super) const RESULTS: &str = "results.sealed";

/// An upload's folder.
pub struct ReceivedUpload {
    dir: Dir,
    id: Uuid,
    sealer: std::sync::Arc<Sealer>,
}

fn name(id: Uuid, file: &str) -> String {
    format!("{id}/{file}")
}

fn about_place(id: Uuid) -> Vec<u8> {
    [b"U", id.as_bytes().as_slice()].concat()
}

/// Opens what is known of an upload.
pub(super) fn open_about(sealer: &Sealer, id: Uuid, mut sealed: Vec<u8>) -> Result<Vec<u8>, StagingError> {
    let damaged = |_| StagingError::Damaged { what: "what is known of an upload", segment: 0, offset: 0 };
    sealer.open(&about_place(id), &mut sealed).map_err(damaged)?;
    Ok(sealed)
}

/// Makes what was made or renamed in a directory durable. A `Dir` is opened with O_PATH, which cannot be synced: the
/// directory is opened once more, for reading.
pub(super) fn sync_dir(dir: &Dir) -> io::Result<()> {
    dir.open(".")?.into_std().sync_all()
}

pub(super) fn absent<T>(found: io::Result<T>) -> io::Result<Option<T>> {
    match found {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        found => found.map(Some),
    }
}

impl StagingArea {
    /// Makes a folder for an upload, with what is known of it.
    pub fn begin_received(&self, id: Uuid, about: &[u8]) -> Result<(ReceivedUpload, PieceFile), StagingError> {
        drop(self.read_inner()?);
        self.dir.create_dir_all(UPLOADS)?;
        let uploads = self.dir.open_dir(UPLOADS)?;
        uploads.create_dir(id.to_string())?;
        let upload = ReceivedUpload { dir: uploads.open_dir(id.to_string())?, id, sealer: self.sealer.clone() };
        let bytes = PieceFile::create(&upload.dir, BYTES, name(id, BYTES), self.sealer.clone())?;
        upload.note(about)?;
        sync_dir(&uploads)?;
        sync_dir(&self.dir)?;
        Ok((upload, bytes))
    }

    /// An upload's folder; none if there is not any.
    pub fn received(&self, id: Uuid) -> Result<Option<ReceivedUpload>, StagingError> {
        drop(self.read_inner()?);
        let dir = absent(self.dir.open_dir(format!("{UPLOADS}/{id}")))?;
        Ok(dir.map(|dir| ReceivedUpload { dir, id, sealer: self.sealer.clone() }))
    }

    /// All that there are.
    pub fn all_received(&self) -> Result<Vec<Uuid>, StagingError> {
        drop(self.read_inner()?);
        Ok(ids(&self.dir)?)
    }

    /// Removes an upload's folder, if there is one.
    pub fn remove_received(&self, id: Uuid) -> Result<(), StagingError> {
        absent(self.dir.remove_dir_all(format!("{UPLOADS}/{id}")))?;
        Ok(())
    }
}

impl ReceivedUpload {
    /// Keeps what is known of it, in place of what was; durably, and whole or not at all.
    pub fn note(&self, about: &[u8]) -> Result<(), StagingError> {
        let mut sealed = vec![];
        self.sealer.seal(&about_place(self.id), &[about], &mut sealed);
        let mut options = OpenOptions::new();
        let mut file = self.dir.open_with(NEW, options.write(true).create(true).truncate(true))?.into_std();
        file.write_all(&sealed)?;
        file.sync_all()?;
        self.dir.rename(NEW, &self.dir, ABOUT)?;
        Ok(sync_dir(&self.dir)?)
    }

    /// What is known of it; none if it was never begun as a whole.
    pub fn about(&self) -> Result<Option<Vec<u8>>, StagingError> {
        let Some(file) = absent(self.dir.open(ABOUT))? else { return Ok(None) };
        let mut about = vec![];
        file.into_std().read_to_end(&mut about)?;
        open_about(&self.sealer, self.id, about).map(Some)
    }

    /// The bytes that have come, as far as they are durable; none once they were worked on.
    pub fn bytes(&self, left: Left) -> Result<Option<PieceFile>, StagingError> {
        if !self.dir.try_exists(BYTES)? {
            return Ok(None);
        }
        PieceFile::open(&self.dir, BYTES, name(self.id, BYTES), self.sealer.clone(), left).map(Some)
    }

    /// When anything of it last changed.
    pub fn touched(&self) -> Result<SystemTime, StagingError> {
        Ok(touched(&self.dir)?)
    }

    /// A new file for results.
    pub fn begin_results(&self) -> Result<PieceFile, StagingError> {
        PieceFile::create(&self.dir, RESULTS, name(self.id, RESULTS), self.sealer.clone())
    }

    /// Its results, if there are any.
    pub fn results(&self) -> Result<Option<PieceReader>, StagingError> {
        if !self.dir.try_exists(RESULTS)? {
            return Ok(None);
        }
        let file = PieceFile::open(&self.dir, RESULTS, name(self.id, RESULTS), self.sealer.clone(), Left::default())?;
        file.read().map(Some)
    }

    /// Removes the bytes: they were worked on.
    pub fn drop_bytes(&self) -> Result<(), StagingError> {
        absent(self.dir.remove_file(BYTES))?;
        Ok(())
    }
}

pub(super) fn ids(home: &Dir) -> io::Result<Vec<Uuid>> {
    let Some(uploads) = absent(home.open_dir(UPLOADS))? else { return Ok(vec![]) };
    let names = uploads.entries()?.map(|entry| Ok(entry?.file_name().to_string_lossy().parse().ok()));
    Ok(names.collect::<io::Result<Vec<Option<Uuid>>>>()?.into_iter().flatten().collect())
}

fn touched(dir: &Dir) -> io::Result<SystemTime> {
    let mut latest = SystemTime::UNIX_EPOCH;
    for file in [ABOUT, BYTES] {
        if let Some(metadata) = absent(dir.metadata(file))? {
            latest = latest.max(metadata.modified()?.into_std());
        }
    }
    Ok(latest)
}

impl StagingRoot {
    /// Uploads whose bytes are still there, of all migrations.
    pub fn unfinished_uploads(&self) -> Result<Vec<(Uuid, Uuid)>, StagingError> {
        self.uploads(&|dir| dir.try_exists(BYTES))
    }

    /// Uploads that nobody has touched for so long, of all migrations.
    pub fn untouched_uploads(&self, now: SystemTime, age: Duration) -> Result<Vec<(Uuid, Uuid)>, StagingError> {
        self.uploads(&|dir| Ok(now.duration_since(touched(dir)?).is_ok_and(|untouched| untouched >= age)))
    }

    /// Removes an upload's folder, if there is one.
    pub fn remove_upload(&self, migration: Uuid, id: Uuid) -> Result<(), StagingError> {
        absent(self.migrations.remove_dir_all(format!("{migration}/{UPLOADS}/{id}")))?;
        Ok(())
    }

    fn uploads(&self, such: &dyn Fn(&Dir) -> io::Result<bool>) -> Result<Vec<(Uuid, Uuid)>, StagingError> {
        let mut found = vec![];
        for entry in self.migrations.entries()? {
            let entry = entry?;
            let (Ok(migration), true) =
                (entry.file_name().to_string_lossy().parse::<Uuid>(), entry.file_type()?.is_dir())
            else {
                continue;
            };
            let home = entry.open_dir()?;
            for id in ids(&home)? {
                // It may be gone meanwhile.
                if absent(home.open_dir(format!("{UPLOADS}/{id}")).and_then(|dir| such(&dir)))? == Some(true) {
                    found.push((migration, id));
                }
            }
        }
        Ok(found)
    }
}
