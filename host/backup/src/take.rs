//! Taking a backup beside a running server: one moment at which everything is noted, and then the copying.

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use jiff::Timestamp;
use uuid::Uuid;

use super::check::{self, Summary};
use super::files::{self, copy, make_folder};
use super::manifest::{Entry, MANIFEST, Manifest};
use super::{Keys, Watch};
use sluice_catalog::Store;
use sluice_data_dir::{CATALOGUE_FILE, TARGET_FILE, lock};
use sluice_keys::Signer;
use sluice_sqlite::{Ready, Snapshot, Still};
use sluice_staging::{LEDGER, Migrations, Noted, Part, StagingError};

/// What there was of a data directory at one moment: what a server that was killed just then would have left.
struct Moment {
    at: Timestamp,
    catalogue: Snapshot,
    target: Option<Snapshot>,
    migrations: Option<Migrations>,
    noted: Vec<Noted>,
}

impl Moment {
    /// While nobody writes to the catalogue, which is some milliseconds, nothing begins or ends: no upload, no job. So
    /// what is imported is noted before what is staged, and either is at least what the catalogue says of it.
    fn of(data_dir: &Path) -> Result<Self> {
        let [catalogue_file, target_file] = [CATALOGUE_FILE, TARGET_FILE].map(|name| data_dir.join(name));
        let (no_catalogue, no_target) = ("the catalogue cannot be read", "the platform database cannot be read");
        let catalogue = Ready::open(&catalogue_file).context(no_catalogue)?;
        let target = target_file.exists().then(|| Ready::open(&target_file)).transpose().context(no_target)?;
        let migrations = Migrations::open(data_dir)?;
        let still = Still::hold(&catalogue_file).context("the catalogue cannot be kept still")?;
        let (at, catalogue) = (Timestamp::now(), catalogue.now().context(no_catalogue)?);
        let target = target.map(Ready::now).transpose().context(no_target)?;
        let mut noted = vec![];
        if let Some(migrations) = &migrations {
            for id in migrations.ids()? {
                let of = migrations.note(id).with_context(|| format!("migration {id} cannot be looked into"))?;
                noted.extend(of);
            }
        }
        drop(still);
        Ok(Self { at, catalogue, target, migrations, noted })
    }
}

/// Copies all of a data directory but its keys to `destination`, which must not be there. `store` is its catalogue.
pub fn take(
    data_dir: &Path,
    store: &Store,
    destination: &Path,
    signer: &Signer,
    keys: Keys,
    watch: &dyn Watch,
) -> Result<Summary> {
    if fs::read_dir(destination).map_or(destination.exists(), |mut there| there.next().is_some()) {
        bail!("{} is there already: a backup is a folder of its own", destination.display());
    }
    let partial = beside(destination, ".partial")?;
    let lock_file = beside(destination, ".lock")?;
    let folder = destination.parent().filter(|parent| *parent != "").unwrap_or(Path::new("."));
    make_folder(folder)?;
    let held = lock(&lock_file)?;
    if held.is_none() {
        bail!("another backup is being written to {}", destination.display());
    }
    if partial.exists() {
        // Nobody is at it: it was broken off.
        fs::remove_dir_all(&partial).with_context(|| format!("cannot remove {}", partial.display()))?;
    }
    let written = write(data_dir, store, &partial, signer, keys, watch).and_then(|summary| {
        fs::rename(&partial, destination).with_context(|| format!("cannot make {}", destination.display()))?;
        files::sync_folder(folder)?;
        Ok(summary)
    });
    if written.is_err() {
        // The failure is what has to be told; what is left goes with the next attempt at the latest.
        let _ = fs::remove_dir_all(&partial);
    }
    let _ = fs::remove_file(&lock_file);
    written
}

fn beside(destination: &Path, suffix: &str) -> Result<PathBuf> {
    let name = destination.file_name();
    let mut name = name.with_context(|| format!("{} is no name for a folder", destination.display()))?.to_owned();
    name.push(suffix);
    Ok(destination.with_file_name(name))
}

