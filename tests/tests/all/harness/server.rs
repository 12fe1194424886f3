//! A server on a port of its own, and an API client that returns status and body.

use std::path::PathBuf;
use std::sync::OnceLock;
use std::thread::JoinHandle;

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use sluice_config::Config;
use sluice_data_dir::ADMIN_FILE;
use sluice_server::app::Options;
use sluice_server::serve;

pub const ALL: &[&str] =
    &["Counterparties", "Collaterals", "FinancingSolutions", "FinancingExecutions", "Administrate"];

/// A running server.
pub struct Server {
    pub url: String,
    pub data_dir: PathBuf,
    pub client: reqwest::Client,
    /// Token of the client that the server created at its first start.
    pub token: String,
}

/// Writes the guests that a server accepts into a folder. Other tests show that it refuses the rest.
fn mappers(dir: &std::path::Path) -> Vec<PathBuf> {
    // One guest has the name of the embedded mapper and would replace it.
    let others = ["unoffered-import", "berka-b-closed"];
    let offered = sluice_tests::GUESTS.iter().filter(|(name, _)| !others.contains(name));
    offered
        .map(|(name, bytes)| {
            let file = dir.join(format!("{name}.wasm"));
            std::fs::write(&file, bytes).unwrap();
            file
        })
        .collect()
}

/// Returns a configuration with short limits, which keep the tests short.
fn config() -> Config {
    let mut config = Config::default();
    config.plugin.batch_millis = 1_500;
    config.plugin.narrowing_millis = 400;
    config.plugin.memory_bytes = 64 << 20;
    config.upload.max_record_bytes = 256 * 1024;
    // All tests are one API client and must not wait for each other.
    config.http.requests_per_second = 1_000_000;
    config.http.request_burst = 1_000_000;
    config.http.concurrent_requests = 10_000;
    config.access.token_seconds = 24 * 60 * 60;
    config.access.wrong_secrets = 0;
    config.access.wrong_secrets_per_address = 0;
    config.http.connections_per_address = config.http.connections;
    config
}

/// Returns the server that most tests share. Each test has migrations of its own, which do not affect others.
pub fn shared() -> &'static Server {
    static SHARED: OnceLock<Server> = OnceLock::new();
    SHARED.get_or_init(|| {
        let dir = tempfile::tempdir().unwrap().keep();
        let options = Options {
            data_dir: dir.join("data"),
            config: config(),
            mappers: mappers(&dir),
            worker: crate::harness::worker(),
        };
        start(options, std::future::pending()).0
    })
}

/// Starts a server on a directory until `shutdown` completes. The returned thread ends with the server.
pub fn start(options: Options, shutdown: impl Future<Output = ()> + Send + 'static) -> (Server, JoinHandle<()>) {
    let data_dir = options.data_dir.clone();
    let (send, receive) = std::sync::mpsc::channel();
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            send.send(listener.local_addr().unwrap()).unwrap();
            serve(listener, options, shutdown).await.unwrap();
        });
    });
    let address = receive.recv().unwrap();
    // A connection belongs to the runtime of the test that opened it, so none is kept for another.
    let client = reqwest::Client::builder().pool_max_idle_per_host(0).build().unwrap();
    let mut server = Server { url: format!("http://{address}"), data_dir, client, token: String::new() };
    // On a thread of its own, because the caller may be in a runtime.
    let token = || tokio::runtime::Runtime::new().unwrap().block_on(server.first_token());
    server.token = std::thread::scope(|scope| scope.spawn(token).join().unwrap());
    (server, thread)
}

/// A status and a body.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub body: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    pub fn lines(&self) -> Vec<Value> {
        self.body.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"))).collect()
    }

    /// Returns status and code of a problem document.
    pub fn problem(&self) -> (u16, String) {
        (self.status, self.json()["code"].as_str().unwrap_or_default().to_owned())
    }
}

impl Server {
    /// Returns a token of the first client, once the server is ready.
    async fn first_token(&self) -> String {
        assert_eq!(self.send(self.anonymous(Method::GET, "/health/ready")).await.status, 200);
        let credentials = std::fs::read_to_string(self.data_dir.join(ADMIN_FILE)).unwrap();
        let (id, secret) = credentials.trim().split_once(':').unwrap();
        self.token_of(id, secret).await
    }

    /// Returns a token for an id and a secret.
    pub async fn token_of(&self, id: &str, secret: &str) -> String {
        let request = self.anonymous(Method::POST, "/oauth2/token").basic_auth(id, Some(secret));
        let answer = self.send(request.form(&[("grant_type", "client_credentials")])).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.json()["access_token"].as_str().unwrap().to_owned()
    }

