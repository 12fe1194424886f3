//! The agreed pace, as the stand-in sees it; and pausing, cancelling and going on.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::json;

use super::{mambu, platform, register, server};
use crate::server::Migration;

/// Persons alone: a call for each.
async fn persons(migration: &Migration, count: usize) {
    let line = |number: usize| {
        let id = uuid::Uuid::new_v5(&migration.id.parse().unwrap(), &number.to_be_bytes());
        json!({"referenceId": id, "type": "person", "initials": "J.", "surname": "Novák"}).to_string() + "\n"
    };
    let lines: String = (0..count).map(line).collect();
    migration.stage("counterparty-management", "counterparties", lines).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rate_is_kept_to_and_used() {
    const RATE: u32 = 100;
    let mambu = mambu().await;
    let server = server(vec![("mambu".into(), platform(&mambu, |config| config.calls_per_second = RATE))]);
    let migration = register(server, "mambu").await;
    persons(&migration, 600).await;
    assert_eq!(super::import(&migration).await["state"], "succeeded");
    let stats = mambu.stats();
    assert_eq!((stats.calls, stats.too_many_requests), (600, 0));
    assert!(stats.peak_per_second <= u64::from(RATE), "{} in a second", stats.peak_per_second);
    let seconds = (stats.last_ms.unwrap() - stats.first_ms.unwrap()) / 1_000.0;
    println!("{:.1} % of the agreed rate was used, at most {} in a second", 599.0 / seconds, stats.peak_per_second);
}

/// Waits until it is so; the job is at work meanwhile.
async fn until(what: &str, so: impl AsyncFn() -> bool) {
    let began = Instant::now();
    while !so().await {
        assert!(began.elapsed() < Duration::from_secs(60), "{what}");
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pauses_stops_and_goes_on() {
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
    until("it begins", async || mambu.stats().calls > 5).await;
    assert_eq!(put("pause", json!({"paused": true})).await, 202);
    // What was under way is waited for; then nothing comes any more.
    until("it rests", async || {
        let before = mambu.stats().calls;
        tokio::time::sleep(Duration::from_millis(300)).await;
        mambu.stats().calls == before
    })
    .await;
    assert!(mambu.stats().calls < 200);
    assert_eq!(put("pause", json!({"paused": false})).await, 202);
    let before = mambu.stats().calls;
    until("it goes on", async || mambu.stats().calls > before + 5).await;
    assert_eq!(put("cancel", json!({})).await, 202);
    until("it ends", async || server.get(&path).await.json()["state"] == "cancelled").await;
    assert!(mambu.stats().calls < 200);
    assert_eq!(migration.job("import").await["state"], "succeeded");
    assert_eq!(mambu.state()["clients"].as_array().unwrap().len(), 200);
    assert_eq!(mambu.stats().of("POST", "/clients"), 200, "each once");
}
