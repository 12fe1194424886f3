//! Hostile components that run: contained, named as the cause, and with little effect on a neighbour.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde_json::Value;
use sluice_config::Config;
use sluice_server::app::Options;

use super::rows::{ALL_DAY, ExpectedResult, Row, WORK};
use crate::harness::server::{Migration, Server, start};
use sluice_tests::wat::{component, description};

const RECORDS: u64 = 250;
/// Number of the poisoned record, for files without an interval.
const POISONED: u64 = 17;
/// Memory in MiB that the host may need beyond a plugin's memory while other tests run in the same process.
const SLACK_MIB: u64 = 512;

/// Returns a configuration with short limits, which keep the test short.
fn config() -> Config {
    let mut config = Config::default();
    config.upload.batch_records = 100;
    config.http.requests_per_second = 1_000_000;
    config.http.request_burst = 1_000_000;
    config.http.concurrent_requests = 10_000;
    let plugin = &mut config.plugin;
    plugin.batch_millis = 500;
    plugin.narrowing_millis = 100;
    plugin.memory_bytes = 32 << 20;
    plugin.table_elements = 10_000;
    plugin.host_calls = 1_000;
    plugin.output_bytes = 4 << 20;
    plugin.output_items = 10_000;
    plugin.lookup_keys = 1_000;
    plugin.log_entries = 10;
    plugin.max_quarantined = 40;
    plugin.share_after_records = 100;
    plugin.max_timeouts = 15;
    config
}

/// Starts a server with these mappers, which runs until the process ends.
fn server(config: Config, rows: &[Row]) -> &'static Server {
    let dir = tempfile::tempdir().unwrap().keep();
    let file = |row: &Row| {
        let file = dir.join(format!("{}.wasm", row.file));
        std::fs::write(&file, component(row.file, row.shape)).unwrap();
        file
    };
    let options = Options {
        data_dir: dir.join("data"),
        config,
        mappers: rows.iter().map(file).collect(),
        worker: crate::harness::worker(),
    };
    Box::leak(Box::new(start(options, std::future::pending()).0))
}

fn is_poisoned(row: &Row, id: u64) -> bool {
    if row.every == 0 { id == POISONED } else { id.is_multiple_of(row.every) }
}

fn clients(row: &Row) -> String {
    let mark = |id| if is_poisoned(row, id) { ",\"mark\":\"!\"" } else { "" };
    (1..=RECORDS).map(|id| format!("{{\"client_id\":{id}{}}}\n", mark(id))).collect()
}

/// Uploads records through a hostile mapper, and checks the result of each.
async fn check_contained(server: &'static Server, row: &Row) {
    let what = row.file;
    let migration = server.register(Some(row.file), &["Counterparties"]).await;
    let answer = migration.source("client", clients(row)).await;
    let results = answer.lines();
    let expected = |line: u64| match row.fate {
        ExpectedResult::Quarantined(code) if line == POISONED => ("quarantined", code),
        ExpectedResult::Rejected(code) if line == 1 => ("rejected", code),
        _ => ("skipped", "GUEST_AGAIN"),
    };
    if let ExpectedResult::Stopped(code) = row.fate {
        let last = results.last().unwrap_or(&Value::Null);
        let problem = &last["problem"];
        assert_eq!((&problem["code"], &problem["blame"]), (&code.into(), &"plugin".into()), "{what}: {last}");
        assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains(row.file)), "{what}: {problem}");
        let log = migration.get(&format!("/logs?code={code}")).await;
        assert_eq!(log["total"], 1, "{what}: {log}");
        return;
    }
    assert_eq!((answer.status, results.len() as u64), (200, RECORDS), "{what}: {:?}", results.last());
    for (result, line) in results.iter().zip(1..) {
        let (outcome, code) = expected(line);
        let said = if outcome == "rejected" { &result["errors"][0]["code"] } else { &result["code"] };
        assert_eq!((&result["outcome"], said), (&outcome.into(), &code.into()), "{what}: {result}");
    }
    check_cause(&migration, row).await;
}

