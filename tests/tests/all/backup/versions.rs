//! Backups of other versions of Sluice: earlier ones are upgraded, later ones are refused.

use serde_json::{Value, json};
use sluice_audit::sign_manifest;
use sluice_catalog::Catalog;
use sluice_keys::Keyring;
use sluice_model::Digest;

use super::{BackupFolder, PATH, TYPE, small};
use crate::server::restart::{at, copy_all};

/// Statements that change a catalogue back to the version before, one per version.
const UNDO: &[&str] = &[
    "ALTER TABLE migrations DROP COLUMN target",
    "ALTER TABLE migrations DROP COLUMN acknowledged",
    "ALTER TABLE issues DROP COLUMN upload",
    "ALTER TABLE issues DROP COLUMN first_line",
    "ALTER TABLE migrations DROP COLUMN label",
    "ALTER TABLE clients DROP COLUMN label",
    "ALTER TABLE jobs DROP COLUMN domains",
    "DROP TABLE log_numbers; DROP INDEX log_entries_of_migration; ALTER TABLE logs DROP COLUMN entry",
    "ALTER TABLE jobs DROP COLUMN client",
];

/// Changes a backup: its catalogue to one version and its manifest to another, with a signature of the same key.
fn set_versions(place: &BackupFolder, name: &str, version: i64, said: i64) {
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
    // The first members of the manifest have a fixed order, so it is changed as text.
    let whole: Value = serde_json::from_str(manifest.lines().next().unwrap()).unwrap();
    let known = whole["files"].as_array().unwrap().iter().find(|file| file["path"] == "catalogue.db").unwrap();
    let now = json!({"bytes": bytes.len(), "sha256": Digest::of(&bytes).to_string()});
    let mut changed = manifest.lines().next().unwrap().to_owned();
    let file = |of: &Value| format!("\"bytes\":{},\"sha256\":{}", of["bytes"], of["sha256"]);
    let of_version = |version: i64| format!("\"catalogue\":{version}");
    for (from, to) in [(of_version(Catalog::version()), of_version(said)), (file(known), file(&now))] {
        assert_eq!(changed.matches(&from).count(), 1, "{from}");
        changed = changed.replace(&from, &to);
    }
    let signer = Keyring::open(&keys.join("keys"), &keys.join("master.key")).unwrap().signer("audit").unwrap();
    std::fs::write(backup.join("manifest.jsonl"), sign_manifest(&signer, &changed)).unwrap();
}

/// A backup of each earlier version is restored unchanged. The first server that starts on it upgrades it.
#[tokio::test(flavor = "multi_thread")]
async fn upgrades_backups_of_earlier_versions() {
    assert_eq!(UNDO.len() as i64, Catalog::version(), "UNDO lacks the newest version of the catalogue");
    let place = BackupFolder::new();
    let (life, migration) = small(&place).await;
    let before = migration.get("").await;
    life.end().await;
    for version in 0..Catalog::version() {
        let (backup, restored) = (format!("backup-{version}"), format!("restored-{version}"));
        set_versions(&place, &backup, version, version);
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
        assert_eq!(user_version(), Catalog::version());
    }
}

/// A backup of a later version is refused before anything is written, also if only the catalogue has that version.
#[tokio::test(flavor = "multi_thread")]
async fn refuses_backups_of_later_versions() {
    let place = BackupFolder::new();
    let (life, _) = small(&place).await;
    life.end().await;
    let (known, later) = (Catalog::version(), Catalog::version() + 1);
    let versions = format!("of version {later}, and this Sluice knows versions up to {known}");
    for (name, said, of) in
        [("of-a-later", later, "the backup has a catalogue"), ("of-a-lying", known, "the catalog is")]
    {
        set_versions(&place, name, later, said);
        place.copy_keys("empty");
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