    /// Builds a request without a token.
    pub fn anonymous(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.url))
    }

    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.anonymous(method, path).bearer_auth(&self.token)
    }

    pub async fn send(&self, request: RequestBuilder) -> Answer {
        let response = request.send().await.unwrap();
        Answer { status: response.status().as_u16(), body: response.text().await.unwrap() }
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(self.request(Method::GET, path)).await
    }

    /// Reads the catalogue: everything that is stored outside of the migrations' directories.
    pub fn catalogue(&self) -> Vec<u8> {
        let read = |name: &str| std::fs::read(self.data_dir.join(name)).unwrap_or_default();
        [read("catalogue.db"), read("catalogue.db-wal")].concat()
    }

    pub async fn register(&'static self, mapper: Option<&str>, components: &[&str]) -> Migration {
        let body = json!({"components": components, "mapper": mapper});
        let answer = self.send(self.request(Method::POST, "/migration-assistance/migrations").json(&body)).await;
        assert_eq!(answer.status, 201, "{}", answer.body);
        let id = answer.json()["referenceId"].as_str().unwrap().to_owned();
        Migration { server: self, id }
    }
}

/// A registered migration.
pub struct Migration {
    pub server: &'static Server,
    pub id: String,
}

impl Migration {
    pub fn path(&self, rest: &str) -> String {
        format!("/migration-assistance/migrations/{}{rest}", self.id)
    }

    pub async fn get(&self, rest: &str) -> Value {
        let answer = self.server.get(&self.path(rest)).await;
        assert_eq!(answer.status, 200, "{rest}: {}", answer.body);
        answer.json()
    }

    pub async fn put_as(&self, path: &str, media_type: &str, body: impl Into<reqwest::Body>) -> Answer {
        let request = self.server.request(Method::PUT, path).header("content-type", media_type).body(body);
        self.server.send(request).await
    }

    /// Uploads JSON Lines to a source.
    pub async fn source(&self, source: &str, body: impl Into<reqwest::Body>) -> Answer {
        self.put_as(&self.path(&format!("/sources/{source}")), "application/jsonl", body).await
    }

    pub fn staging(&self, domain: &str, rest: &str) -> String {
        format!("/{domain}/migrations/{}/staging/{rest}", self.id)
    }

    /// Uploads JSON Lines without a mapper, or ids to `…/delete`.
    pub async fn stage(&self, domain: &str, rest: &str, body: impl Into<reqwest::Body>) -> Answer {
        self.put_as(&self.staging(domain, rest), "application/jsonl", body).await
    }

    /// Returns the staged records of an entity type, in order.
    pub async fn staged(&self, domain: &str, entity_type: &str) -> Vec<Value> {
        let answer = self.server.get(&self.staging(domain, &format!("{entity_type}/stream"))).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.lines()
    }

    /// Returns the migration's directory.
    pub fn directory(&self) -> PathBuf {
        self.server.data_dir.join("migrations").join(&self.id)
    }

    /// Starts a job; the answer can be a refusal.
    pub async fn start(&self, kind: &str) -> Answer {
        let path = self.path(&format!("/jobs/{kind}"));
        self.server.send(self.server.request(Method::PUT, &path)).await
    }

    /// Starts a job with parameters.
    pub async fn start_with(&self, kind: &str, parameters: &Value) -> Answer {
        let path = self.path(&format!("/jobs/{kind}"));
        self.server.send(self.server.request(Method::PUT, &path).json(parameters)).await
    }

    /// Runs a job to its end.
    pub async fn job(&self, kind: &str) -> Value {
        self.ended(self.start(kind).await).await
    }

    /// Runs a job with parameters to its end.
    pub async fn job_with(&self, kind: &str, parameters: &Value) -> Value {
        self.ended(self.start_with(kind, parameters).await).await
    }

    /// Waits for the end of a started job.
    pub async fn ended(&self, answer: Answer) -> Value {
        assert_eq!(answer.status, 200, "{}", answer.body);
        let job = answer.json();
        let path = self.path(&format!("/jobs/{}", job.as_str().unwrap()));
        loop {
            let request = self.server.request(Method::GET, &path).header("prefer", "wait=60");
            let job = self.server.send(request).await.json();
            if job["state"] != "running" {
                return job;
            }
        }
    }

    /// Returns all issues of a phase.
    pub async fn issues(&self, phase: &str) -> Vec<Value> {
        let mut issues = vec![];
        loop {
            let page = self.get(&format!("/issues?phase={phase}&limit=100&offset={}", issues.len())).await;
            let items = page["items"].as_array().unwrap();
            issues.extend(items.iter().cloned());
            if issues.len() as u64 >= page["total"].as_u64().unwrap() || items.is_empty() {
                return issues;
            }
        }
    }

    /// Returns the rows of one side of a count.
    pub fn rows(counts: &Value, name: &str, side: &str) -> Vec<Vec<String>> {
        let counts = counts["result"].as_array().unwrap();
        let count = counts.iter().find(|count| count["type"] == name).unwrap_or_else(|| panic!("no {name}"));
        serde_json::from_value(count[side].clone()).unwrap()
    }
}
