//! Taking a backup beside a running server: the state of one moment is noted first, and copied afterwards.

use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use sluice_catalog::Catalog;
use sluice_data_dir::{CATALOG_FILE, TARGET_FILE, lock};
use sluice_keys::{Keyring, Signer};
use sluice_sqlite::{Snapshot, SnapshotSource, SqlError, WriteLock};
use sluice_staging::{DirectorySnapshot, LEDGER, MigrationDirectories, SnapshotFile};
use uuid::Uuid;

use crate::check::{self, BackupSummary};
use crate::error::BackupError;
use crate::files::{self, copy, create_folder};
use crate::manifest::{BackupFile, BackupManifest, MANIFEST};
use crate::{BackupProgress, SilentProgress};

/// State of a data directory at one moment: what a server that was killed at that moment would have left.
struct DataDirSnapshot {
    at: Timestamp,
    catalogue: Snapshot,
    target: Option<Snapshot>,
    migrations: Option<MigrationDirectories>,
    noted: Vec<DirectorySnapshot>,
}

impl DataDirSnapshot {
    /// Notes the state while the catalogue is locked for some milliseconds. No upload and no job begins or ends
    /// meanwhile. Imported records are noted before staged ones, and neither is older than the catalogue.
    fn of(data_dir: &Path) -> Result<Self, BackupError> {
        let [catalogue_file, target_file] = [CATALOG_FILE, TARGET_FILE].map(|name| data_dir.join(name));
        let unreadable = |name: &'static str| {
            move |source: SqlError| BackupError::UnreadableDatabase { name: name.to_owned(), source }
        };
        let (no_catalogue, no_target) = (unreadable("the catalogue"), unreadable("the platform database"));
        let catalogue = SnapshotSource::open(&catalogue_file).map_err(no_catalogue)?;
        let target = target_file.exists().then(|| SnapshotSource::open(&target_file)).transpose().map_err(no_target)?;
        let migrations = MigrationDirectories::open(data_dir)?;
        let lock = WriteLock::acquire(&catalogue_file).map_err(BackupError::CatalogueLock)?;
        let (at, catalogue) = (Timestamp::now(), catalogue.snapshot().map_err(no_catalogue)?);
        let target = target.map(SnapshotSource::snapshot).transpose().map_err(no_target)?;
        let mut noted = vec![];
        if let Some(migrations) = &migrations {
            for migration in migrations.ids()? {
                let of_migration = migrations.snapshot(migration);
                noted.extend(of_migration.map_err(|source| BackupError::UnreadableMigration { migration, source })?);
            }
        }
        drop(lock);
        Ok(Self { at, catalogue, target, migrations, noted })
    }

    /// Returns the number of bytes to copy.
    fn bytes(&self) -> Result<u64, BackupError> {
        let size = |snapshot: &Snapshot, name: &str| {
            snapshot.bytes().map_err(|source| BackupError::UnreadableDatabase { name: name.to_owned(), source })
        };
        let target = self.target.as_ref().map_or(Ok(0), |target| size(target, TARGET_FILE))?;
        let staged: u64 = self.noted.iter().map(DirectorySnapshot::bytes).sum();
        Ok(size(&self.catalogue, CATALOG_FILE)? + target + staged)
    }
}

/// Copies a data directory without its keys to a new folder, and checks the copy. `store` is the catalogue of the running
/// server. `keys` are the keys to check with, if they are there.
///
/// # Errors
///
/// Fails if the folder holds something ([`BackupError::DestinationExists`]), if another backup is being written to it
/// ([`BackupError::DestinationInUse`]), if the data directory cannot be read, or if the check of the copy fails (see
/// [`verify`](crate::verify)). After an error there is no backup.
pub fn take(
    data_dir: &Path,
    store: &Catalog,
    destination: &Path,
    signer: &Signer,
    keys: Option<&Keyring>,
    progress: &dyn BackupProgress,
) -> Result<BackupSummary, BackupError> {
    if fs::read_dir(destination).map_or(destination.exists(), |mut entries| entries.next().is_some()) {
        return Err(BackupError::DestinationExists { destination: destination.to_owned() });
    }
    let partial = with_suffix(destination, ".partial")?;
    let lock_file = with_suffix(destination, ".lock")?;
    let folder = destination.parent().filter(|parent| *parent != "").unwrap_or(Path::new("."));
    create_folder(folder)?;
    let lock = lock(&lock_file).map_err(|error| BackupError::Lock(error.into()))?;
    if lock.is_none() {
        return Err(BackupError::DestinationInUse { destination: destination.to_owned() });
    }
    if partial.exists() {
        // An earlier backup was interrupted. The lock makes sure that it does not run any more.
        fs::remove_dir_all(&partial).map_err(|source| BackupError::Remove { path: partial.clone(), source })?;
    }
    let written = write(data_dir, store, &partial, signer, keys, progress).and_then(|summary| {
        fs::rename(&partial, destination)
            .map_err(|source| BackupError::Create { path: destination.to_owned(), source })?;
        files::sync_folder(folder)?;
        Ok(summary)
    });
    if written.is_err() {
        // The first error is the one to report. The next attempt removes what is left.
        let _ = fs::remove_dir_all(&partial);
    }
    let _ = fs::remove_file(&lock_file);
    written
}

