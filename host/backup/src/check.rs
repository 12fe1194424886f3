//! Whether a backup, or what was restored of one, is whole: every file as it was, and what is in it.

use std::path::Path;

use anyhow::{Context as _, Result, bail};
use hashbrown::HashSet;
use jiff::Timestamp;
use serde::Serialize;
use uuid::Uuid;

use super::manifest::{Entry, MANIFEST, Manifest};
use super::{Keys, Watch, files};
use sluice_audit::{fingerprint, header, verify as verify_trail};
use sluice_catalog::{Page, Store};
use sluice_connector::Ledger;
use sluice_data_dir::{CATALOGUE_FILE, TARGET_FILE};
use sluice_keys::{Keyring, PublicKey, Signer};
use sluice_model::{Grant, ImportStatus, StagingStatus};
use sluice_sqlite::is_sound;
use sluice_staging::{Checked, LEDGER, Migrations, key_name};
use sluice_target::EmbeddedTarget;

/// What a backup holds, all of it whole.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// The moment that it is of.
    pub at: Timestamp,
    /// The Sluice that took it.
    pub version: String,
    /// How many files, and their bytes.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Fingerprint of the key that signed manifest and trails.
    pub key: String,
    /// Whether that is the key that is there.
    pub key_is_there: bool,
    /// Audit trails, all sound.
    pub trails: u64,
    /// Their entries.
    pub entries: u64,
    /// Every migration, the oldest first.
    pub migrations: Vec<Found>,
}

/// A migration in a backup.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Found {
    /// Which.
    pub reference_id: Uuid,
    /// How far its staging is.
    pub staging_status: StagingStatus,
    /// How far its import is.
    pub import_status: ImportStatus,
    /// What its directory is worth.
    pub state: State,
    /// What is wrong with it, if it is damaged.
    pub problem: Option<String>,
    /// Entries of its journal, those that were replaced and the journal's own too.
    pub entries: u64,
    /// Live records by stream, where they could be opened.
    pub records: Option<Vec<(String, u64)>>,
    /// Uploads that come in parts.
    pub uploads: u64,
}

/// What can be said of what is staged of a migration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum State {
    /// Nothing is.
    Empty,
    /// Its key opens all of it.
    Opened,
    /// All checksums are right; its key is not there to open it.
    KeyMissing,
    /// It was erased.
    Erased,
    /// It was not whole when it was backed up, or another version of Sluice has written it.
    Damaged,
}

/// Checks a backup: all of its files, and what is in them, with the keys that are there.
pub fn verify(backup: &Path, keys: Keys, watch: &dyn Watch) -> Result<Summary> {
    let (manifest, key) = Manifest::read(backup, pinned(keys)?.as_ref())?;
    files_are(backup, &manifest, watch)?;
    contents(backup, &manifest, &key, keys, watch)
}

/// The key that a backup has to be signed with, if it is there.
pub(super) fn pinned(keys: Keys) -> Result<Option<PublicKey>> {
    let key = keys.map(|keys| keys.find("audit")).transpose().context("the audit trail's key cannot be had")?;
    Ok(key.flatten().map(|key| Signer::new(&key).public()))
}

/// Whether a folder's files are those of the manifest, each as it was, and no others.
pub(super) fn files_are(folder: &Path, manifest: &Manifest, watch: &dyn Watch) -> Result<()> {
    let known = Store::version();
    if manifest.catalogue > known {
        bail!(
            "the backup is of a catalogue of version {}, and this Sluice knows versions up to {known}: take \
             Sluice {} or a later one",
            manifest.catalogue,
            manifest.version
        );
    }
    watch.begins("Checking files", manifest.bytes());
    let known: HashSet<&str> = manifest.files.iter().map(|entry| &*entry.path).chain([MANIFEST]).collect();
    if let Some(path) = files::below(folder)?.iter().find(|path| !known.contains(path.as_str())) {
        bail!("{path} is in the backup and not in its manifest");
    }
    for Entry { path, bytes, sha256 } in &manifest.files {
        let file = folder.join(path);
        if !file.exists() {
            bail!("{path} is missing");
        }
        if files::read(&file, watch)? != (*bytes, *sha256) {
            bail!("{path} is not as it was backed up: its size or SHA-256 is another");
        }
    }
    Ok(())
}

