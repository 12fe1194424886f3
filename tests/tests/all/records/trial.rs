//! Trials: all steps run without changing the migration, and give the figures of the import that follows.

use std::collections::BTreeMap;
use std::path::Path;

use reqwest::Method;
use serde_json::{Value, json};
use sluice_config::Config;
use sluice_data_dir::{CATALOG_FILE, TARGET_FILE};
use sluice_demo::{Bank, SpoilRate, tables};
use sluice_model::Digest;
use sluice_server::app::Options;
use uuid::Uuid;

use crate::harness::server::{ALL, Migration};
use crate::server::restart::{ServerRun, at, begin_with};

/// Returns the bank's tables in upload order, with invalid records if `spoil` asks for them.
pub fn bank(customers: u64, spoil: Option<&str>) -> Vec<(&'static str, Vec<u8>)> {
    let spoil = spoil.map_or(vec![], |share| SpoilRate::parse(share).unwrap());
    let bank = Bank { customers, seed: 7, spoil };
    tables().map(|table| (table, bank.records(table).unwrap().flatten().collect())).collect()
}

fn begin(data_dir: &Path) -> ServerRun {
    begin_with(Options { data_dir: data_dir.to_owned(), config: Config::default(), mappers: vec![] })
}

/// Loads a bank with records that are invalid at upload or at validation, and a record without a mapper.
async fn loaded(life: &ServerRun) -> Migration {
    let migration = life.server.register(Some("berka"), ALL).await;
    for (table, lines) in bank(60, Some("0.05")) {
        assert_eq!(migration.source(table, lines).await.status, 200);
    }
    let direct = json!({"referenceId": Uuid::new_v4(), "type": "organisation", "name": "Acme"}).to_string();
    let staged = migration.stage("counterparty-management", "counterparties", direct).await;
    assert_eq!(staged.lines()[0]["isSuccessful"], true, "{}", staged.body);
    migration
}

/// Returns the digest of every file below a folder, without those of trials.
fn tree(folder: &Path) -> BTreeMap<String, Digest> {
    let (mut found, mut open) = (BTreeMap::new(), vec![folder.to_owned()]);
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && path.file_name().unwrap() != "trials" {
                open.push(path);
            } else if path.is_file() {
                found.insert(path.display().to_string(), Digest::of(&std::fs::read(path).unwrap()));
            }
        }
    }
    found
}

/// Returns schema and rows of a database, without some tables.
fn dump(file: &Path, without: &[&str]) -> Vec<String> {
    let database = rusqlite::Connection::open(file).unwrap();
    let text = |row: &rusqlite::Row| {
        (0..row.as_ref().column_count()).map(|column| format!("{:?}", row.get_ref(column).unwrap())).collect::<String>()
    };
    let schema = "SELECT name, coalesce(sql, '') FROM sqlite_schema ORDER BY name";
    let mut dumped: Vec<String> = rows(&database, schema, text);
    let tables = "SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name";
    for table in rows(&database, tables, |row| row.get::<_, String>(0).unwrap()) {
        if !without.contains(&table.as_str()) {
            dumped.extend(rows(&database, &format!("SELECT * FROM \"{table}\""), text));
        }
    }
    dumped
}

fn rows<T>(database: &rusqlite::Connection, query: &str, read: impl Fn(&rusqlite::Row) -> T) -> Vec<T> {
    let mut query = database.prepare(query).unwrap();
    query.query_map([], |row| Ok(read(row))).unwrap().map(Result::unwrap).collect()
}

/// Returns all state that a trial may not change: everything but its job, log entries and audit entries.
fn unchangeable_state(migration: &Migration) -> (BTreeMap<String, Digest>, Vec<String>, Vec<String>) {
    let data_dir = &migration.server.data_dir;
    let its_own = ["jobs", "logs", "log_numbers", "sqlite_sequence", "audit", "audit_heads"];
    (tree(&migration.directory()), dump(&data_dir.join(CATALOG_FILE), &its_own), dump(&data_dir.join(TARGET_FILE), &[]))
}

fn trials(migration: &Migration) -> Vec<std::path::PathBuf> {
    let Ok(found) = std::fs::read_dir(migration.directory().join("trials")) else { return vec![] };
    found.map(|entry| entry.unwrap().path()).collect()
}

