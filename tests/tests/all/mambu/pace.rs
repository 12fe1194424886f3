//! The agreed rate of calls as the mock platform measures it, and jobs that are paused, resumed and cancelled.

use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::json;

use super::{mambu, platform, register, server};
use crate::harness::server::Migration;

/// A thread that only waits, and that measures how long waits take on this machine.
///
/// The pacer waits for each call. On a busy machine each wait takes longer, and the rate is lower, without any fault of
/// the pacer. So its rate is compared with that of a thread which only waits, at the same time.
struct WakeUps {
    stop: Sender<()>,
    average: JoinHandle<Duration>,
}

impl WakeUps {
    /// Begins to wait again and again, each time for `interval`.
    fn start(interval: Duration) -> Self {
        let (stop, stopped) = mpsc::channel();
        let average = std::thread::spawn(move || {
            let (began, mut waits) = (Instant::now(), 0);
            while stopped.recv_timeout(interval) == Err(RecvTimeoutError::Timeout) {
                waits += 1;
            }
            began.elapsed() / waits.max(1)
        });
        Self { stop, average }
    }

    /// Stops, and returns the average duration of a wait.
    fn average(self) -> Duration {
        drop(self.stop);
        self.average.join().unwrap()
    }
}

/// Stages persons and nothing else: the import makes one call for each.
async fn persons(migration: &Migration, count: usize) {
    let line = |number: usize| {
        let id = uuid::Uuid::new_v5(&migration.id.parse().unwrap(), &number.to_be_bytes());
        json!({"referenceId": id, "type": "person", "initials": "J.", "surname": "Novák"}).to_string() + "\n"
    };
    let lines: String = (0..count).map(line).collect();
    migration.stage("counterparty-management", "counterparties", lines).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn import_keeps_to_the_agreed_rate_and_uses_it() {
    const RATE: u32 = 100;
    /// Largest allowed ratio of the average time between two calls to the average wait of a thread that only waits.
    /// It leaves more than half for the window of a second and for work between calls. A pacer that stays at half of
    /// the rate, as after an error, has a ratio of nearly 2.
    const MAX_RATIO: f64 = 1.6;
    let mambu = mambu().await;
    let server = server(vec![("mambu".into(), platform(&mambu, |config| config.calls_per_second = RATE))]);
    let migration = register(server, "mambu").await;
    persons(&migration, 600).await;
    let wake_ups = WakeUps::start(Duration::from_secs(1) / RATE);
    assert_eq!(super::import(&migration).await["state"], "succeeded");
    let wait = wake_ups.average();
    let stats = mambu.stats();
    assert_eq!((stats.calls, stats.too_many_requests), (600, 0));
    assert!(stats.peak_per_second <= u64::from(RATE), "{} in a second", stats.peak_per_second);
    let seconds = (stats.last_ms.unwrap() - stats.first_ms.unwrap()) / 1_000.0;
    println!("{:.1} % of the agreed rate was used, at most {} in a second", 599.0 / seconds, stats.peak_per_second);
    let ratio = seconds / 599.0 / wait.as_secs_f64();
    assert!(ratio < MAX_RATIO, "a call each {:.4} s, {ratio:.2} times a plain wait of {wait:?}", seconds / 599.0);
}

/// Waits until a condition holds, for at most a minute, while a job runs.
async fn until(what: &str, condition: impl AsyncFn() -> bool) {
    let began = Instant::now();
    while !condition().await {
        assert!(began.elapsed() < Duration::from_secs(60), "{what}");
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn import_pauses_resumes_and_is_cancelled() {
    let mambu = mambu().await;
    let server = server(vec![("mambu".into(), platform(&mambu, |config| config.calls_per_second = 50))]);
    let migration = register(server, "mambu").await;
    persons(&migration, 200).await;
    assert_eq!(migration.job("validate").await["state"], "succeeded");
    let job = migration.start("import").await.json();
    let path = migration.path(&format!("/jobs/{}", job.as_str().unwrap()));
    let put = async |rest: &str, body: serde_json::Value| {
        server.send(server.request(Method::PUT, &format!("{path}/{rest}")).json(&body)).await.status
    };
    until("the import makes no calls", async || mambu.stats().calls > 5).await;
    assert_eq!(put("pause", json!({"paused": true})).await, 202);
    assert_eq!(server.get(&path).await.json()["paused"], true);
    // Calls that were sent before the pause arrive; no further call follows.
    until("the paused import does not stop", async || {
        let before = mambu.stats().calls;
        tokio::time::sleep(Duration::from_millis(300)).await;
        mambu.stats().calls == before
    })
    .await;
    assert!(mambu.stats().calls < 200);
    assert_eq!(put("pause", json!({"paused": false})).await, 202);
    let before = mambu.stats().calls;
    until("the resumed import makes no calls", async || mambu.stats().calls > before + 5).await;
    assert_eq!(put("cancel", json!({})).await, 202);
    until("the import is not cancelled", async || server.get(&path).await.json()["state"] == "cancelled").await;
    assert!(mambu.stats().calls < 200);
    assert_eq!(migration.job("import").await["state"], "succeeded");
    assert_eq!(mambu.state()["clients"].as_array().unwrap().len(), 200);
    assert_eq!(mambu.stats().of("POST", "/clients"), 200, "each client is created once");
}
