//! Migrations into a platform through its API, with a real server and a mock platform.

mod berka;
mod decisions;
mod exclusion;
mod facilities;
mod faults;
mod granted;
mod kills;
mod pace;
mod restored;
pub mod small;

use mock_mambu::{BRANCH_KEY, FEE_KEY, MockMambu, MockOptions, MockServer, PRODUCT_KEY};
use reqwest::Method;
use serde_json::{Value, json};
use sluice_config::{Config, Flow, PlatformConfig};
use sluice_server::app::Options;

use crate::harness::server::{ALL, Migration, Server, start};

/// Returns the configuration of a mock platform, with short pauses.
pub fn platform(mambu: &MockServer, change: impl FnOnce(&mut PlatformConfig)) -> PlatformConfig {
    let text = json!({
        "plugin": "mambu", "tenants": ["default"], "base_url": format!("{}/api", mambu.url()), "user": mock_mambu::USER,
        "calls_per_second": 5_000, "parallel_calls": 8, "retry_millis": 5, "timeout_seconds": 1,
        "settings": {"productKey": PRODUCT_KEY, "branchKey": BRANCH_KEY, "feeKey": FEE_KEY},
    });
    let mut config: PlatformConfig = serde_json::from_value(text).unwrap();
    let file = tempfile::Builder::new().prefix("mambu-password").tempfile().unwrap();
    std::fs::write(file.path(), mock_mambu::PASSWORD).unwrap();
    config.password_file = Some(file.into_temp_path().keep().unwrap());
    change(&mut config);
    config
}

/// Starts a mock platform.
pub async fn mambu() -> MockServer {
    MockMambu::start(MockOptions { close_after_processing: true, ..MockOptions::default() }).await.unwrap()
}

/// Starts a server with these platforms, which runs until the process ends.
pub fn server(platforms: Vec<(String, PlatformConfig)>) -> &'static Server {
    let mut config = Config { platforms: platforms.into_iter().collect(), ..Config::default() };
    config.http.requests_per_second = 1_000_000;
    config.http.request_burst = 1_000_000;
    config.http.concurrent_requests = 10_000;
    let data_dir = tempfile::tempdir().unwrap().keep().join("data");
    let options = Options { data_dir, config, mappers: vec![], worker: crate::harness::worker() };
    Box::leak(Box::new(start(options, std::future::pending()).0))
}

/// Registers a migration into a platform.
pub async fn register(server: &'static Server, target: &str) -> Migration {
    let body = json!({"components": ALL, "mapper": "berka", "target": target});
    let answer = server.send(server.request(Method::POST, "/migration-assistance/migrations").json(&body)).await;
    assert_eq!(answer.status, 201, "{}", answer.body);
    assert_eq!(answer.json()["target"], target);
    Migration { server, id: answer.json()["referenceId"].as_str().unwrap().to_owned() }
}

/// Validates and imports, and returns the ended import.
pub async fn import(migration: &Migration) -> Value {
    let validation = migration.job("validate").await;
    assert_eq!(validation["state"], "succeeded", "{validation}");
    migration.job("import").await
}

/// Counts both sides, which must agree.
pub async fn agree(migration: &Migration) -> Value {
    let counts = migration.job("counts").await;
    assert_eq!(counts["state"], "succeeded", "{counts:#}");
    counts
}

/// Counts the calls of the plan, without the queries that verify the result.
pub fn calls(mambu: &MockServer) -> u64 {
    let stats = mambu.stats();
    let asked = [("GET", "/clients"), ("GET", "/loans"), ("POST", "/loans/transactions:search")];
    stats.calls - asked.iter().map(|(method, path)| stats.of(method, path)).sum::<u64>()
}

/// All flows, for tests that run each.
pub const FLOWS: [Flow; 2] = [Flow::EveryStep, Flow::Fewest];
