//! Backups contain no keys: the operator copies keys separately, and erased records stay erased.

use reqwest::Method;
use serde_json::{Value, json};

use super::{BackupFolder, PATH, TYPE, small};
use crate::server::restart::at;
use crate::uploads::tus_requests::clients;

/// A backup contains no key and no secret. Restored without keys, the command says so and no server starts. With keys,
/// the migration continues, and the trail records the restore.
#[tokio::test(flavor = "multi_thread")]
async fn restores_with_separately_copied_keys() {
    let place = BackupFolder::new();
    let (life, migration) = small(&place).await;
    let trail = life.server.get("/audit?limit=100").await.json();
    let actions = |trail: &Value| {
        trail["items"].as_array().unwrap().iter().map(|entry| entry["action"].clone()).collect::<Vec<_>>()
    };
    assert!(actions(&trail).contains(&json!("BACKUP_BEGUN")), "{trail}");
    life.end().await;
    let mut names = vec![];
    for entry in std::fs::read_dir(place.path("backup")).unwrap() {
        names.push(entry.unwrap().file_name().into_string().unwrap());
    }
    names.sort();
    assert_eq!(names, ["catalogue.db", "manifest.jsonl", "migrations", "platform.db", "plugins"]);
    let restored = place.run(&["restore", "backup", "--data-dir", "restored"]);
    let said = String::from_utf8(restored.stdout).unwrap();
    assert!(restored.status.success() && said.contains("There are no keys here: put the master key"), "{said}");
    assert!(said.contains("KEY MISSING, checksums of"), "{said}");
    let refused = place.refused(&["serve", "--listen", "127.0.0.1:0", "--data-dir", "restored"]);
    assert!(refused.contains("are these the keys that this data directory was written with?"), "{refused}");
    for made in ["restored/keys", "restored/master.key"] {
        let made = place.path(made);
        if made.is_dir() { std::fs::remove_dir_all(made).unwrap() } else { std::fs::remove_file(made).unwrap() }
    }
    place.copy_keys("restored");
    place.copy_credentials("restored");
    let checked = place.said(&["backup", "--verify", "backup", "--data-dir", "restored"]);
    assert_eq!(
        (&checked["keyIsThere"], &checked["migrations"][0]["state"]),
        (&json!(true), &json!("opened")),
        "{checked}"
    );
    let life = place.begin("restored");
    let migration = at(life.server, &migration);
    assert_eq!(migration.staged(PATH, TYPE).await.len(), 20);
    let trail = life.server.get("/audit?limit=100").await.json();
    assert!(actions(&trail).contains(&json!("BACKUP_RESTORED")), "{trail}");
    life.end().await;
}

/// Erased records stay erased, if the backup is older or newer than the purge: an older backup has lost its key.
#[tokio::test(flavor = "multi_thread")]
async fn keeps_erased_records_erased() {
    let place = BackupFolder::new();
    let (life, migration) = small(&place).await;
    let other = life.server.register(Some("berka"), &["Counterparties"]).await;
    other.source("client", clients(1..=3)).await;
    let delete = life.server.request(Method::DELETE, &migration.path(""));
    assert_eq!(life.server.send(delete).await.status, 204);
    let after = place.backup("after");
    assert_eq!(after["migrations"][0]["state"], "erased", "{after}");
    assert!(!place.path("after/migrations").join(&migration.id).exists());
    life.end().await;
    for (name, said, code) in [("backup", "keyMissing", "MIGRATION_KEY_GONE"), ("after", "erased", "MIGRATION_PURGED")]
    {
        let data = format!("restored-{name}");
        assert_eq!(place.restore(name, &data)["migrations"][0]["state"], said, "{name}");
        for _ in 0..2 {
            let life = place.begin(&data);
            let answer = life.server.get(&at(life.server, &migration).staging(PATH, &format!("{TYPE}/stream"))).await;
            assert_eq!(answer.problem().1, code, "{name}");
            assert!(!place.path(&data).join(format!("keys/migration-{}.key", migration.id)).exists(), "{name}");
            life.end().await;
        }
    }
    let life = place.begin("restored-after");
    assert_eq!(at(life.server, &other).staged(PATH, TYPE).await.len(), 3);
    life.end().await;
}
