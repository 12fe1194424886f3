//! Every fault that can be ordered: what the caller sees, and whether it was done.

use std::time::{Duration, Instant};

use mock_mambu::{Fault, Kind};
use serde_json::json;

use crate::client::{Caller, End, PATIENCE};

const CLIENT: &str = r#"{"id":"C1","firstName":"Jana","lastName":"Nováková"}"#;

fn done(caller: &Caller) -> bool {
    !caller.mambu.state()["clients"].as_array().unwrap().is_empty()
}

#[tokio::test]
async fn every_kind() {
    let reason = "SOMETHING_ELSE".to_owned();
    // What is ordered, the end that the caller sees, its status, whether it was done, and a header.
    let cases: Vec<(Kind, End, u16, bool, &str)> = vec![
        (Kind::ErrorBefore(503), End::Answered, 503, false, ""),
        (Kind::ErrorAfter(502), End::Answered, 502, true, ""),
        (Kind::LostAnswer, End::Closed, 0, true, ""),
        (Kind::ResetBefore, End::Reset, 0, false, ""),
        (Kind::CutAnswer, End::Closed, 201, true, ""),
        (Kind::Slow(50), End::Answered, 201, true, ""),
        (Kind::SlowAnswer(50), End::Answered, 201, true, ""),
        (Kind::Stall, End::TimedOut, 0, true, ""),
        (Kind::TooManyRequests(7), End::Answered, 429, false, "retry-after: 7"),
        (Kind::Processing, End::Answered, 102, false, ""),
        (Kind::Refuse { status: 400, code: 77, reason }, End::Answered, 400, false, ""),
        (
            Kind::Redirect("https://elsewhere.example/".into()),
            End::Answered,
            302,
            false,
            "location: https://elsewhere.example/",
        ),
        (Kind::Restart { ms: 20, committed: false }, End::Reset, 0, false, ""),
        (Kind::Restart { ms: 20, committed: true }, End::Reset, 0, true, ""),
    ];
    for (kind, end, status, was_done, header) in cases {
        let caller = Caller::default().await;
        caller.mambu.order(Fault::nth("POST", "/clients", 1, kind.clone()));
        let patience = if kind == Kind::Stall { Duration::from_millis(300) } else { PATIENCE };
        let reply = caller.call_with("POST", "/clients", "", CLIENT, patience).await;
        assert_eq!((reply.end, reply.status), (end, status), "{kind:?}: {reply:?}");
        assert_eq!(done(&caller), was_done, "{kind:?}");
        assert!(reply.head.contains(header), "{kind:?}: {reply:?}");
        let ordered = &caller.mambu.faults()[0];
        assert_eq!((ordered.matched, ordered.struck), (1, 1), "{kind:?}");
        // It struck once: the next call is served.
        tokio::time::sleep(Duration::from_millis(30)).await;
        let next = caller.post("/clients", CLIENT).await;
        let expected = if was_done { (400, "CLIENT_ID_ALREADY_IN_USE") } else { (201, "") };
        assert_eq!((next.status, next.reason().as_str()), expected, "{kind:?}");
    }
}

#[tokio::test]
async fn which_call_is_struck() {
    let caller = Caller::default().await;
    caller.mambu.order(Fault::nth("POST", "/clients", 2, Kind::ErrorBefore(500)));
    caller.mambu.order(Fault::every("*", "*", 3, Kind::ErrorBefore(503)));
    let mut statuses = vec![];
    for _ in 0..7 {
        statuses.push(caller.post("/clients", r#"{"firstName":"Jana","lastName":"Nováková"}"#).await.status);
    }
    assert_eq!(statuses, [201, 500, 503, 201, 201, 503, 201]);
    assert_eq!(caller.call("GET", "/clients", &json!(null)).await.status, 200, "not the ninth yet");
    caller.mambu.clear_faults();
    assert!(caller.mambu.faults().is_empty());
    assert_eq!(caller.call("GET", "/clients", &json!(null)).await.status, 200);
}

#[tokio::test]
async fn what_is_slow_is_done_though_nobody_waits() {
    let caller = Caller::default().await;
    caller.mambu.order(Fault::nth("POST", "/clients", 1, Kind::Slow(300)));
    let reply = caller.call_with("POST", "/clients", "", CLIENT, Duration::from_millis(50)).await;
    assert_eq!((reply.end, done(&caller)), (End::TimedOut, false));
    let given_up = Instant::now();
    while !done(&caller) {
        assert!(given_up.elapsed() < PATIENCE, "never done");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_restart_ends_everything_but_what_is_known() {
    let caller = Caller::default().await;
    caller.client("C0").await;
    caller.mambu.order(Fault::nth("POST", "/clients", 1, Kind::Slow(10_000)));
    caller.mambu.order(Fault::nth("GET", "/clients", 1, Kind::Restart { ms: 200, committed: false }));
    let key = "idempotency-key: 01234567-9abc-def0-1234-56789abcdef0\r\n";
    let (in_work, restarted) = tokio::join!(caller.call_with("POST", "/clients", key, CLIENT, PATIENCE), async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let restarted = caller.call("GET", "/clients", &json!(null)).await;
        let down = caller.call("GET", "/clients", &json!(null)).await;
        (restarted.end, down.end)
    });
    assert_eq!(in_work.end, End::Reset);
    assert_eq!(restarted, (End::Reset, End::Reset));
    tokio::time::sleep(Duration::from_millis(250)).await;
    let clients = caller.get("/clients").await;
    assert_eq!(clients.as_array().unwrap().len(), 1, "what was in work is not done: {clients}");
    let again = caller.call_with("POST", "/clients", key, CLIENT, PATIENCE).await;
    assert_eq!((again.status, again.header("x-idempotent-replayed")), (201, None), "its key is free");
    assert_eq!(caller.mambu.stats().of("GET", "/clients"), 2, "what was not let in was not seen");
}
