//! A `sluice serve` process whose output is recorded: standard error, and every answer that does not read records.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::SystemTime;

use reqwest::Method;
use serde_json::{Value, json};

use sluice_data_dir::ADMIN_FILE;

use crate::harness::canary::SearchedPlace;
use crate::harness::server::Answer;

/// Configuration with limits as short as those of `server.rs`.
const CONFIG: &str = "[plugin]\nbatch_millis = 1500\nnarrowing_millis = 400\n[upload]\nmax_record_bytes = 262144\n[http]\n\
    requests_per_second = 100000\nrequest_burst = 100000\nconcurrent_requests = 1000\n";

/// Log filter: all messages of Sluice and of the HTTP libraries.
const FILTER: &str = "info,sluice=trace,tower_http=trace,axum=trace,hyper=trace";

/// A running server whose output is recorded.
pub struct RecordedServer {
    child: Child,
    log: JoinHandle<Vec<u8>>,
    url: String,
    client: reqwest::Client,
    token: tokio::sync::OnceCell<String>,
    pub data_dir: PathBuf,
    recorded: Mutex<Vec<SearchedPlace>>,
}

/// Returns the path of the command `sluice`, in the parent folder of this test's binary.
///
/// # Panics
///
/// Panics if the command is older than the source of the host's crates.
pub fn command() -> PathBuf {
    let tests = std::env::current_exe().unwrap();
    let command = tests.ancestors().nth(2).unwrap().join("sluice");
    let built = std::fs::metadata(&command).and_then(|built| built.modified()).ok();
    let crates = std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../host")).unwrap();
    let sources = crates.map(|folder| folder.unwrap().path().join("src")).filter(|source| source.is_dir());
    let newest = sources.map(|source| last_written(&source)).max().unwrap();
    let fresh = built.is_some_and(|built| built >= newest);
    assert!(fresh, "{} is not built from this source: run the tests of the whole workspace", command.display());
    command
}

/// Returns the time of the last change of a file below a folder.
fn last_written(folder: &Path) -> SystemTime {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let times = entries.map(|entry| match entry.file_type().unwrap().is_dir() {
        true => last_written(&entry.path()),
        false => entry.metadata().unwrap().modified().unwrap(),
    });
    times.max().unwrap_or(SystemTime::UNIX_EPOCH)
}

