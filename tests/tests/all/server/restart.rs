//! Stopping and starting on the same directory: no acknowledged record is lost, and no work is done twice.

use std::path::Path;
use std::thread::JoinHandle;

use serde_json::{Value, json};
use sluice_config::Config;
use sluice_server::app::Options;
use tokio::sync::oneshot;

use crate::harness::raw_http::{Length, RawRequest};
use crate::harness::server::{ALL, Migration, Server, start};
use crate::server::concurrent_migrations::stage_many;

const PATH: &str = "counterparty-management";
const TYPE: &str = "counterparties";

/// A server from start to stop.
pub struct ServerRun {
    pub server: &'static Server,
    stop: oneshot::Sender<()>,
    ended: JoinHandle<()>,
}

fn begin(data_dir: &Path) -> ServerRun {
    begin_with(Options {
        data_dir: data_dir.to_owned(),
        config: Config::default(),
        mappers: vec![],
        worker: crate::harness::worker(),
    })
}

pub fn begin_with(options: Options) -> ServerRun {
    let (stop, stopped) = oneshot::channel();
    let (server, ended) = start(options, async { stopped.await.unwrap_or_default() });
    ServerRun { server: Box::leak(Box::new(server)), stop, ended }
}

impl ServerRun {
    pub async fn end(self) {
        self.stop.send(()).unwrap();
        tokio::task::spawn_blocking(move || self.ended.join().unwrap()).await.unwrap();
    }
}

/// Returns the same migration on another server.
pub fn at(server: &'static Server, migration: &Migration) -> Migration {
    Migration { server, id: migration.id.clone() }
}

/// Requests everything about a migration that changes nothing.
async fn visible_state(migration: &Migration) -> Vec<Value> {
    let mut visible_state = vec![];
    for path in
        ["", "/sources", "/jobs?limit=100", "/logs?limit=100", "/issues?phase=load", "/issues", "/issues/counts"]
    {
        visible_state.push(migration.get(path).await);
    }
    visible_state.extend(migration.staged(PATH, TYPE).await);
    visible_state
}

fn client(id: u64) -> String {
    json!({"client_id": id, "birth_number": "706213"}).to_string() + "\n"
}

#[tokio::test(flavor = "multi_thread")]
async fn continues_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let life = begin(&data);
    let migration = life.server.register(Some("berka"), ALL).await;
    migration.source("client", (1..=20).map(client).collect::<String>() + "no client\n").await;
    let before = visible_state(&migration).await;
    life.end().await;

    let life = begin(&data);
    let migration = at(life.server, &migration);
    assert_eq!(visible_state(&migration).await, before);
    let again = migration.source("client", (15..=25).map(client).collect::<String>()).await.lines();
    assert!(again.iter().all(|result| result["outcome"] == "mapped"), "{again:?}");
    assert_eq!(migration.staged(PATH, TYPE).await.len(), 25, "the indexes have the records of before the restart");
    assert_eq!(migration.job("validate").await["state"], "succeeded");
    let before = visible_state(&migration).await;
    life.end().await;

    let life = begin(&data);
    let migration = at(life.server, &migration);
    assert_eq!(visible_state(&migration).await, before);
    assert_eq!(migration.job("import").await["result"]["inserted"], 25, "the validation stays valid");
    life.end().await;

    let life = begin(&data);
    let migration = at(life.server, &migration);
    let again = migration.job("import").await;
    assert_eq!((&again["state"], &again["result"]["inserted"]), (&json!("succeeded"), &json!(0)), "{again}");
    assert_eq!(migration.job("counts").await["state"], "succeeded");
    life.end().await;
}