/// Returns a path beside the destination: its name with a suffix.
fn with_suffix(destination: &Path, suffix: &str) -> Result<PathBuf, BackupError> {
    let Some(name) = destination.file_name() else {
        return Err(BackupError::InvalidDestination { destination: destination.to_owned() });
    };
    let mut name = name.to_owned();
    name.push(suffix);
    Ok(destination.with_file_name(name))
}

/// Writes a backup to the folder `partial` and checks it.
fn write(
    data_dir: &Path,
    store: &Catalog,
    partial: &Path,
    signer: &Signer,
    keys: Option<&Keyring>,
    progress: &dyn BackupProgress,
) -> Result<BackupSummary, BackupError> {
    create_folder(partial)?;
    let snapshot = DataDirSnapshot::of(data_dir)?;
    progress.step_started("Copying", snapshot.bytes()?);
    let DataDirSnapshot { at, catalogue, target, migrations, noted } = snapshot;
    let mut copied = vec![];
    let copy_database = |database: &Snapshot, name: &str| {
        let copied = database.copy_to(&partial.join(name), &mut |bytes| progress.advanced(bytes));
        copied.map_err(|source| BackupError::UncopiedDatabase { name: name.to_owned(), source })
    };
    copy_database(&catalogue, CATALOG_FILE)?;
    drop(catalogue);
    if let Some(target) = target {
        copy_database(&target, TARGET_FILE)?;
    }
    let catalogue_copy = Catalog::open(&partial.join(CATALOG_FILE))?;
    // A server that continues with the copy has to ask the platform about calls since this moment.
    catalogue_copy.add_restore_point(at)?;
    let purged = catalogue_copy.purged_migrations()?;
    let mut vanished = vec![];
    for noted in noted.into_iter().filter(|noted| !purged.contains(&noted.migration)) {
        let migration = noted.migration;
        match copy_migration(data_dir, noted, partial, progress, &mut copied) {
            Ok(()) => {}
            Err(error) if error.is_missing_file() => vanished.push((migration, error)),
            Err(error) => return Err(BackupError::UncopiedMigration { migration, source: error.into() }),
        }
    }
    drop(migrations);
    copy_plugins(data_dir, partial, progress, &mut copied)?;
    let erased = carry_erasures(store, &catalogue_copy, partial)?;
    copied.retain(|file| !erased.iter().any(|id| file.path.starts_with(&format!("migrations/{id}/"))));
    if let Some((migration, error)) = vanished.into_iter().find(|(id, _)| !erased.contains(id)) {
        return Err(BackupError::UncopiedMigration { migration, source: error.into() });
    }
    drop(catalogue_copy);
    for name in [CATALOG_FILE, TARGET_FILE].into_iter().filter(|name| partial.join(name).exists()) {
        copied.push(measure(partial, name)?);
    }
    let manifest = BackupManifest::new(at, Catalog::version(), copied);
    copy(manifest.seal(signer).as_bytes(), &partial.join(MANIFEST), &SilentProgress)?;
    files::sync_folders(partial)?;
    check::verify(partial, keys, progress)
}

/// Applies to the copy the erasures that happened during the copying: marks the migrations as erased in the copied
/// catalogue and removes their copied files. Returns these migrations.
fn carry_erasures(live: &Catalog, copy: &Catalog, partial: &Path) -> Result<Vec<Uuid>, BackupError> {
    let before = copy.purged_migrations()?;
    let since: Vec<Uuid> = live.purged_migrations()?.into_iter().filter(|id| !before.contains(id)).collect();
    for (migration, event) in copy.running_migrations()?.into_iter().filter(|(id, _)| since.contains(id)) {
        copy.transition(migration, event)?;
    }
    for &id in &since {
        // The copy does not have a migration that was registered after the snapshot.
        if copy.migration(id)?.is_some() {
            copy.purge(id, Timestamp::now())?;
        }
        let path = partial.join("migrations").join(id.to_string());
        match fs::remove_dir_all(&path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                return Err(BackupError::Remove { path, source });
            }
            _ => {}
        }
    }
    Ok(since)
}

