//! Checks of a backup: its files against the manifest, and the contents of the files.

use std::path::Path;

use hashbrown::HashSet;
use jiff::Timestamp;
use serde::Serialize;
use sluice_audit::{fingerprint, header, verify as verify_trail};
use sluice_catalog::{Catalog, Pagination};
use sluice_connector::Ledger;
use sluice_data_dir::{CATALOG_FILE, TARGET_FILE};
use sluice_keys::{Keyring, PublicKey, Signer};
use sluice_model::{Grant, ImportStatus, Migration, StagingStatus};
use sluice_sqlite::is_intact;
use sluice_staging::{DirectorySummary, LEDGER, MigrationDirectories, key_name};
use sluice_target::EmbeddedTarget;
use uuid::Uuid;

use crate::error::BackupError;
use crate::manifest::{BackupFile, BackupManifest, MANIFEST};
use crate::{BackupProgress, files};

/// Contents of a checked backup.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BackupSummary {
    /// Moment that the backup is of.
    pub at: Timestamp,
    /// Version of the Sluice that took it.
    pub version: String,
    /// Number of files.
    pub files: u64,
    /// Size of the files, in bytes.
    pub bytes: u64,
    /// Fingerprint of the key that signed the manifest and the audit trails.
    pub key: String,
    /// True if this key is there. Then the signatures are verified with it.
    pub key_is_there: bool,
    /// Number of audit trails, all sound.
    pub trails: u64,
    /// Number of entries of the audit trails.
    pub entries: u64,
    /// MigrationDirectories, the oldest first.
    pub migrations: Vec<BackupMigration>,
}

/// A migration in a backup.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BackupMigration {
    /// Reference id.
    pub reference_id: Uuid,
    /// Status of its staging.
    pub staging_status: StagingStatus,
    /// Status of its import.
    pub import_status: ImportStatus,
    /// State of its directory.
    pub state: BackupMigrationState,
    /// Description of the damage, if it is damaged.
    pub problem: Option<String>,
    /// Number of entries of its journal, with replaced entries and the journal's own ones.
    pub entries: u64,
    /// Number of live records by stream, or none if the journal could not be opened.
    pub records: Option<Vec<(String, u64)>>,
    /// Number of resumable uploads.
    pub uploads: u64,
}

/// State of a migration's directory in a backup.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum BackupMigrationState {
    /// Nothing is staged.
    Empty,
    /// The migration's key opens all of it.
    Opened,
    /// All checksums are right, but the key to open it is not there.
    KeyMissing,
    /// The migration was erased.
    Erased,
    /// It was damaged before the backup, or another version of Sluice wrote it.
    Damaged,
}

/// Checks the files of a backup and their contents. `keys` are the keys to check with, if they are there.
///
/// # Errors
///
/// Fails if a file is missing, unlisted or changed ([`BackupError::MissingFile`], [`BackupError::UnlistedFile`],
/// [`BackupError::ChangedFile`]), if the manifest, a database or an audit trail is not sound, or if a file cannot be read.
/// A migration that was damaged before the backup is no error: see [`BackupMigrationState::Damaged`].
pub fn verify(
    backup: &Path,
    keys: Option<&Keyring>,
    progress: &dyn BackupProgress,
) -> Result<BackupSummary, BackupError> {
    let (manifest, key) = BackupManifest::read(backup, pinned_key(keys)?.as_ref())?;
    check_files(backup, &manifest, progress)?;
    check_contents(backup, &manifest, &key, keys, progress)
}

/// Returns the key that has to have signed a backup, if it is there.
pub(super) fn pinned_key(keys: Option<&Keyring>) -> Result<Option<PublicKey>, BackupError> {
    let key = keys.map(|keys| keys.find("audit")).transpose().map_err(BackupError::AuditKey)?;
    Ok(key.flatten().map(|key| Signer::new(&key).public()))
}

/// Checks that a folder holds the files of the manifest as they were backed up, and no others.
pub(super) fn check_files(
    folder: &Path,
    manifest: &BackupManifest,
    progress: &dyn BackupProgress,
) -> Result<(), BackupError> {
    let (catalogue, known) = (manifest.catalogue, Catalog::version());
    if catalogue > known {
        return Err(BackupError::NewerCatalogue { catalogue, known, version: manifest.version.clone() });
    }
    progress.step_started("Checking files", manifest.bytes());
    let listed: HashSet<&str> = manifest.files.iter().map(|file| &*file.path).chain([MANIFEST]).collect();
    if let Some(path) = files::list_files(folder)?.into_iter().find(|path| !listed.contains(path.as_str())) {
        return Err(BackupError::UnlistedFile { path });
    }
    for BackupFile { path, bytes, sha256 } in &manifest.files {
        let file = folder.join(path);
        if !file.exists() {
            return Err(BackupError::MissingFile { path: path.clone() });
        }
        if files::measure(&file, progress)? != (*bytes, *sha256) {
            return Err(BackupError::ChangedFile { path: path.clone() });
        }
    }
    Ok(())
}

