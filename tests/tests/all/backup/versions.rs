//! Backups that another version of Sluice has taken: brought forward, or refused with a sentence.

use serde_json::{Value, json};
use sluice_audit::seal_manifest;
use sluice_catalog::Store;
use sluice_keys::Keyring;
use sluice_model::Digest;

use super::{PATH, Place, TYPE, small};
use crate::server::restart::{at, copy_all};

/// What each version of the catalogue had before the next; see `store/versions.rs`.
const UNDO: &[&str] = &["ALTER TABLE migrations DROP COLUMN target", "ALTER TABLE migrations DROP COLUMN acknowledged"];

/// Makes of a backup one that is signed by the same key, whose catalogue is of a version, and whose manifest says so of
/// another.
fn taken_by(place: &Place, name: &str, version: i64, said: i64) {
    let (backup, keys) = (place.path(name), place.path("data"));
    copy_all(&place.path("backup"), &backup);
    let catalogue = backup.join("catalogue.db");
    let connection = rusqlite::Connection::open(&catalogue).unwrap();
    for undo in UNDO.iter().skip(version as usize).rev() {
        connection.execute_batch(undo).unwrap();
    }
    connection.pragma_update(None, "user_version", version).unwrap();
    drop(connection);
    let bytes = std::fs::read(&catalogue).unwrap();
    let manifest = std::fs::read_to_string(backup.join("manifest.jsonl")).unwrap();
    // Its first members say what it is, in their order, so it is changed as text.
    let whole: Value = serde_json::from_str(manifest.lines().next().unwrap()).unwrap();
    let known = whole["files"].as_array().unwrap().iter().find(|file| file["path"] == "catalogue.db").unwrap();
    let now = json!({"bytes": bytes.len(), "sha256": Digest::of(&bytes).to_string()});
    let mut changed = manifest.lines().next().unwrap().to_owned();
    let file = |of: &Value| format!("\"bytes\":{},\"sha256\":{}", of["bytes"], of["sha256"]);
    let of_version = |version: i64| format!("\"catalogue\":{version}");
    for (from, to) in [(of_version(Store::version()), of_version(said)), (file(known), file(&now))] {
        assert_eq!(changed.matches(&from).count(), 1, "{from}");
        changed = changed.replace(&from, &to);
    }
    let signer = Keyring::open(&keys.join("keys"), &keys.join("master.key")).unwrap().signer("audit").unwrap();
    std::fs::write(backup.join("manifest.jsonl"), seal_manifest(&signer, &changed)).unwrap();
}

/// Each earlier version is restored as it is, and brought forward by the first server that starts on it.
#[tokio::test(flavor = "multi_thread")]
async fn earlier_ones_are_brought_forward() {
    assert_eq!(UNDO.len() as i64, Store::version(), "a step of the catalogue is new: say how it is undone");
    let place = Place::new();
    let (life, migration) = small(&place).await;
    let before = migration.get("").await;
    life.end().await;
    for version in 0..Store::version() {
        let (backup, restored) = (format!("backup-{version}"), format!("restored-{version}"));
        taken_by(&place, &backup, version, version);
        place.said(&["backup", "--verify", &backup]);
        let found = place.restore(&backup, &restored);
        assert_eq!(found["migrations"][0]["referenceId"], json!(migration.id), "{version}: {found}");
        let user_version = || {
            let catalogue = rusqlite::Connection::open(place.path(&restored).join("catalogue.db")).unwrap();
            catalogue.query_row("PRAGMA user_version", [], |row| row.get::<_, i64>(0)).unwrap()
        };
        assert_eq!(user_version(), version);
        let life = place.begin(&restored);
        let there = at(life.server, &migration);
        assert_eq!(there.get("").await, before, "{version}");
        assert_eq!(there.staged(PATH, TYPE).await.len(), 20, "{version}");
        assert_eq!(there.job("counts").await["state"], "succeeded", "{version}");
        life.end().await;
        assert_eq!(user_version(), Store::version());
    }
}

/// A later version's is refused before anything of it is written, also where only the file itself says so.
#[tokio::test(flavor = "multi_thread")]
async fn later_ones_are_refused() {
    let place = Place::new();
    let (life, _) = small(&place).await;
    life.end().await;
    let (known, later) = (Store::version(), Store::version() + 1);
    let versions = format!("of version {later}, and this Sluice knows versions up to {known}");
    for (name, said, of) in
        [("of-a-later", later, "the backup is of a catalogue"), ("of-a-lying", known, "the catalogue is")]
    {
        taken_by(&place, name, later, said);
        place.bring_keys("empty");
        for arguments in [&["backup", "--verify", name][..], &["restore", name, "--data-dir", "empty"]] {
            let refused = place.refused(arguments);
            assert!(refused.contains(&format!("{of} {versions}: ")), "{arguments:?}: {refused}");
        }
        let mut left: Vec<_> =
            std::fs::read_dir(place.path("empty")).unwrap().map(|e| e.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, ["keys", "master.key"]);
        std::fs::remove_dir_all(place.path("empty")).unwrap();
    }
}
