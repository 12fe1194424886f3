//! A server killed at random moments of an import: each record is there once. `SLUICE_KILLS` is the number of kills.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use mock_mambu::{PRODUCT_KEY, Running};
use serde_json::{Value, json};
use sluice_data_dir::ADMIN_FILE;
use uuid::Uuid;

use super::mambu;
use crate::harness::recorded_server::command;

/// A server process until it is killed.
struct KillableServer {
    child: Child,
    url: String,
    client: reqwest::Client,
    token: String,
}

impl KillableServer {
    async fn begin(dir: &Path) -> Self {
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

    fn request(&self, method: reqwest::Method, path: &str) -> reqwest::RequestBuilder {
        self.client.request(method, format!("{}{path}", self.url)).bearer_auth(&self.token)
    }

    async fn put(&self, path: &str, body: String) -> String {
        let request = self.request(reqwest::Method::PUT, path).header("content-type", "application/jsonl").body(body);
        let answer = request.send().await.unwrap();
        let (status, text) = (answer.status(), answer.text().await.unwrap());
        assert!(status.is_success() && !text.contains("\"isSuccessful\":false"), "{path}: {status} {text}");
        text
    }

    /// Runs a job to its end.
    async fn job(&self, migration: &str, kind: &str) -> Value {
        let jobs = format!("/migration-assistance/migrations/{migration}/jobs");
        let id = self.put(&format!("{jobs}/{kind}"), String::new()).await;
        loop {
            let path = format!("{jobs}/{}", id.trim_matches('"'));
            let request = self.request(reqwest::Method::GET, &path).header("prefer", "wait=60");
            let job: Value = request.send().await.unwrap().json().await.unwrap();
            if job["state"] != "running" {
                return job;
            }
        }
    }

    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// A generator of random numbers with a fixed seed.
struct Random(u64);

impl Random {
    fn below(&mut self, most: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % most
    }
}

/// Stages persons, each with a loan that is disbursed, charged and repaid once.
async fn stage(life: &KillableServer, migration: &str, count: usize) {
    let id = |of: &str, number: usize| Uuid::new_v5(&migration.parse().unwrap(), format!("{of}/{number}").as_bytes());
    let eur = |amount: f64| json!({"amount": amount, "currency": "EUR"});
    let lines =
        |record: &dyn Fn(usize) -> Value| (0..count).map(|of| record(of).to_string() + "\n").collect::<String>();
    let person = |of| json!({"referenceId": id("client", of), "type": "person", "initials": "J.", "surname": "Novák"});
    let agreement = |of| {
        json!({
            "referenceId": id("agreement", of), "agreementNumber": of.to_string(), "status": "active",
            "startDate": "2020-01-31", "borrowers": [{"counterpartyReferenceId": id("client", of), "role": "main"}],
            "facilities": [{"referenceId": id("loan", of), "amount": eur(1000.0), "termInMonths": 7,
                "repaymentMethod": "linear"}],
        })
    };
    let early = |of| {
        json!({
            "referenceId": id("early", of), "agreementReferenceId": id("agreement", of), "status": "Final",
            "type": "early-repayment", "effectiveDate": "2020-03-15", "amount": eur(50.05),
            "administrationFee": eur(12.34),
        })
    };
    let path = |domain: &str, entity: &str| format!("/{domain}/migrations/{migration}/staging/{entity}");
    life.put(&path("counterparty-management", "counterparties"), lines(&person)).await;
    life.put(&path("financing-solution", "agreements"), lines(&agreement)).await;
    life.put(&path("financing-execution", "additional-repayments"), lines(&early)).await;
}

/// Checks that the mock platform has each loan once, with its three transactions.
fn check(mambu: &Running, count: usize) {
    let state = mambu.state();
    let loans = state["loans"].as_array().unwrap();
    assert_eq!((state["clients"].as_array().unwrap().len(), loans.len()), (count, count));
    for loan in loans {
        assert_eq!(loan["transactions"].as_array().unwrap().len(), 3, "{loan}");
        let owed = loan["balances"]["principalBalance"].as_str().unwrap();
        assert_eq!(owed.parse::<f64>().unwrap(), 1_000.0 - 50.05, "{loan}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn imports_each_record_once_although_killed() {
    let kills: usize = std::env::var("SLUICE_KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(6);
    let count = kills * 12;
    let mambu = mambu().await;
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("password"), mock_mambu::PASSWORD).unwrap();
    let config = format!(
        "[http]\nrequests_per_second = 100000\nrequest_burst = 100000\n[platforms.mambu]\nbase_url = \"{}/api\"\n\
         user = \"{}\"\npassword_file = \"{}\"\ncalls_per_second = 5000\nparallel_calls = 8\nretry_millis = 5\n\
         [platforms.mambu.settings]\nproductKey = \"{PRODUCT_KEY}\"\n",
        mambu.url(),
        mock_mambu::USER,
        dir.path().join("password").display()
    );
    std::fs::write(dir.path().join("config.toml"), config).unwrap();
    let mut life = KillableServer::begin(dir.path()).await;
    let body =
        json!({"target": "mambu", "components": ["Counterparties", "FinancingSolutions", "FinancingExecutions"]});
    let request = life.request(reqwest::Method::POST, "/migration-assistance/migrations").json(&body);
    let registered: Value = request.send().await.unwrap().json().await.unwrap();
    let migration = registered["referenceId"].as_str().unwrap().to_owned();
    stage(&life, &migration, count).await;
    assert_eq!(life.job(&migration, "validate").await["state"], "succeeded");
    let (mut chance, mut in_the_middle) = (Random(7), 0);
    for _ in 0..kills {
        let before = mambu.stats().calls;
        life.put(&format!("/migration-assistance/migrations/{migration}/jobs/import"), String::new()).await;
        tokio::time::sleep(Duration::from_millis(chance.below(250))).await;
        life.kill();
        in_the_middle += usize::from(mambu.stats().calls > before && mambu.stats().of("POST", "/clients") > 0);
        life = KillableServer::begin(dir.path()).await;
    }
    let end = life.job(&migration, "import").await;
    assert_eq!(end["state"], "succeeded", "{end}");
    check(&mambu, count);
    assert_eq!(life.job(&migration, "counts").await["state"], "succeeded");
    let stats = mambu.stats();
    println!(
        "{kills} kills, {in_the_middle} of them while calls were made; {count} clients and {count} loans, {} transactions, \
         each once, with {} calls",
        count * 3,
        stats.calls
    );
    life.kill();
}