/// Copies the noted files of a migration.
fn copy_migration(
    data_dir: &Path,
    noted: DirectorySnapshot,
    partial: &Path,
    progress: &dyn BackupProgress,
    copied: &mut Vec<BackupFile>,
) -> Result<(), BackupError> {
    let folder = format!("migrations/{}", noted.migration);
    if noted.has_ledger() {
        let (name, path) = ("its ledger".to_owned(), format!("{folder}/{LEDGER}"));
        create_folder(&partial.join(&folder))?;
        let snapshot = match Snapshot::of(&data_dir.join(&path)) {
            Ok(snapshot) => snapshot,
            Err(source) => return Err(BackupError::UnreadableDatabase { name, source }),
        };
        if let Err(source) = snapshot.copy_to(&partial.join(&path), &mut |_| {}) {
            return Err(BackupError::UncopiedDatabase { name, source });
        }
        copied.push(measure(partial, &path)?);
    }
    noted.for_each_file(|SnapshotFile { path, file, bytes }| {
        let path = format!("{folder}/{path}");
        let (bytes, sha256) = copy(file.take(bytes), &partial.join(&path), progress)?;
        copied.push(BackupFile { path, bytes, sha256 });
        Ok::<_, BackupError>(())
    })
}

/// Copies the plugins. A plugin never changes, and it is there before the catalogue names it. A plugin that is newer than
/// the catalogue's copy does no harm.
fn copy_plugins(
    data_dir: &Path,
    partial: &Path,
    progress: &dyn BackupProgress,
    copied: &mut Vec<BackupFile>,
) -> Result<(), BackupError> {
    let plugins = data_dir.join("plugins");
    if !plugins.exists() {
        return Ok(());
    }
    for name in files::list_files(&plugins)?.into_iter().filter(|name| name.ends_with(".wasm")) {
        let (from, path) = (plugins.join(&name), format!("plugins/{name}"));
        let file = fs::File::open(&from).map_err(BackupError::read(&from))?;
        let (bytes, sha256) = copy(file, &partial.join(&path), progress)?;
        copied.push(BackupFile { path, bytes, sha256 });
    }
    Ok(())
}

/// Returns the manifest entry of a file that SQLite copied.
fn measure(partial: &Path, path: &str) -> Result<BackupFile, BackupError> {
    let (bytes, sha256) = files::measure(&partial.join(path), &SilentProgress)?;
    Ok(BackupFile { path: path.into(), bytes, sha256 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use sluice_model::{DOMAINS, MigrationEvent, StagingStatus, Tenant};

    /// A migration that is erased during the copying is erased in the copy too, even if a job of it was running. Others
    /// stay.
    #[test]
    fn erasures_are_carried() {
        let dir = tempfile::tempdir().unwrap();
        let [live_file, copy_file] = ["live.db", CATALOG_FILE].map(|name| dir.path().join(name));
        let (live, now) = (Catalog::open(&live_file).unwrap(), Timestamp::UNIX_EPOCH);
        let register = || {
            live.register(uuid::Uuid::new_v4(), Tenant::default_tenant(), vec![&DOMAINS[0]], None, None, now)
                .unwrap()
                .reference_id
        };
        let [before, running, other] = [(); 3].map(|()| register());
        live.purge(before, now).unwrap();
        for event in [MigrationEvent::Changed, MigrationEvent::ValidationStarts] {
            live.transition(running, event).unwrap();
        }
        Snapshot::of(&live_file).unwrap().copy_to(&copy_file, &mut |_| {}).unwrap();
        live.transition(running, MigrationEvent::ValidationStopped).unwrap();
        let later = register();
        for id in [running, later] {
            live.purge(id, now).unwrap();
        }
        for id in [running, other] {
            create_folder(&dir.path().join("migrations").join(id.to_string())).unwrap();
        }
        let copy = Catalog::open(&copy_file).unwrap();
        let mut erased = [running, later];
        erased.sort();
        let mut carried = carry_erasures(&live, &copy, dir.path()).unwrap();
        carried.sort();
        assert_eq!(carried, erased);
        for (id, purged) in [(before, true), (running, true), (other, false)] {
            let status = copy.migration(id).unwrap().unwrap().status.staging;
            assert_eq!(status == StagingStatus::Purged, purged);
            assert_eq!(dir.path().join("migrations").join(id.to_string()).exists(), id == other);
        }
        assert!(copy.migration(later).unwrap().is_none());
    }
}
