//! Restoring a backup into an empty data directory: nothing is in its place before all of it is found whole.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};

use super::check::{self, Summary};
use super::files::{copy, make_folder, sync_folder, sync_folders};
use super::manifest::{Entry, Manifest};
use super::{Keys, Watch};
use sluice_data_dir::{CATALOGUE_FILE, LOCK_FILE, RESTORED_FILE, RESTORING_DIR, lock_directory};
use sluice_keys::PublicKey;

/// Restores a backup into a data directory that holds nothing, but for keys: whatever `is_key` says yes to.
pub fn restore(
    backup: &Path,
    data_dir: &Path,
    is_key: &dyn Fn(&Path) -> bool,
    keys: Keys,
    watch: &dyn Watch,
) -> Result<Summary> {
    let (manifest, key) = Manifest::read(backup, check::pinned(keys)?.as_ref())?;
    check::files_are(backup, &manifest, watch)?;
    let cannot = || format!("cannot write {}", data_dir.display());
    if data_dir.exists() {
        for entry in fs::read_dir(data_dir).with_context(cannot)? {
            let path = entry?.path();
            if !is_key(&path) {
                bail!(
                    "{} is not empty: there is {} in it. A backup is restored into a directory of keys alone, or none",
                    data_dir.display(),
                    path.file_name().unwrap_or_default().to_string_lossy()
                );
            }
        }
    }
    make_folder(data_dir)?;
    let _lock = lock_directory(data_dir)?;
    let restoring = data_dir.join(RESTORING_DIR);
    make_folder(&restoring)?;
    sync_folder(data_dir)?;
    let filled = fill(backup, &restoring, (&manifest, &key), keys, watch);
    if filled.is_err() {
        // The failure is what has to be told; what is left keeps servers away.
        let _ = fs::remove_dir_all(&restoring).and_then(|()| fs::remove_file(data_dir.join(LOCK_FILE)));
    }
    let summary = filled?;
    fs::write(restoring.join(RESTORED_FILE), format!("{}\n", manifest.at)).with_context(cannot)?;
    // The catalogue last: without it nobody takes the directory for a whole one.
    let mut names: Vec<_> = fs::read_dir(&restoring)?.map(|entry| Ok(entry?.file_name())).collect::<Result<_>>()?;
    names.sort_by_key(|name| name == CATALOGUE_FILE);
    for name in names {
        fs::rename(restoring.join(&name), data_dir.join(&name)).with_context(cannot)?;
    }
    fs::remove_dir(&restoring).with_context(cannot)?;
    sync_folder(data_dir)?;
    Ok(summary)
}

/// Copies everything, and checks what was copied.
fn fill(
    backup: &Path,
    restoring: &Path,
    (manifest, key): (&Manifest, &PublicKey),
    keys: Keys,
    watch: &dyn Watch,
) -> Result<Summary> {
    watch.begins("Restoring", manifest.bytes());
    for Entry { path, bytes, sha256 } in &manifest.files {
        let file = fs::File::open(backup.join(path)).with_context(|| format!("cannot read {path}"))?;
        if copy(file, &restoring.join(path), watch)? != (*bytes, *sha256) {
            bail!("{path} is not as it was backed up: it has changed while it was read");
        }
    }
    sync_folders(restoring)?;
    check::files_are(restoring, manifest, watch)?;
    check::contents(restoring, manifest, key, keys, watch)
}
