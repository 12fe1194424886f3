//! Encryption of staged records at rest, and their erasure by a purge.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use sluice_config::Config;
use sluice_data_dir::TARGET_FILE;
use sluice_keys::Keyring;
use sluice_pipeline::QUARANTINE;
use sluice_server::app::Options;
use sluice_staging::{StagingArea, StagingError, StagingRoot, StreamName};
use uuid::Uuid;

use crate::harness::lender::{Lender, TYPES, put};
use crate::harness::server::{ALL, Migration};
use crate::server::restart::{ServerRun, at, begin_with, copy_all};

/// Prefixes of all canaries: letters for text fields, digits for number fields.
const MARKS: [&str; 2] = ["canary", "98761234"];

/// Length of a canary with its prefix.
const LENGTH: usize = 12;

/// Opens a copy of a migration's directory with the server's current keys, and calls `look` with it.
fn with_copy<T>(
    migration: &Migration,
    directory: &Path,
    look: impl FnOnce(&StagingArea) -> Result<T, StagingError>,
) -> Result<T, StagingError> {
    let data = &migration.server.data_dir;
    let held = tempfile::tempdir().unwrap();
    std::fs::create_dir(held.path().join("migrations")).unwrap();
    copy_all(directory, &held.path().join("migrations").join(&migration.id));
    let keys = Keyring::open(&data.join("keys"), &data.join("master.key")).unwrap();
    let root = StagingRoot::open(held.path(), Arc::new(keys), 100).unwrap();
    look(&*root.area(migration.id.parse().unwrap(), 0)?)
}

/// Returns the quarantined records with the messages of the plugins that failed.
pub fn quarantined(migration: &Migration) -> Vec<Value> {
    let (lines, _) = with_copy(migration, &migration.directory(), |area| area.lines(QUARANTINE, 0, u64::MAX)).unwrap();
    lines.iter().map(|line| serde_json::from_slice(line).unwrap()).collect()
}

/// A generator of canaries, which are all different.
struct Canaries(Vec<String>);

impl Canaries {
    fn next(&mut self, mark: &str) -> String {
        let digits = LENGTH - mark.len();
        let canary = format!("{mark}{:0digits$}", self.0.len() + 1);
        self.0.push(canary.clone());
        canary
    }

    fn word(&mut self) -> String {
        self.next(MARKS[0])
    }

    fn number(&mut self) -> u64 {
        self.next(MARKS[1]).parse().unwrap()
    }

    /// Puts canaries into every text field that accepts any text.
    fn plant(&mut self, entity_type: &str, record: &mut Value) {
        match (entity_type, record["type"].as_str()) {
            ("counterparties", Some("person")) => {
                for field in ["initials", "firstName", "surname"] {
                    record[field] = json!(self.word());
                }
                for field in ["addressLine1", "postalCode", "locality"] {
                    record["addresses"][0][field] = json!(self.word());
                }
                record["emailAddresses"] = json!([format!("{}@example.org", self.word())]);
                record["telephoneNumbers"] = json!([{"type": self.word(), "number": self.word()}]);
                record["ratings"] = json!([{"agency": self.word(), "value": self.word()}]);
                record["income"]["amount"] = json!(self.number());
            }
            ("counterparties", _) => {
                record["name"] = json!(self.word());
                record["registrationNumber"] = json!(self.word());
                record["externalReferences"] = json!([{"system": self.word(), "value": self.word()}]);
            }
            ("agreements", _) => {
                record["agreementNumber"] = json!(self.word());
                record["purpose"] = json!(self.word());
            }
            ("collateral-objects", _) => record["valuations"][0]["value"]["amount"] = json!(self.number()),
            ("collaterals", _) => record["collateralDefinitionCode"] = json!(self.word()),
            ("debit-mandates", _) => {
                // An account of a SEPA mandate is an IBAN, and a word is none.
                record["scheme"] = json!("DOMESTIC");
                record["debtorAccount"] = json!(self.word());
            }
            _ => {}
        }
    }
}

/// Collects every file below a folder with its bytes.
fn files(dir: &Path, found: &mut Vec<(String, Vec<u8>)>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else {
            found.push((path.display().to_string(), std::fs::read(&path).unwrap()));
        }
    }
}

