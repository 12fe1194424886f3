//! A server in a process of its own, which a test kills.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use sluice_data_dir::ADMIN_FILE;

use super::recorded_server::command;

/// A server process until it is killed.
pub struct KillableServer {
    child: Child,
    url: String,
    client: reqwest::Client,
    token: String,
}

impl KillableServer {
    /// Starts a server on the directory `data` in `dir`, with the configuration in `config.toml`.
    pub async fn begin(dir: &Path) -> Self {
        let mut serve = Command::new(command());
        serve.args(["serve", "--listen", "127.0.0.1:0", "--data-dir"]).arg(dir.join("data"));
        serve.arg("--config").arg(dir.join("config.toml"));
        let mut child = serve.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        let url = loop {
            line.clear();
            assert!(lines.read_line(&mut line).unwrap() > 0, "the server ended before it was ready");
            if let Some((_, rest)) = line.split_once("ready at ") {
                break rest.split([',', ' ']).next().unwrap().to_owned();
            }
        };
        std::thread::spawn(move || lines.read_to_end(&mut vec![]));
        let client = reqwest::Client::new();
        let credentials = std::fs::read_to_string(dir.join("data").join(ADMIN_FILE)).unwrap();
        let (id, secret) = credentials.trim().split_once(':').unwrap();
        let request = client.post(format!("{url}/oauth2/token")).basic_auth(id, Some(secret));
        let answer = request.form(&[("grant_type", "client_credentials")]).send().await.unwrap();
        let token = answer.json::<Value>().await.unwrap()["access_token"].as_str().unwrap().to_owned();
        Self { child, url, client, token }
    }

    /// Builds a request.
    pub fn request(&self, method: reqwest::Method, path: &str) -> reqwest::RequestBuilder {
        self.client.request(method, format!("{}{path}", self.url)).bearer_auth(&self.token)
    }

    /// Sends JSON Lines, all of which must succeed.
    pub async fn put(&self, path: &str, body: String) -> String {
        let request = self.request(reqwest::Method::PUT, path).header("content-type", "application/jsonl").body(body);
        let answer = request.send().await.unwrap();
        let (status, text) = (answer.status(), answer.text().await.unwrap());
        assert!(status.is_success() && !text.contains("\"isSuccessful\":false"), "{path}: {status} {text}");
        text
    }

    /// Runs a job to its end.
    pub async fn job(&self, migration: &str, kind: &str) -> Value {
        self.job_with(migration, kind, &Value::Null).await
    }

    /// Starts a job with parameters, or none if they are null, and returns its id.
    pub async fn start(&self, migration: &str, kind: &str, parameters: &Value) -> String {
        let path = format!("/migration-assistance/migrations/{migration}/jobs/{kind}");
        let request = self.request(reqwest::Method::PUT, &path);
        let request = if parameters.is_null() { request } else { request.json(parameters) };
        let answer = request.send().await.unwrap();
        let (status, text) = (answer.status(), answer.text().await.unwrap());
        assert!(status.is_success(), "{kind}: {status} {text}");
        text.trim_matches('"').to_owned()
    }

    /// Runs a job with parameters to its end.
    pub async fn job_with(&self, migration: &str, kind: &str, parameters: &Value) -> Value {
        let id = self.start(migration, kind, parameters).await;
        loop {
            let path = format!("/migration-assistance/migrations/{migration}/jobs/{id}");
            let request = self.request(reqwest::Method::GET, &path).header("prefer", "wait=60");
            let job: Value = request.send().await.unwrap().json().await.unwrap();
            if job["state"] != "running" {
                return job;
            }
        }
    }

    /// Asks the server to stop with SIGTERM, and returns true if it ends within this time.
    pub fn stop(mut self, patience: std::time::Duration) -> bool {
        let sent = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
        let (ended, receive) = std::sync::mpsc::channel();
        let pid = self.child.id();
        let waiting = std::thread::spawn(move || {
            let status = self.child.wait();
            let _ = ended.send(());
            status
        });
        let in_time = receive.recv_timeout(patience).is_ok();
        if !in_time {
            Command::new("kill").args(["-KILL", &pid.to_string()]).status().unwrap();
        }
        waiting.join().unwrap().unwrap();
        in_time
    }

    /// Kills the server.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// A generator of random numbers with a fixed seed.
pub struct Random(pub u64);

impl Random {
    /// Returns a number below `most`.
    pub fn below(&mut self, most: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % most
    }
}