/// Checks the contents of a backup's files.
pub(super) fn check_contents(
    folder: &Path,
    manifest: &BackupManifest,
    key: &PublicKey,
    keys: Option<&Keyring>,
    progress: &dyn BackupProgress,
) -> Result<BackupSummary, BackupError> {
    let [catalogue, target] = [CATALOG_FILE, TARGET_FILE].map(|name| folder.join(name));
    for database in [&catalogue, &target].into_iter().filter(|database| database.exists()) {
        check_database(database)?;
    }
    if target.exists() {
        EmbeddedTarget::open_read_only(&target)?;
    }
    let store = Catalog::load_copy(&catalogue)?;
    let (trails, entries) = check_trails(&store, key)?;
    let is_staged = |file: &&BackupFile| file.path.starts_with("migrations/");
    progress.step_started("Checking staging", manifest.files.iter().filter(is_staged).map(|file| file.bytes).sum());
    let domains = Grant::all_domains();
    let all = Grant { client: String::new(), tenant: None, label: None, permissions: vec![], domains, until: None };
    let directories = MigrationDirectories::open(folder)?;
    let (migrations, _) = store.migrations(&all, Pagination { offset: 0, limit: i64::MAX as u64 })?;
    let mut checked = vec![];
    for migration in migrations.into_iter().rev() {
        checked.push(check_migration(folder, &store, directories.as_ref(), &migration, keys, progress)?);
    }
    Ok(BackupSummary {
        at: manifest.at,
        version: manifest.version.clone(),
        files: manifest.files.len() as u64,
        bytes: manifest.bytes(),
        key: fingerprint(key),
        key_is_there: pinned_key(keys)?.is_some(),
        trails,
        entries,
        migrations: checked,
    })
}

/// Checks the directory of a migration.
fn check_migration(
    folder: &Path,
    store: &Catalog,
    directories: Option<&MigrationDirectories>,
    migration: &Migration,
    keys: Option<&Keyring>,
    progress: &dyn BackupProgress,
) -> Result<BackupMigration, BackupError> {
    let (id, mut problem) = (migration.reference_id, None);
    let (state, checked) = match directories {
        _ if migration.status.staging == StagingStatus::Purged => {
            (BackupMigrationState::Erased, DirectorySummary::default())
        }
        Some(directories) if directories.home(id)?.is_some() => {
            let ledger = folder.join(format!("migrations/{id}/{LEDGER}"));
            if ledger.exists() {
                check_database(&ledger)?;
                Ledger::check_version(&ledger)?;
            }
            let key =
                keys.map(|keys| keys.find(&key_name(id))).transpose().map_err(BackupError::MigrationKey)?.flatten();
            match directories.verify(id, key, store.acknowledged(id)?, &mut |bytes| progress.advanced(bytes)) {
                Ok(checked) if key.is_some() => (BackupMigrationState::Opened, checked),
                Ok(checked) => (BackupMigrationState::KeyMissing, checked),
                // The digest of the file is right, so the damage is older than the backup. The other migrations are
                // worth restoring.
                Err(error) if error.is_of_files() => {
                    problem = Some(error.to_string());
                    (BackupMigrationState::Damaged, DirectorySummary::default())
                }
                Err(source) => return Err(BackupError::UnreadableMigration { migration: id, source }),
            }
        }
        _ => (BackupMigrationState::Empty, DirectorySummary::default()),
    };
    Ok(BackupMigration {
        reference_id: id,
        staging_status: migration.status.staging,
        import_status: migration.status.import,
        state,
        problem,
        entries: checked.entries,
        records: checked.streams,
        uploads: checked.uploads,
    })
}

/// Checks the structure of a database.
fn check_database(file: &Path) -> Result<(), BackupError> {
    let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    match is_intact(file) {
        Ok(true) => Ok(()),
        Ok(false) => Err(BackupError::DamagedDatabase { name }),
        Err(source) => Err(BackupError::UnreadableDatabase { name, source }),
    }
}

/// Verifies every audit trail. Returns the number of trails and of their entries.
fn check_trails(store: &Catalog, key: &PublicKey) -> Result<(u64, u64), BackupError> {
    let (scopes, mut entries) = (store.audit_scopes()?, 0);
    for &scope in &scopes {
        let Some((count, head)) = store.audit_head(scope)? else { continue };
        let (lines, _) = store.audit_lines(scope, Pagination { offset: 0, limit: count })?;
        let export = [vec![header(scope, key)], lines, vec![head]].concat().join("\n") + "\n";
        verify_trail(export.as_bytes(), Some(key)).map_err(|source| BackupError::BrokenTrail { scope, source })?;
        entries += count;
    }
    Ok((scopes.len() as u64, entries))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use sluice_model::Digest;

    use super::*;
    use crate::SilentProgress;

    /// Each kind of damage is an error of its own, with the path of the damaged file.
    #[test]
    fn damaged_backups() {
        let dir = tempfile::tempdir().unwrap();
        let (backup, plugin) = (dir.path(), "plugins/a.wasm");
        let file = BackupFile { path: plugin.into(), bytes: 3, sha256: Digest::of(b"abc") };
        let manifest = BackupManifest::new(Timestamp::UNIX_EPOCH, Catalog::version(), vec![file]);
        let signer = Signer::new(&[1; 32]);
        fs::create_dir(backup.join("plugins")).unwrap();
        fs::write(backup.join(MANIFEST), manifest.seal(&signer)).unwrap();
        let verify = || verify(backup, None, &SilentProgress).unwrap_err();
        assert!(matches!(verify(), BackupError::MissingFile { path } if path == plugin));
        fs::write(backup.join(plugin), "abd").unwrap();
        assert!(matches!(verify(), BackupError::ChangedFile { path } if path == plugin));
        fs::write(backup.join(plugin), "abc").unwrap();
        fs::write(backup.join("plugins/b.wasm"), "").unwrap();
        assert!(matches!(verify(), BackupError::UnlistedFile { path } if path == "plugins/b.wasm"));
        fs::write(backup.join(MANIFEST), manifest.seal(&signer).replace("\"bytes\":3", "\"bytes\":4")).unwrap();
        assert!(matches!(verify(), BackupError::ManifestSignature(_)));
        fs::remove_file(backup.join(MANIFEST)).unwrap();
        assert!(matches!(verify(), BackupError::NoManifest { .. }));
    }
}
