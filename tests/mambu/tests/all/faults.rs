//! Fault injection: for every kind of fault, the response and the effect on the state.

use std::time::{Duration, Instant};

use mock_mambu::{FaultKind, FaultRule};
use serde_json::json;

use crate::client::{End, MambuClient, TIMEOUT};

const CLIENT: &str = r#"{"id":"C1","firstName":"Jana","lastName":"Nováková"}"#;

fn client_exists(api: &MambuClient) -> bool {
    !api.mambu.state()["clients"].as_array().unwrap().is_empty()
}

#[tokio::test]
async fn injects_every_fault_kind() {
    let reason = "SOMETHING_ELSE".to_owned();
    // Fault, end of the call, status, true if the call was executed, expected header.
    let cases: Vec<(FaultKind, End, u16, bool, &str)> = vec![
        (FaultKind::ErrorBefore(503), End::Answered, 503, false, ""),
        (FaultKind::ErrorAfter(502), End::Answered, 502, true, ""),
        (FaultKind::LostAnswer, End::Closed, 0, true, ""),
        (FaultKind::ResetBefore, End::Reset, 0, false, ""),
        (FaultKind::CutAnswer, End::Closed, 201, true, ""),
        (FaultKind::Slow(50), End::Answered, 201, true, ""),
        (FaultKind::SlowAnswer(50), End::Answered, 201, true, ""),
        (FaultKind::Stall, End::TimedOut, 0, true, ""),
        (FaultKind::TooManyRequests(7), End::Answered, 429, false, "retry-after: 7"),
        (FaultKind::Processing, End::Answered, 102, false, ""),
        (FaultKind::Refuse { status: 400, code: 77, reason }, End::Answered, 400, false, ""),
        (
            FaultKind::Redirect("https://elsewhere.example/".into()),
            End::Answered,
            302,
            false,
            "location: https://elsewhere.example/",
        ),
        (FaultKind::Restart { ms: 20, committed: false }, End::Reset, 0, false, ""),
        (FaultKind::Restart { ms: 20, committed: true }, End::Reset, 0, true, ""),
    ];
    for (kind, end, status, was_executed, header) in cases {
        let api = MambuClient::default().await;
        api.mambu.order(FaultRule::nth("POST", "/clients", 1, kind.clone()));
        let timeout = if kind == FaultKind::Stall { Duration::from_millis(300) } else { TIMEOUT };
        let reply = api.call_with("POST", "/clients", "", CLIENT, timeout).await;
        assert_eq!((reply.end, reply.status), (end, status), "{kind:?}: {reply:?}");
        assert_eq!(client_exists(&api), was_executed, "{kind:?}");
        assert!(reply.head.contains(header), "{kind:?}: {reply:?}");
        let rule = &api.mambu.faults()[0];
        assert_eq!((rule.matched, rule.struck), (1, 1), "{kind:?}");
        // The rule applies once. The next call is executed.
        tokio::time::sleep(Duration::from_millis(30)).await;
        let next = api.post("/clients", CLIENT).await;
        let expected = if was_executed { (400, "CLIENT_ID_ALREADY_IN_USE") } else { (201, "") };
        assert_eq!((next.status, next.reason().as_str()), expected, "{kind:?}");
    }
}

#[tokio::test]
async fn applies_a_rule_to_the_nth_or_every_nth_call() {
    let api = MambuClient::default().await;
    api.mambu.order(FaultRule::nth("POST", "/clients", 2, FaultKind::ErrorBefore(500)));
    api.mambu.order(FaultRule::every("*", "*", 3, FaultKind::ErrorBefore(503)));
    let mut statuses = vec![];
    for _ in 0..7 {
        statuses.push(api.post("/clients", r#"{"firstName":"Jana","lastName":"Nováková"}"#).await.status);
    }
    assert_eq!(statuses, [201, 500, 503, 201, 201, 503, 201]);
    assert_eq!(api.call("GET", "/clients", &json!(null)).await.status, 200, "the eighth call is no multiple of three");
    api.mambu.clear_faults();
    assert!(api.mambu.faults().is_empty());
    assert_eq!(api.call("GET", "/clients", &json!(null)).await.status, 200);
}

#[tokio::test]
async fn executes_a_slow_call_after_the_client_disconnects() {
    let api = MambuClient::default().await;
    api.mambu.order(FaultRule::nth("POST", "/clients", 1, FaultKind::Slow(300)));
    let reply = api.call_with("POST", "/clients", "", CLIENT, Duration::from_millis(50)).await;
    assert_eq!((reply.end, client_exists(&api)), (End::TimedOut, false));
    let given_up = Instant::now();
    while !client_exists(&api) {
        assert!(given_up.elapsed() < TIMEOUT, "the call is never executed");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn restart_keeps_state_and_drops_calls_in_progress() {
    let api = MambuClient::default().await;
    api.create_client("C0").await;
    api.mambu.order(FaultRule::nth("POST", "/clients", 1, FaultKind::Slow(10_000)));
    api.mambu.order(FaultRule::nth("GET", "/clients", 1, FaultKind::Restart { ms: 200, committed: false }));
    let key = "idempotency-key: 01234567-9abc-def0-1234-56789abcdef0\r\n";
    let (in_progress, restarted) = tokio::join!(api.call_with("POST", "/clients", key, CLIENT, TIMEOUT), async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let restarted = api.call("GET", "/clients", &json!(null)).await;
        let down = api.call("GET", "/clients", &json!(null)).await;
        (restarted.end, down.end)
    });
    assert_eq!(in_progress.end, End::Reset);
    assert_eq!(restarted, (End::Reset, End::Reset));
    tokio::time::sleep(Duration::from_millis(250)).await;
    let clients = api.get("/clients").await;
    assert_eq!(clients.as_array().unwrap().len(), 1, "a call in progress is not executed: {clients}");
    let again = api.call_with("POST", "/clients", key, CLIENT, TIMEOUT).await;
    assert_eq!((again.status, again.header("x-idempotent-replayed")), (201, None), "its idempotency key is free");
    assert_eq!(api.mambu.stats().of("GET", "/clients"), 2, "a reset connection is not counted");
}
