//! Call counts and the rate limit.

use std::time::Duration;

use mock_mambu::MockOptions;
use serde_json::Value;
use tokio::io::AsyncWriteExt;

use crate::client::{MambuClient, TIMEOUT, read, request};

#[tokio::test]
async fn counts_calls_by_method_and_template() {
    let api = MambuClient::default().await;
    let holder = api.create_client("C1").await;
    api.create_loan("L1", &holder).await;
    api.create_loan("L2", &holder).await;
    api.change_state("L1", "APPROVE").await;
    api.call("GET", "/loans/L1/schedule", &Value::Null).await;
    api.call("GET", "/nowhere", &Value::Null).await;
    let stats = api.mambu.stats();
    let counted: Vec<_> = stats.by.iter().map(|one| (one.method.as_str(), one.path.as_str(), one.calls)).collect();
    assert_eq!(
        counted,
        [
            ("GET", "(unknown)", 1),
            ("GET", "/loans/{id}/schedule", 1),
            ("POST", "/clients", 1),
            ("POST", "/loans", 2),
            ("POST", "/loans/{id}:changeState", 1),
        ]
    );
    assert_eq!((stats.calls, stats.arrivals_ms.len(), stats.too_many_requests), (6, 6, 0));
    assert!(stats.arrivals_ms.is_sorted() && stats.first_ms <= stats.last_ms);
    api.mambu.clear_stats();
    assert_eq!((api.mambu.stats().calls, api.mambu.stats().first_ms), (0, None));
}

#[tokio::test]
async fn measures_the_peak_of_any_second() {
    let api = MambuClient::default().await;
    // Six calls. The first one arrives more than a second before the last two.
    for pause in [0, 400, 10, 10, 700, 10] {
        tokio::time::sleep(Duration::from_millis(pause)).await;
        api.call("GET", "/clients", &Value::Null).await;
    }
    let stats = api.mambu.stats();
    let peak = stats.arrivals_ms.iter().map(|from| {
        let within = stats.arrivals_ms.iter().filter(|at| *at >= from && **at < from + 1000.0);
        within.count() as u64
    });
    assert_eq!(Some(stats.peak_per_second), peak.max());
    assert_eq!(stats.peak_per_second, 5);
}

#[tokio::test]
async fn rejects_calls_beyond_the_rate() {
    let api = MambuClient::start(MockOptions { calls_per_second: Some(5), ..MockOptions::default() }).await;
    let mut stream = api.connect().await;
    let mut statuses = vec![];
    for number in 0..8 {
        let body = format!(r#"{{"id":"C{number}","firstName":"A","lastName":"B"}}"#);
        let request = request("POST", "/clients", "", &body);
        stream.write_all(request.as_bytes()).await.unwrap();
        let reply = read(&mut stream, TIMEOUT).await;
        assert_eq!(reply.header("retry-after"), (reply.status == 429).then_some("1"));
        statuses.push(reply.status);
    }
    assert_eq!(statuses, [201, 201, 201, 201, 201, 429, 429, 429]);
    let stats = api.mambu.stats();
    assert_eq!((stats.calls, stats.too_many_requests), (8, 3));
    assert_eq!(api.mambu.state()["clients"].as_array().unwrap().len(), 5);
    tokio::time::sleep(Duration::from_millis(1050)).await;
    assert_eq!(api.call("GET", "/clients", &Value::Null).await.status, 200);
}