/// A stop interrupts a running job, and the next start resumes it.
#[tokio::test(flavor = "multi_thread")]
async fn resumes_an_interrupted_job() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let mut life = begin(&data);
    let mut migration = life.server.register(None, ALL).await;
    stage_many(&migration).await;
    for kind in ["validate", "import", "counts"] {
        let job = migration.start(kind).await.json();
        life.end().await;
        life = begin(&data);
        migration = at(life.server, &migration);
        let job = migration.get(&format!("/jobs/{}", job.as_str().unwrap())).await;
        assert!(matches!(job["state"].as_str().unwrap(), "interrupted" | "succeeded"), "{job}");
        let again = migration.job(kind).await;
        assert_eq!(again["state"], "succeeded", "{again}");
    }
    let shown = migration.get("").await;
    assert_eq!(shown["importStatus"], "Imported");
    assert_eq!(
        (&shown["numberOfStagedEntities"], &shown["numberOfImportedEntities"]),
        (&json!(30_000), &json!(30_000))
    );
    life.end().await;
}

/// A server is killed after it notes a job's beginning with the migration and before it stores the job: afterwards no
/// job runs, and none blocks others.
#[tokio::test(flavor = "multi_thread")]
async fn forgets_a_job_that_was_not_stored() {
    for (column, status) in [("staging", "Validating"), ("import", "Importing")] {
        let dir = tempfile::tempdir().unwrap();
        let data_dir = dir.path().join("data");
        let life = begin(&data_dir);
        let migration = life.server.register(Some("berka"), ALL).await;
        migration.source("client", client(1)).await;
        assert_eq!(migration.job("validate").await["state"], "succeeded");
        life.end().await;
        let catalogue = rusqlite::Connection::open(data_dir.join("catalogue.db")).unwrap();
        catalogue.execute(&format!("UPDATE migrations SET {column} = ?"), [status]).unwrap();
        drop(catalogue);
        let life = begin(&data_dir);
        let migration = at(life.server, &migration);
        assert_eq!(migration.job("validate").await["state"], "succeeded", "{status}");
        assert_eq!(migration.job("import").await["state"], "succeeded", "{status}");
        life.end().await;
    }
}

/// A directory as a power cut leaves it during an upload has every acknowledged record.
#[tokio::test(flavor = "multi_thread")]
async fn keeps_acknowledged_records_after_a_power_cut() {
    let dir = tempfile::tempdir().unwrap();
    let life = begin(&dir.path().join("data"));
    let migration = life.server.register(Some("berka"), ALL).await;
    let path = migration.path("/sources/client");
    let mut upload = RawRequest::put(life.server, &path, "application/jsonl", Length::Chunked).await;
    for id in 1..=3 {
        upload.send(client(id)).await;
        assert_eq!(upload.line().await.unwrap()["outcome"], "mapped");
    }
    let copy = dir.path().join("copy");
    copy_all(&dir.path().join("data"), &copy);
    let second = begin(&copy);
    let survived = at(second.server, &migration);
    assert_eq!(survived.staged(PATH, TYPE).await.len(), 3);
    assert_eq!(survived.get("").await["stagingStatus"], "Staged");
    let results = survived.source("client", (1..=4).map(client).collect::<String>()).await.lines();
    assert!(results.len() == 4 && results.iter().all(|result| result["outcome"] == "mapped"), "{results:?}");
    for kind in ["validate", "import", "counts"] {
        assert_eq!(survived.job(kind).await["state"], "succeeded", "{kind}");
    }
    second.end().await;
    upload.end().await;
    assert_eq!(upload.line().await, None);
    drop(upload);
    life.end().await;
}

pub fn copy_all(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_all(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Two servers on one directory would overwrite each other's data.
#[tokio::test(flavor = "multi_thread")]
async fn refuses_a_second_server_on_the_same_directory() {
    let dir = tempfile::tempdir().unwrap();
    let life = begin(dir.path());
    life.server.get("/health/live").await;
    let options = Options {
        data_dir: dir.path().to_owned(),
        config: Config::default(),
        mappers: vec![],
        worker: crate::harness::worker(),
    };
    let error = sluice_server::app::App::open(&options).map(|_| ()).unwrap_err();
    assert!(error.to_string().contains("another server is using"), "{error:#}");
    life.end().await;
}