impl RecordedServer {
    /// Starts a server in a directory, with these guests as mappers.
    pub fn start(dir: &Path, guests: &[&str]) -> Self {
        let data_dir = dir.join("data");
        std::fs::write(dir.join("config.toml"), CONFIG).unwrap();
        let mut serve = Command::new(command());
        serve.args(["serve", "--listen", "127.0.0.1:0", "--log-format", "json"]).env("SLUICE_LOG", FILTER);
        serve.arg("--data-dir").arg(&data_dir).arg("--config").arg(dir.join("config.toml"));
        for guest in guests {
            let file = dir.join(format!("{guest}.wasm"));
            std::fs::write(&file, sluice_tests::guest(guest)).unwrap();
            serve.arg("--mapper").arg(file);
        }
        let mut child = serve.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap());
        let said = Arc::new(Mutex::new(vec![]));
        let mut line = vec![];
        let url = loop {
            line.clear();
            assert!(lines.read_until(b'\n', &mut line).unwrap() > 0, "the server ended: {:?}", said.lock());
            let text = String::from_utf8_lossy(&line).into_owned();
            said.lock().unwrap().extend_from_slice(&line);
            if let Some((_, rest)) = text.split_once("ready at ") {
                break rest.split([',', '"', ' ']).next().unwrap().to_owned();
            }
        };
        let log = std::thread::spawn(move || {
            let mut rest = vec![];
            std::io::Read::read_to_end(&mut lines, &mut rest).unwrap();
            [said.lock().unwrap().clone(), rest].concat()
        });
        let client = reqwest::Client::builder().pool_max_idle_per_host(0).build().unwrap();
        Self { child, log, url, client, token: tokio::sync::OnceCell::new(), data_dir, recorded: Mutex::default() }
    }

    /// Returns id and secret of the client that the server created at its first start.
    pub fn first_client(&self) -> (String, String) {
        let credentials = std::fs::read_to_string(self.data_dir.join(ADMIN_FILE)).unwrap();
        let (id, secret) = credentials.trim().split_once(':').unwrap();
        (id.into(), secret.into())
    }

    /// Returns a token of that client. The answer is not recorded, because it contains a secret.
    async fn first_token(&self) -> String {
        let (id, secret) = self.first_client();
        let request = self.client.post(format!("{}/oauth2/token", self.url)).basic_auth(id, Some(secret));
        let answer = request.form(&[("grant_type", "client_credentials")]).send().await.unwrap();
        let answer: Value = answer.json().await.unwrap();
        answer["access_token"].as_str().unwrap().to_owned()
    }

    /// Returns the token of the requests.
    pub fn token(&self) -> &str {
        self.token.get().expect("a request has fetched the token")
    }

    /// Sends a request and records the answer, unless it reads records.
    pub async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<reqwest::Body>,
    ) -> Answer {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let reading = ["/staging/", "/quarantine", "/records", "/differences"];
        let reads = method == Method::GET && reading.iter().any(|part| path.contains(part));
        let mut request = self.client.request(method.clone(), format!("{}{path}", self.url)).body(body);
        if !headers.iter().any(|(name, _)| *name == "authorization") {
            request = request.bearer_auth(self.token.get_or_init(|| self.first_token()).await);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        let head = format!("{:?}", response.headers());
        let body = response.text().await.unwrap();
        // Refusals are recorded, also those of requests that read records.
        if !(reads && status == 200) {
            let number = self.recorded.lock().unwrap().len();
            let name = format!("answer {number}, {status} to {method} {path}");
            self.recorded
                .lock()
                .unwrap()
                .push(SearchedPlace { name, bytes: format!("{status} {head}\n{body}").into_bytes() });
        }
        Answer { status, body }
    }

    pub async fn get(&self, path: &str) -> Value {
        let answer = self.send("GET", path, &[], "").await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        answer.json()
    }

    /// Uploads JSON Lines.
    pub async fn put(&self, path: &str, lines: impl Into<reqwest::Body>) -> Vec<Value> {
        let answer = self.send("PUT", path, &[("content-type", "application/jsonl")], lines).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        answer.lines()
    }

    /// Registers a migration and returns its path.
    pub async fn register(&self, mapper: Option<&str>, components: &[&str]) -> String {
        let body = json!({"components": components, "mapper": mapper}).to_string();
        let migrations = "/migration-assistance/migrations";
        let answer = self.send("POST", migrations, &[("content-type", "application/json")], body).await;
        assert_eq!(answer.status, 201, "{}", answer.body);
        format!("{migrations}/{}", answer.json()["referenceId"].as_str().unwrap())
    }

    /// Runs a job to its end.
    pub async fn job(&self, migration: &str, kind: &str) -> Value {
        self.job_with(migration, kind, "").await
    }

    /// Runs a job with parameters to its end.
    pub async fn job_with(&self, migration: &str, kind: &str, parameters: impl Into<reqwest::Body>) -> Value {
        let headers = [("content-type", "application/json")];
        let started = self.send("PUT", &format!("{migration}/jobs/{kind}"), &headers, parameters).await;
        assert_eq!(started.status, 200, "{kind}: {}", started.body);
        let path = format!("{migration}/jobs/{}", started.json().as_str().unwrap());
        loop {
            let job = self.send("GET", &path, &[("prefer", "wait=60")], "").await.json();
            if job["state"] != "running" {
                return job;
            }
        }
    }

    /// Kills the server and returns everything recorded.
    pub fn end(mut self) -> Vec<SearchedPlace> {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        let mut places = self.recorded.into_inner().unwrap();
        places.push(SearchedPlace { name: "standard error".into(), bytes: self.log.join().unwrap() });
        places
    }
}
