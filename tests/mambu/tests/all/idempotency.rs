//! Idempotency keys: the same request again, another one, one in work, and after its time.

use std::time::Duration;

use mock_mambu::{Fault, Kind, Options};
use serde_json::json;

use crate::client::{Caller, End, PATIENCE, Reply};

const KEY: &str = "01234567-9abc-def0-1234-56789abcdef0";

/// A client of no id of its own, so that nothing but the key stands in the way of a second.
const CLIENT: &str = r#"{"firstName":"Jana","lastName":"Nováková"}"#;

async fn send(caller: &Caller, method: &str, path: &str, key: &str, body: &str) -> Reply {
    caller.call_with(method, path, &format!("idempotency-key: {key}\r\n"), body, PATIENCE).await
}

fn clients(caller: &Caller) -> usize {
    caller.mambu.state()["clients"].as_array().unwrap().len()
}

#[tokio::test]
async fn the_same_again_and_another() {
    let caller = Caller::default().await;
    let first = send(&caller, "POST", "/clients", KEY, CLIENT).await;
    let again = send(&caller, "POST", "/clients", KEY, CLIENT).await;
    assert_eq!((first.status, again.status), (201, 201));
    assert_eq!(first.text, again.text);
    let replayed = [&first, &again].map(|reply| reply.header("x-idempotent-replayed"));
    assert_eq!((replayed, clients(&caller)), ([None, Some("true")], 1));
    for (path, body) in [("/clients", CLIENT.replace("Jana", "Eva")), ("/deposits", CLIENT.to_owned())] {
        let other = send(&caller, "POST", path, KEY, &body).await;
        let told = (other.status, other.reason());
        assert_eq!(told, (400, "IDEMPOTENCY_KEY_USED_WITH_ANOTHER_REQUEST".to_owned()));
    }
    let wrong = send(&caller, "POST", "/clients", "no-uuid", CLIENT).await;
    assert_eq!((wrong.status, wrong.reason().as_str()), (400, "INVALID_IDEMPOTENCY_KEY"));
    assert_eq!(clients(&caller), 1);
    // Of no consequence but to a POST.
    assert_eq!(send(&caller, "GET", "/clients", KEY, "").await.status, 200);
}

#[tokio::test]
async fn what_was_refused_is_not_kept() {
    let caller = Caller::default().await;
    let refused = send(&caller, "POST", "/clients", KEY, r#"{"firstName":"Jana"}"#).await;
    assert_eq!(refused.status, 400);
    assert_eq!(send(&caller, "POST", "/clients", KEY, CLIENT).await.status, 201, "put right, under the same key");
}

#[tokio::test]
async fn after_its_time_it_is_done_again() {
    let options = Options { idempotency: Duration::from_millis(100), ..Options::default() };
    let caller = Caller::start(options).await;
    send(&caller, "POST", "/clients", KEY, CLIENT).await;
    tokio::time::sleep(Duration::from_millis(150)).await;
    let again = send(&caller, "POST", "/clients", KEY, CLIENT).await;
    assert_eq!((again.header("x-idempotent-replayed"), clients(&caller)), (None, 2));
}

#[tokio::test]
async fn in_work_answers_102_and_nothing_else() {
    for close in [true, false] {
        let caller = Caller::start(Options { close_after_processing: close, ..Options::default() }).await;
        caller.mambu.order(Fault::nth("POST", "/clients", 1, Kind::Slow(500)));
        let (first, second) = tokio::join!(send(&caller, "POST", "/clients", KEY, CLIENT), async {
            tokio::time::sleep(Duration::from_millis(150)).await;
            send(&caller, "POST", "/clients", KEY, CLIENT).await
        });
        assert_eq!((first.status, second.status, second.end), (201, 102, End::Answered));
        assert_eq!(send(&caller, "POST", "/clients", KEY, CLIENT).await.text, first.text);
        assert_eq!(clients(&caller), 1);
    }
}

#[tokio::test]
async fn a_transaction_whose_answer_was_lost_is_posted_once() {
    let caller = Caller::default().await;
    let holder = caller.client("C1").await;
    caller.loan("L1", &holder).await;
    caller.run("L1").await;
    caller.mambu.order(Fault::nth("POST", "/loans/{id}/repayment-transactions", 1, Kind::LostAnswer));
    let body = json!({"amount": "10.00"}).to_string();
    let lost = send(&caller, "POST", "/loans/L1/repayment-transactions", KEY, &body).await;
    assert_eq!((lost.end, lost.status), (End::Closed, 0));
    assert_eq!(send(&caller, "POST", "/loans/L1/repayment-transactions", KEY, &body).await.status, 201);
    assert_eq!(caller.seen("L1")["transactions"].as_array().unwrap().len(), 2);
}