/// Checks that the quarantine list names the plugin.
async fn check_cause(migration: &Migration, row: &Row) {
    let quarantine = migration.get("/quarantine").await;
    let entries = quarantine["items"].as_array().unwrap();
    if let ExpectedResult::Quarantined(code) = row.fate {
        assert_eq!(entries.len(), 1, "{}: {quarantine}", row.file);
        let entry = &entries[0];
        assert_eq!((&entry["code"], &entry["line"]), (&code.into(), &POISONED.into()), "{}", row.file);
        assert_eq!(entry["plugin"], format!("{} 0.1.0", row.file));
    }
    // The log counts dropped entries.
    let cut = migration.get("/logs?code=PLUGIN_LOG_CUT").await;
    let dropped = match row.file {
        "logs-a-lot" => 190,
        "floods-log" => 990,
        _ => 0,
    };
    let counts = cut["items"].as_array().unwrap().iter().map(|entry| entry["figures"]["dropped"].as_u64().unwrap_or(0));
    assert_eq!(counts.sum::<u64>(), dropped, "{}: {cut}", row.file);
}

/// A well-behaved migration on the same server, which uploads again and again.
struct Neighbour {
    migration: Migration,
    /// Duration of each upload since the last call of `durations`.
    durations: Mutex<Vec<Duration>>,
}

impl Neighbour {
    async fn new(server: &'static Server) -> Self {
        Self { migration: server.register(Some("berka"), &["Counterparties"]).await, durations: Mutex::default() }
    }

    async fn upload(&self) {
        let client = |id| format!("{{\"client_id\":{id},\"birth_number\":\"706213\",\"district_id\":1}}\n");
        let body: String = (1..=25).map(client).collect();
        let began = Instant::now();
        let results = self.migration.source("client", body).await.lines();
        self.durations.lock().unwrap().push(began.elapsed());
        assert!(results.len() == 25 && results.iter().all(|result| result["outcome"] == "mapped"), "{results:?}");
    }

    /// Takes the durations of all uploads since the last call.
    fn durations(&self) -> Vec<Duration> {
        std::mem::take(&mut *self.durations.lock().unwrap())
    }
}

/// Returns a percentile of durations; none without durations.
fn percentile(durations: &[Duration], percent: usize) -> Option<Duration> {
    let mut sorted = durations.to_vec();
    sorted.sort();
    sorted.get((sorted.len() * percent / 100).min(sorted.len().saturating_sub(1))).copied()
}

/// Formats p50 and p99 in milliseconds.
fn percentiles(durations: &[Duration]) -> String {
    let millis = |percent| percentile(durations, percent).map_or("–".into(), |value| value.as_millis().to_string());
    format!("{} / {}", millis(50), millis(99))
}

/// Fails if a neighbour's p99 beside hostile mappers is far above its p99 alone.
///
/// Both are measured in turns in the same run, so other load on the machine changes both. A mapper that uses a core
/// makes the neighbour two or three times as slow, which is allowed. A neighbour that waits for a hostile batch waits
/// for its time limit of 500 ms, which is far beyond ten times an upload of 25 records.
fn assert_barely_slower(what: &str, alone: &[Duration], beside: &[Duration]) {
    const MAX_RATIO: f64 = 10.0;
    let (alone, beside) = (percentile(alone, 99).unwrap(), percentile(beside, 99).unwrap());
    let ratio = beside.div_duration_f64(alone);
    println!("neighbour's p99 beside {what}: {beside:?}, alone: {alone:?}, ratio {ratio:.1}");
    assert!(ratio < MAX_RATIO, "beside {what} the neighbour's p99 is {beside:?}, alone it is {alone:?}");
}

/// Returns a memory figure of this process in MiB from `/proc/self/status`; none on other systems.
fn memory(name: &str) -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with(name))?;
    Some(line.split_whitespace().nth(1)?.parse::<u64>().ok()? >> 10)
}