fn write(
    data_dir: &Path,
    store: &Store,
    partial: &Path,
    signer: &Signer,
    keys: Keys,
    watch: &dyn Watch,
) -> Result<Summary> {
    make_folder(partial)?;
    let Moment { at, catalogue, target, migrations, noted } = Moment::of(data_dir)?;
    let databases = catalogue.bytes()? + target.as_ref().map_or(Ok(0), Snapshot::bytes)?;
    watch.begins("Copying", databases + noted.iter().map(Noted::bytes).sum::<u64>());
    let mut copied = vec![];
    let copy_database = |of: &Snapshot, name: &str| {
        let to = partial.join(name);
        of.copy_to(&to, &mut |bytes| watch.did(bytes)).with_context(|| format!("{name} cannot be copied"))
    };
    copy_database(&catalogue, CATALOGUE_FILE)?;
    drop(catalogue);
    if let Some(target) = target {
        copy_database(&target, TARGET_FILE)?;
    }
    let copy_of_catalogue = Store::open(&partial.join(CATALOGUE_FILE))?;
    // Whoever goes on with the copy has to ask platforms what was called since.
    copy_of_catalogue.note_copy(at)?;
    let purged = copy_of_catalogue.purged()?;
    let mut vanished = vec![];
    for noted in noted.into_iter().filter(|noted| !purged.contains(&noted.migration)) {
        let id = noted.migration;
        match copy_migration(data_dir, noted, partial, watch, &mut copied) {
            Ok(()) => {}
            Err(error) if is_gone(&error) => vanished.push((id, error)),
            Err(error) => return Err(error.context(format!("migration {id} cannot be copied"))),
        }
    }
    drop(migrations);
    copy_plugins(data_dir, partial, watch, &mut copied)?;
    let erased = carry_erasures(store, &copy_of_catalogue, partial)?;
    copied.retain(|entry| !erased.iter().any(|id| entry.path.starts_with(&format!("migrations/{id}/"))));
    if let Some((id, error)) = vanished.into_iter().find(|(id, _)| !erased.contains(id)) {
        return Err(error.context(format!("migration {id} cannot be copied")));
    }
    drop(copy_of_catalogue);
    for name in [CATALOGUE_FILE, TARGET_FILE].into_iter().filter(|name| partial.join(name).exists()) {
        copied.push(entry(partial, name)?);
    }
    let manifest = Manifest::new(at, Store::version(), copied);
    copy(manifest.seal(signer).as_bytes(), &partial.join(MANIFEST), &Unwatched)?;
    files::sync_folders(partial)?;
    check::verify(partial, keys, watch)
}

/// Marks what was erased while it was copied as erased, and removes what was copied of it; which migrations those are.
fn carry_erasures(live: &Store, copy: &Store, partial: &Path) -> Result<Vec<Uuid>> {
    let before = copy.purged()?;
    let since: Vec<Uuid> = live.purged()?.into_iter().filter(|id| !before.contains(id)).collect();
    for (migration, event) in copy.left_running()?.into_iter().filter(|(id, _)| since.contains(id)) {
        copy.transition(migration, event)?;
    }
    for &id in &since {
        // Of what was registered later nothing was copied.
        if copy.migration(id)?.is_some() {
            copy.purge(id, Timestamp::now())?;
        }
        match fs::remove_dir_all(partial.join("migrations").join(id.to_string())) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
    }
    Ok(since)
}

fn is_gone(error: &anyhow::Error) -> bool {
    let gone = |error: &StagingError| matches!(error, StagingError::Io { kind: std::io::ErrorKind::NotFound, .. });
    error.chain().any(|cause| cause.downcast_ref().is_some_and(gone))
}

