//! Refused backups: incomplete ones, invalid requests, and data of other versions. Each refusal is one sentence.

use std::path::{Path, PathBuf};

use reqwest::Method;

use super::{BackupFolder, PATH, TYPE, small};
use crate::server::restart::{at, copy_all};

fn flip(file: &Path) {
    let mut bytes = std::fs::read(file).unwrap();
    let at = bytes.len() / 2;
    bytes[at] ^= 1;
    std::fs::write(file, bytes).unwrap();
}

/// A changed byte, a missing file and an additional file are each refused with the file's name, and nothing is
/// restored.
#[tokio::test(flavor = "multi_thread")]
async fn refuses_an_incomplete_backup() {
    let place = BackupFolder::new();
    let (life, migration) = small(&place).await;
    life.end().await;
    let plugin = std::fs::read_dir(place.path("backup/plugins")).unwrap().next().unwrap().unwrap().file_name();
    let segment = format!("migrations/{}/journal/00000000.seg", migration.id);
    let plugin = format!("plugins/{}", plugin.to_str().unwrap());
    type Damage = fn(&Path);
    let remove: Damage = |file| std::fs::remove_file(file).unwrap();
    let add: Damage = |file| std::fs::write(file, "x").unwrap();
    let cut: Damage = |file| {
        let file = std::fs::OpenOptions::new().write(true).open(file).unwrap();
        file.set_len(file.metadata().unwrap().len() - 1).unwrap();
    };
    let mut cases: Vec<(String, Damage)> = vec![];
    for file in ["catalogue.db", "platform.db", &segment, &plugin, "manifest.jsonl"] {
        cases.extend([flip as Damage, remove, cut].map(|spoil| (file.to_owned(), spoil)));
    }
    for file in ["master.key", "migrations/x", "plugins/another.wasm"] {
        cases.push((file.to_owned(), add));
    }
    for (file, spoil) in cases {
        let spoilt = place.path("spoilt");
        copy_all(&place.path("backup"), &spoilt);
        spoil(&spoilt.join(&file));
        for arguments in [&["backup", "--verify", "spoilt"][..], &["restore", "spoilt", "--data-dir", "empty"]] {
            let said = place.refused(arguments);
            assert!(said.contains(&file), "{file}: {said}");
        }
        assert!(!place.path("empty").join("catalogue.db").exists(), "{file}");
        std::fs::remove_dir_all(spoilt).unwrap();
    }
    place.said(&["restore", "backup", "--data-dir", "empty"]);
}

/// Invalid commands and their messages.
#[tokio::test(flavor = "multi_thread")]
async fn refuses_invalid_commands() {
    let place = BackupFolder::new();
    let (life, _) = small(&place).await;
    std::fs::create_dir_all(place.path("full")).unwrap();
    std::fs::write(place.path("full/anything"), "x").unwrap();
    std::fs::create_dir_all(place.path("half/restoring")).unwrap();
    std::fs::write(place.path("half/catalogue.db"), "").unwrap();
    let cases: &[(&[&str], &str)] = &[
        (&["backup", "backup", "--data-dir", "data"], "backup is there already"),
        (&["backup", "full", "--data-dir", "data"], "full is there already"),
        (&["backup", "new", "--data-dir", "nowhere"], "nowhere is not a server's data directory"),
        (&["backup", "new", "--data-dir", "half"], "half is not a server's data directory"),
        (&["backup", "full/anything/x", "--data-dir", "data"], "full/anything"),
        (&["backup", "--verify", "full"], "full is not a backup"),
        (&["backup", "--verify", "nowhere"], "nowhere is not a backup"),
        (&["restore", "full", "--data-dir", "new"], "full is not a backup"),
        (&["restore", "backup", "--data-dir", "full"], "full is not empty: there is anything in it"),
        (&["restore", "backup", "--data-dir", "data"], "data is not empty"),
        (&["serve", "--listen", "127.0.0.1:0", "--data-dir", "half"], "a restore into half did not finish"),
    ];
    for (arguments, sentence) in cases {
        let said = place.refused(arguments);
        assert!(said.contains(sentence), "{arguments:?}: {said}");
    }
    let left = std::fs::read_dir(place.held.path()).unwrap().map(|entry| entry.unwrap().file_name());
    let left: Vec<_> = left.filter(|name| name.to_string_lossy().starts_with("new")).collect();
    assert!(left.is_empty(), "{left:?}");
    life.end().await;
}

/// Data of another version, and the answer to each operation on it.
#[tokio::test(flavor = "multi_thread")]
async fn refuses_data_of_other_versions() {
    let place = BackupFolder::new();
    let (life, migration) = small(&place).await;
    life.end().await;
    let version = |file: PathBuf, version: i64| {
        rusqlite::Connection::open(file).unwrap().pragma_update(None, "user_version", version).unwrap()
    };
    for (file, sentence) in [
        ("catalogue.db", "the catalog is of version 1000, and this Sluice knows versions up to"),
        ("platform.db", "the platform database is of version 1000, and this Sluice knows versions up to"),
    ] {
        copy_all(&place.path("data"), &place.path("newer"));
        version(place.path("newer").join(file), 1_000);
        let said = place.refused(&["serve", "--listen", "127.0.0.1:0", "--data-dir", "newer"]);
        assert!(said.contains(sentence) && said.contains("start the Sluice that wrote it"), "{said}");
        std::fs::remove_dir_all(place.path("newer")).unwrap();
    }
    // A journal belongs to one migration. The server starts for all others, and names the unreadable one.
    for digit in [b'1', b'3'] {
        let data = format!("data-{}", char::from(digit));
        copy_all(&place.path("data"), &place.path(&data));
        let segment = place.path(&data).join(format!("migrations/{}/journal/00000000.seg", migration.id));
        let mut bytes = std::fs::read(&segment).unwrap();
        bytes[3] = digit;
        let crc = crc32fast::hash(&bytes[..36]).to_le_bytes();
        bytes[36..40].copy_from_slice(&crc);
        std::fs::write(&segment, &bytes).unwrap();
        let life = place.begin(&data);
        let there = at(life.server, &migration);
        let answer = life.server.get(&there.staging(PATH, &format!("{TYPE}/stream"))).await;
        assert_eq!(answer.problem(), (500, "STAGING_VERSION".into()));
        assert!(answer.body.contains("staged by another version of Sluice"), "{}", answer.body);
        assert_eq!(std::fs::read(&segment).unwrap(), bytes, "the server does not truncate the journal");
        let backup = place.run(&["backup", &format!("of-{data}"), "--data-dir", &data]);
        let said = String::from_utf8(backup.stdout).unwrap();
        assert!(backup.status.code() == Some(2) && said.contains("DAMAGED: staging is of version"), "{said}");
        let delete = life.server.request(Method::DELETE, &there.path(""));
        assert_eq!(life.server.send(delete).await.status, 204, "a purge deletes the migration");
        life.end().await;
    }
}