/// Resets the peak of resident memory.
fn reset_memory_peak() {
    if Path::new("/proc/self/clear_refs").exists() {
        std::fs::write("/proc/self/clear_refs", "5").unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn contains_each_component_while_a_neighbour_works() {
    let server = server(config(), WORK);
    let neighbour = Neighbour::new(server).await;
    // Compiles the neighbour's mapper and opens its files.
    for _ in 0..20 {
        neighbour.upload().await;
    }
    let first = neighbour.durations();
    let mut wrong = vec![];
    let mut lines = vec![format!("| (nothing) | | | | {} |", percentiles(&first))];
    let (mut alone, mut beside, mut beside_timeouts) = (vec![], vec![], vec![]);
    for row in WORK {
        for _ in 0..4 {
            neighbour.upload().await;
        }
        alone.extend(neighbour.durations());
        reset_memory_peak();
        let resident = memory("VmRSS:");
        let working = tokio::spawn(check_contained(server, row));
        while !working.is_finished() {
            neighbour.upload().await;
        }
        wrong.extend(working.await.err().map(|_| row.file));
        let grown = memory("VmHWM:").zip(resident).map(|(peak, resident)| peak.saturating_sub(resident));
        let (outcome, code) = match row.fate {
            ExpectedResult::Quarantined(code) => ("quarantined", code),
            ExpectedResult::Rejected(code) => ("rejected", code),
            ExpectedResult::Stopped(code) => ("stopped", code),
            ExpectedResult::Refused(_) | ExpectedResult::Harmless => ("harmless", ""),
        };
        let shown = grown.map_or("–".into(), |grown| grown.to_string());
        let (description, durations) = (description(row.file), neighbour.durations());
        let percentiles = percentiles(&durations);
        lines.push(format!("| {} | {description} | {outcome} {code} | {shown} | {percentiles} |", row.file));
        // These work until a limit of time stops them, which is when a neighbour could have to wait.
        if ["PLUGIN_TIMED_OUT", "PLUGIN_UNFIT_TIMEOUTS"].contains(&code) {
            beside_timeouts.extend_from_slice(&durations);
        }
        beside.extend(durations);
        let most = (config().plugin.memory_bytes as u64 >> 20) + SLACK_MIB;
        assert!(grown.is_none_or(|grown| grown < most), "{}: {grown:?} MiB more", row.file);
    }
    let header = "| file | what it does | what becomes of it | MiB more at most | neighbour's p50 / p99 ms |";
    println!("{header}\n|---|---|---|---|---|\n{}", lines.join("\n"));
    assert!(wrong.is_empty(), "these files have another result, see above: {wrong:?}");
    assert_barely_slower("all hostile mappers", &alone, &beside);
    assert_barely_slower("those that a time limit stops", &alone, &beside_timeouts);
    assert_eq!(server.get("/health/live").await.json()["status"], "ok");
}

/// The time limit of all batches stops an upload that no other limit stops.
#[tokio::test(flavor = "multi_thread")]
async fn stops_an_upload_at_the_limit_of_all_its_batches() {
    let mut config = config();
    let plugin = &mut config.plugin;
    (plugin.total_seconds, plugin.max_timeouts) = (1, 1_000);
    (plugin.max_quarantined, plugin.max_quarantined_share) = (1_000, 100);
    check_contained(server(config, &[ALL_DAY]), &ALL_DAY).await;
}

/// Random numbers derive from the migration: a batch gets the same numbers again.
#[tokio::test(flavor = "multi_thread")]
async fn gives_each_batch_the_same_random_numbers() {
    let rows: Vec<Row> = WORK.iter().filter(|row| row.file == "draws-lots").copied().collect();
    let server = server(config(), &rows);
    let mut drawn = BTreeMap::<String, u32>::new();
    let migration = server.register(Some("draws-lots"), &["Counterparties"]).await;
    for _ in 0..3 {
        assert_eq!(migration.source("client", clients(&rows[0])).await.status, 200);
    }
    let log = migration.get("/logs?code=GUEST_AGAIN").await;
    for entry in log["items"].as_array().unwrap() {
        *drawn.entry(entry["figures"]["line"].to_string()).or_default() += 1;
    }
    assert_eq!(drawn.values().copied().collect::<Vec<_>>(), [3], "{log}");
}