fn copy_migration(
    data_dir: &Path,
    noted: Noted,
    partial: &Path,
    watch: &dyn Watch,
    copied: &mut Vec<Entry>,
) -> Result<()> {
    let folder = format!("migrations/{}", noted.migration);
    if noted.has_ledger() {
        let path = format!("{folder}/{LEDGER}");
        make_folder(&partial.join(&folder))?;
        let snapshot = Snapshot::of(&data_dir.join(&path)).context("its ledger cannot be read")?;
        snapshot.copy_to(&partial.join(&path), &mut |_| {}).context("its ledger cannot be copied")?;
        copied.push(entry(partial, &path)?);
    }
    noted.each(|Part { path, file, bytes }| {
        let path = format!("{folder}/{path}");
        let (bytes, sha256) = copy(file.take(bytes), &partial.join(&path), watch)?;
        copied.push(Entry { path, bytes, sha256 });
        Ok::<_, anyhow::Error>(())
    })
}

/// Plugins are never changed, and are there before the catalogue speaks of them: those of later do no harm.
fn copy_plugins(data_dir: &Path, partial: &Path, watch: &dyn Watch, copied: &mut Vec<Entry>) -> Result<()> {
    let plugins = data_dir.join("plugins");
    if !plugins.exists() {
        return Ok(());
    }
    for name in files::below(&plugins)?.into_iter().filter(|name| name.ends_with(".wasm")) {
        let (from, path) = (plugins.join(&name), format!("plugins/{name}"));
        let file = fs::File::open(&from).with_context(|| format!("cannot read {}", from.display()))?;
        let (bytes, sha256) = copy(file, &partial.join(&path), watch)?;
        copied.push(Entry { path, bytes, sha256 });
    }
    Ok(())
}

/// What is in a file that was copied by other means.
fn entry(partial: &Path, path: &str) -> Result<Entry> {
    let (bytes, sha256) = files::read(&partial.join(path), &Unwatched)?;
    Ok(Entry { path: path.into(), bytes, sha256 })
}

/// Nobody wants to know.
struct Unwatched;

impl Watch for Unwatched {
    fn begins(&self, _: &'static str, _: u64) {}
    fn did(&self, _: u64) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use sluice_model::{DOMAINS, Event, StagingStatus, Tenant};

    /// What is erased while it is copied is erased in the copy too, whatever ran when the copy was begun; others stay.
    #[test]
    fn erasures_are_carried() {
        let held = tempfile::tempdir().unwrap();
        let [live_file, copy_file] = ["live.db", CATALOGUE_FILE].map(|name| held.path().join(name));
        let (live, now) = (Store::open(&live_file).unwrap(), Timestamp::UNIX_EPOCH);
        let register = || {
            live.register(uuid::Uuid::new_v4(), Tenant::only(), vec![&DOMAINS[0]], None, None, now)
                .unwrap()
                .reference_id
        };
        let [before, running, other] = [(); 3].map(|()| register());
        live.purge(before, now).unwrap();
        for event in [Event::Changed, Event::ValidationStarts] {
            live.transition(running, event).unwrap();
        }
        Snapshot::of(&live_file).unwrap().copy_to(&copy_file, &mut |_| {}).unwrap();
        live.transition(running, Event::ValidationStopped).unwrap();
        let later = register();
        for id in [running, later] {
            live.purge(id, now).unwrap();
        }
        for id in [running, other] {
            make_folder(&held.path().join("migrations").join(id.to_string())).unwrap();
        }
        let copy = Store::open(&copy_file).unwrap();
        let mut erased = [running, later];
        erased.sort();
        let mut carried = carry_erasures(&live, &copy, held.path()).unwrap();
        carried.sort();
        assert_eq!(carried, erased);
        for (id, purged) in [(before, true), (running, true), (other, false)] {
            let status = copy.migration(id).unwrap().unwrap().status.staging;
            assert_eq!(status == StagingStatus::Purged, purged);
            assert_eq!(held.path().join("migrations").join(id.to_string()).exists(), id == other);
        }
        assert!(copy.migration(later).unwrap().is_none());
    }
}