/// Returns the canaries in all files but the target, and the canaries in the target.
fn search(dir: &Path) -> (BTreeSet<String>, BTreeSet<String>) {
    let (mut elsewhere, mut target) = (BTreeSet::new(), BTreeSet::new());
    let mut all = vec![];
    files(dir, &mut all);
    assert!(all.len() > 5, "{all:?}");
    for (path, bytes) in all {
        let found = if path.contains(TARGET_FILE) { &mut target } else { &mut elsewhere };
        for mark in MARKS {
            let at = (0..bytes.len()).filter(|at| bytes[*at..].starts_with(mark.as_bytes()));
            found.extend(at.map(|at| String::from_utf8_lossy(&bytes[at..bytes.len().min(at + LENGTH)]).into_owned()));
        }
    }
    (elsewhere, target)
}

/// Returns true if a file of the migration's directory contains the bytes.
fn contains_bytes(migration: &Migration, wanted: &[u8]) -> bool {
    let mut all = vec![];
    files(&migration.directory(), &mut all);
    assert!(!all.is_empty());
    all.iter().any(|(_, bytes)| bytes.windows(wanted.len()).any(|bytes| bytes == wanted))
}

fn begin(data_dir: &Path, config: Config) -> ServerRun {
    let guest = data_dir.with_extension("wasm");
    std::fs::write(&guest, sluice_tests::guest("panics")).unwrap();
    begin_with(Options {
        data_dir: data_dir.to_owned(),
        config,
        mappers: vec![guest],
        worker: crate::harness::worker(),
    })
}

async fn delete(migration: &Migration) -> u16 {
    let request = migration.server.request(Method::DELETE, &migration.path(""));
    migration.server.send(request).await.status
}

/// Uploads canaries in every field of every kind of record and runs every step. In plain text, only the target has
/// them.
#[tokio::test(flavor = "multi_thread")]
async fn keeps_no_record_in_plain_text() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let life = begin(&data, Config::default());
    let migration = life.server.register(Some("panics"), ALL).await;
    let lender = Lender::of(&migration);
    let (mut staged, mut refused) = (Canaries(vec![]), Canaries(vec![String::new(); 1_000]));
    let mut ids: Vec<Uuid> = vec![];
    for (domain, entity_type) in TYPES {
        let most = if *entity_type == "payment-administrations" { 1 } else { 3 };
        let mut records: Vec<Value> = (1..=most).map(|number| lender.record(entity_type, number)).collect();
        records.iter_mut().for_each(|record| staged.plant(entity_type, record));
        ids.extend((1..=most).map(|number| lender.id(entity_type, number)));
        put(&migration, domain, entity_type, &records).await;
    }
    // A record that is mapped, one on which the plugin fails, an invalid one, and an invalid one without a mapper.
    let (mapped, poisoned) = (staged.number(), refused.number());
    let bodies = [
        json!({"client_id": mapped, "note": refused.word()}).to_string(),
        json!({"client_id": poisoned, "poison": true, "note": refused.word()}).to_string(),
        json!({"note": refused.word()}).to_string(),
    ];
    let outcomes = migration.source("client", bodies.join("\n")).await.lines();
    let outcomes: Vec<&str> = outcomes.iter().map(|result| result["outcome"].as_str().unwrap()).collect();
    assert_eq!(outcomes, ["mapped", "quarantined", "rejected"]);
    let wrong = json!({"referenceId": lender.id("counterparties", 9), "type": refused.word(), "name": refused.word()});
    let results = migration.stage("counterparty-management", "counterparties", wrong.to_string()).await.lines();
    assert_eq!(results[0]["isSuccessful"], false);
    assert_eq!(migration.job("validate").await["state"], "succeeded", "{:?}", migration.issues("validate").await);
    assert_eq!(search(&data), Default::default(), "the source is staged and validated");
    let said = quarantined(&migration);
    assert!(said.len() == 1 && said[0]["message"].as_str().unwrap().contains(&poisoned.to_string()), "{said:?}");
    for id in ids {
        assert!(
            !contains_bytes(&migration, id.as_bytes()) && !contains_bytes(&migration, id.to_string().as_bytes()),
            "{id}"
        );
    }

    for kind in ["import", "counts"] {
        assert_eq!(migration.job(kind).await["state"], "succeeded", "{kind}");
    }
    let (elsewhere, target) = search(&data);
    assert_eq!(elsewhere, BTreeSet::new(), "imported");
    assert_eq!(target, staged.0.iter().cloned().collect(), "the search finds what the target has");

    let before = dir.path().join("before");
    copy_all(&migration.directory(), &before);
    let count = |area: &StagingArea| area.count(StreamName::Records("counterparties"));
    assert_eq!(with_copy(&migration, &before, count).unwrap(), 4);
    let counts = migration.get("/jobs").await;
    assert_eq!(delete(&migration).await, 204);
    assert!(!migration.directory().exists());
    assert_eq!(search(&data).0, BTreeSet::new(), "purged");
    let again = with_copy(&migration, &before, count);
    assert!(matches!(again, Err(StagingError::KeyGone)), "{again:?}");
    assert!(StagingError::KeyGone.to_string().contains("the key of this migration was destroyed"));
    let mut keys = vec![];
    files(&data.join("keys"), &mut keys);
    assert!(!keys.iter().any(|(path, _)| path.contains(&migration.id)), "the purge deletes the key");

    // After the stopped server's directory is restored, the next start deletes it again and keeps the catalogue's
    // entries.
    life.end().await;
    copy_all(&before, &migration.directory());
    let life = begin(&data, Config::default());
    let migration = at(life.server, &migration);
    assert_eq!(migration.get("").await["stagingStatus"], "Purged");
    assert_eq!(migration.get("/jobs").await, counts);
    assert!(!migration.directory().exists());
    assert_eq!(delete(&migration).await, 204);
    life.end().await;
}