/// Checks what is in the files of a backup.
pub(super) fn contents(
    folder: &Path,
    manifest: &Manifest,
    key: &PublicKey,
    keys: Keys,
    watch: &dyn Watch,
) -> Result<Summary> {
    let databases = [CATALOGUE_FILE, TARGET_FILE].map(|name| folder.join(name));
    for database in databases.iter().filter(|database| database.exists()) {
        sound(database)?;
    }
    if databases[1].exists() {
        EmbeddedTarget::open_read_only(&databases[1])?;
    }
    let store = Store::of_copy(&databases[0])?;
    let (trails, entries) = trails(&store, key)?;
    let staged = |entry: &&Entry| entry.path.starts_with("migrations/");
    watch.begins("Checking staging", manifest.files.iter().filter(staged).map(|entry| entry.bytes).sum());
    let domains = Grant::every_domain();
    let everything = Grant { client: String::new(), tenant: None, permissions: vec![], domains, until: None };
    let (mut found, directories) = (vec![], Migrations::open(folder)?);
    let (migrations, _) = store.migrations(&everything, Page { offset: 0, limit: i64::MAX as u64 })?;
    for migration in migrations.into_iter().rev() {
        let (id, mut problem) = (migration.reference_id, None);
        let (state, checked) = match &directories {
            _ if migration.status.staging == StagingStatus::Purged => (State::Erased, Checked::default()),
            Some(directories) if directories.home(id)?.is_some() => {
                let ledger = folder.join(format!("migrations/{id}/{LEDGER}"));
                if ledger.exists() {
                    sound(&ledger)?;
                    Ledger::check_version(&ledger)?;
                }
                let key = keys.map(|keys: &Keyring| keys.find(&key_name(id))).transpose()?.flatten();
                match directories.check(id, key, store.acknowledged(id)?, &mut |bytes| watch.did(bytes)) {
                    Ok(checked) if key.is_some() => (State::Opened, checked),
                    Ok(checked) => (State::KeyMissing, checked),
                    // The file is as it was backed up: it was so before, and the others are worth having.
                    Err(error) if error.is_of_files() => {
                        problem = Some(error.to_string());
                        (State::Damaged, Checked::default())
                    }
                    Err(error) => return Err(error).with_context(|| format!("migration {id} cannot be read")),
                }
            }
            _ => (State::Empty, Checked::default()),
        };
        found.push(Found {
            reference_id: id,
            staging_status: migration.status.staging,
            import_status: migration.status.import,
            state,
            problem,
            entries: checked.entries,
            records: checked.streams,
            uploads: checked.uploads,
        });
    }
    Ok(Summary {
        at: manifest.at,
        version: manifest.version.clone(),
        files: manifest.files.len() as u64,
        bytes: manifest.bytes(),
        key: fingerprint(key),
        key_is_there: pinned(keys)?.is_some(),
        trails,
        entries,
        migrations: found,
    })
}

fn sound(database: &Path) -> Result<()> {
    let name = database.file_name().unwrap_or_default().to_string_lossy();
    match is_sound(database).with_context(|| format!("{name} cannot be read"))? {
        true => Ok(()),
        false => bail!("{name} is damaged: SQLite finds that it is not in order"),
    }
}

/// Verifies every audit trail; how many there are, and their entries.
fn trails(store: &Store, key: &PublicKey) -> Result<(u64, u64)> {
    let (scopes, mut entries) = (store.audit_scopes()?, 0);
    for &scope in &scopes {
        let Some((count, head)) = store.audit_head(scope)? else { continue };
        let (lines, _) = store.audit_lines(scope, Page { offset: 0, limit: count })?;
        let export = [vec![header(scope, key)], lines, vec![head]].concat().join("\n") + "\n";
        verify_trail(export.as_bytes(), Some(key))
            .with_context(|| format!("the audit trail of {scope} is not sound"))?;
        entries += count;
    }
    Ok((scopes.len() as u64, entries))
}