/// Validates, deletes invalid records until none is left, imports and counts. Returns the counts.
async fn run_all_steps(migration: &Migration) -> Value {
    while migration.job("validate").await["state"] == "failed" {
        let mut wrong: BTreeMap<String, String> = BTreeMap::new();
        for issue in migration.issues("validate").await.iter().filter(|issue| issue["severity"] == "error") {
            *wrong.entry(issue["entityType"].as_str().unwrap().into()).or_default() +=
                &format!("{}\n", issue["referenceId"]);
        }
        for (entity_type, ids) in wrong {
            let domain = match entity_type.as_str() {
                "counterparties" => "counterparty-management",
                "agreements" => "financing-solution",
                "collaterals" | "collateral-objects" => "collateral-management",
                _ => "financing-execution",
            };
            let deleted = migration.stage(domain, &format!("{entity_type}/delete"), ids).await;
            assert_eq!(deleted.status, 200, "{entity_type}: {}", deleted.body);
        }
    }
    assert_eq!(migration.job("import").await["state"], "succeeded");
    migration.job("counts").await
}

#[tokio::test(flavor = "multi_thread")]
async fn trial_changes_nothing_and_predicts_the_import() {
    let dir = tempfile::tempdir().unwrap();
    let life = begin(&dir.path().join("data"));
    let migration = loaded(&life).await;
    let before = unchangeable_state(&migration);
    let trial = migration.job("trial").await;
    assert_eq!(unchangeable_state(&migration), before);
    assert!(trials(&migration).is_empty(), "{:?}", trials(&migration));
    let result = &trial["result"];
    assert_eq!(
        (&trial["state"], &result["isValid"], &result["countsAgree"]),
        (&json!("failed"), &json!(false), &json!(true))
    );
    let invalid: u64 = result["leftOut"].as_object().unwrap().values().map(|count| count.as_u64().unwrap()).sum();
    assert!(invalid > 0, "{result}");

    // The outcomes of source records are those of the upload.
    let mut outcomes = BTreeMap::new();
    for source in migration.get("/sources").await["items"].as_array().unwrap() {
        for outcome in source["outcomes"].as_array().unwrap() {
            outcomes.insert(
                format!("{} {} {}", source["source"], outcome["outcome"], outcome["code"]),
                outcome["count"].clone(),
            );
        }
    }
    let tried = result["sources"].as_array().unwrap().iter();
    let tried = tried.map(|of| (format!("{} {} {}", of["source"], of["outcome"], of["code"]), of["count"].clone()));
    assert_eq!(tried.collect::<BTreeMap<_, _>>(), outcomes);

    // The report has examples of each kind of issue, and the time of each plugin.
    let validated = migration.job("validate").await;
    for found in validated["result"]["issuesByCode"].as_array().unwrap() {
        let same = |issue: &&Value| {
            issue["phase"] == "validate"
                && ["entityType", "code", "rule", "count"].iter().all(|of| issue[of] == found[of])
        };
        let issue = result["issues"].as_array().unwrap().iter().find(same);
        let issue = issue.unwrap_or_else(|| panic!("{found} is not in {}", result["issues"]));
        let listed = |field: &Value| field["listed"].as_u64().unwrap();
        let fields: u64 = issue["fields"].as_array().unwrap().iter().map(listed).sum();
        assert!(fields > 0 && fields <= found["count"].as_u64().unwrap(), "{issue}");
        let named = issue["referenceIds"].as_array().unwrap().len() as u64;
        assert!((1..=20).contains(&named) && named <= found["count"].as_u64().unwrap(), "{issue}");
    }
    let plugins = result["plugins"].as_array().unwrap();
    assert_eq!((plugins.len(), &plugins[0]["name"]), (6, &json!("berka")), "{plugins:?}");
    for plugin in plugins {
        assert!(["batches", "records", "memoryBytes"].iter().all(|of| plugin[of].as_u64().unwrap() > 0), "{plugin}");
    }
    let steps: Vec<&str> =
        result["steps"].as_array().unwrap().iter().map(|step| step["step"].as_str().unwrap()).collect();
    assert_eq!(steps, ["map", "copy", "validate", "leave out", "import", "count"]);

    // The figures are those of the import that follows.
    let counts = run_all_steps(&migration).await;
    // The lines of uploads are counted with the migration, and not with a trial.
    let mut counted = counts["result"].as_array().unwrap().clone();
    counted.retain(|count| count["type"] != "TotalLines");
    assert_eq!(result["counts"], json!(counted));
    let arriving: BTreeMap<&str, String> = result["arriving"]
        .as_array()
        .unwrap()
        .iter()
        .map(|of| (of["entityType"].as_str().unwrap(), of["records"].to_string()))
        .collect();
    for row in Migration::rows(&counts, "TotalEntity", "importedRows") {
        assert_eq!(arriving[row[0].as_str()], row[1], "{row:?}");
    }

    // A second trial after the import, with a sample that is the same each time.
    let before = unchangeable_state(&migration);
    let parameters = json!({"sample": {"records": 100, "seed": 3}});
    let (one, two) = (migration.job_with("trial", &parameters).await, migration.job_with("trial", &parameters).await);
    assert_eq!(unchangeable_state(&migration), before);
    let chosen = one["result"]["sample"]["chosen"].as_u64().unwrap();
    assert!((50..200).contains(&chosen), "{}", one["result"]["sample"]);
    for of in ["counts", "issues", "sources", "sample", "leftOut"] {
        assert_eq!(one["result"][of], two["result"][of], "{of}");
    }
    life.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keeps_a_trial_until_it_is_due() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let life = begin(&data);
    let migration = loaded(&life).await;
    let trial = migration.job_with("trial", &json!({"keepHours": 1})).await;
    let kept = &trial["result"]["kept"];
    let file = data.join(kept["path"].as_str().unwrap_or_else(|| panic!("{trial}")));
    let database = rusqlite::Connection::open(&file).unwrap();
    let found: Vec<u64> = rows(&database, "SELECT count(*) FROM counterparties", |row| row.get(0).unwrap());
    let arriving = trial["result"]["arriving"].as_array().unwrap().iter();
    let counterparties = arriving.clone().find(|of| of["entityType"] == "counterparties").unwrap();
    assert_eq!(json!(found[0]), counterparties["records"]);
    drop(database);
    life.end().await;

    // A restart keeps the kept trial, deletes the other, and deletes the kept one when it is due.
    let folder = file.parent().unwrap().to_owned();
    let left = folder.with_file_name(Uuid::new_v4().to_string());
    std::fs::create_dir(&left).unwrap();
    let life = begin(&data);
    assert!(file.exists() && !left.exists());
    life.end().await;
    std::fs::write(folder.join("keep-until"), "1000\n").unwrap();
    let life = begin(&data);
    assert!(!folder.exists());

    // A purge deletes the trial.
    let migration = at(life.server, &migration);
    migration.job_with("trial", &json!({"keepHours": 1})).await;
    assert_eq!(trials(&migration).len(), 1);
    let purged = life.server.send(life.server.request(Method::DELETE, &migration.path(""))).await;
    assert_eq!((purged.status, migration.directory().exists()), (204, false));
    life.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cancels_and_refuses_trials() {
    let dir = tempfile::tempdir().unwrap();
    let life = begin(&dir.path().join("data"));
    let migration = life.server.register(Some("berka"), ALL).await;
    assert_eq!(migration.start("trial").await.problem(), (409, "NOTHING_STAGED".into()));
    let migration = loaded(&life).await;
    for (parameters, expected) in [
        (json!({"mapper": Digest::of(b"another").to_string()}), (422, "UNKNOWN_MAPPER".into())),
        (json!({"keepHours": 169}), (422, "KEPT_TOO_LONG".into())),
        (json!({"mapper": "berka"}), (400, "INVALID_BODY".into())),
        (json!({"sample": {"seed": 1}}), (400, "INVALID_BODY".into())),
    ] {
        assert_eq!(migration.start_with("trial", &parameters).await.problem(), expected, "{parameters}");
    }
    let before = unchangeable_state(&migration);
    let job = migration.start("trial").await;
    let path = migration.path(&format!("/jobs/{}/cancel", job.json().as_str().unwrap()));
    let cancel = life.server.send(life.server.request(Method::PUT, &path)).await;
    assert!([202, 409].contains(&cancel.status), "{}", cancel.body);
    let ended = migration.ended(job).await;
    assert!(["cancelled", "failed"].contains(&ended["state"].as_str().unwrap()), "{ended}");
    assert!(trials(&migration).is_empty());
    assert_eq!(unchangeable_state(&migration), before);
    life.end().await;
}