/// A directory without its key is not treated as a new one. With the key restored, it works as before.
#[tokio::test(flavor = "multi_thread")]
async fn reports_a_missing_key() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let life = begin(&data, Config::default());
    let migration = life.server.register(None, ALL).await;
    let record = Lender::of(&migration).record("counterparties", 1);
    put(&migration, TYPES[0].0, TYPES[0].1, std::slice::from_ref(&record)).await;
    life.end().await;
    let (key, away) = (data.join(format!("keys/migration-{}.key", migration.id)), dir.path().join("away.key"));
    std::fs::rename(&key, &away).unwrap();

    let life = begin(&data, Config::default());
    let lost = at(life.server, &migration);
    // The migration is still listed, with the reason, and hides no other.
    let list = life.server.get("/migration-assistance/migrations").await.json();
    for shown in [&lost.get("").await, &list["items"][0]] {
        assert_eq!(shown["stagingError"], "MIGRATION_KEY_GONE", "{shown}");
    }
    let answer = life.server.get(&lost.path("/sources")).await;
    assert_eq!(answer.problem(), (500, "MIGRATION_KEY_GONE".into()));
    assert!(answer.json()["detail"].as_str().unwrap().contains("is not in the key directory"), "{}", answer.body);
    assert!(!key.exists(), "the server makes no new key");
    life.end().await;

    std::fs::rename(&away, &key).unwrap();
    let life = begin(&data, Config::default());
    assert_eq!(at(life.server, &migration).staged(TYPES[0].0, TYPES[0].1).await, [record]);
    life.end().await;
}

/// A server with a retention of zero purges imported migrations, and no others, without a request.
#[tokio::test(flavor = "multi_thread")]
async fn purges_imported_migrations_after_their_retention() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let life = begin(&data, Config::default());
    let [imported, validated] = [life.server.register(None, ALL).await, life.server.register(None, ALL).await];
    for migration in [&imported, &validated] {
        let record = Lender::of(migration).record("counterparties", 3);
        put(migration, TYPES[0].0, TYPES[0].1, &[record]).await;
        assert_eq!(migration.job("validate").await["state"], "succeeded");
    }
    assert_eq!(imported.job("import").await["state"], "succeeded");
    life.end().await;

    let mut config = Config::default();
    config.retention.days_after_import = Some(0);
    let life = begin(&data, config);
    let [imported, validated] = [imported, validated].map(|migration| at(life.server, &migration));
    let purged = async { while imported.get("").await["stagingStatus"] != "Purged" {} };
    tokio::time::timeout(Duration::from_secs(60), purged).await.expect("the server purges the migration");
    assert_eq!(validated.staged(TYPES[0].0, TYPES[0].1).await.len(), 1);
    life.end().await;
    assert!(!imported.directory().exists() && validated.directory().exists());
}
