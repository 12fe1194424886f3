//! Idempotency keys: replay, conflict, call in progress, expiry.

use std::time::Duration;

use mock_mambu::{FaultKind, FaultRule, MockOptions};
use serde_json::json;

use crate::client::{End, MambuClient, Reply, TIMEOUT};

const KEY: &str = "01234567-9abc-def0-1234-56789abcdef0";

/// A client without an id. Only the idempotency key prevents a second one.
const CLIENT: &str = r#"{"firstName":"Jana","lastName":"Nováková"}"#;

async fn send(api: &MambuClient, method: &str, path: &str, key: &str, body: &str) -> Reply {
    api.call_with(method, path, &format!("idempotency-key: {key}\r\n"), body, TIMEOUT).await
}

fn clients(api: &MambuClient) -> usize {
    api.mambu.state()["clients"].as_array().unwrap().len()
}

#[tokio::test]
async fn replays_the_same_request_and_rejects_another() {
    let api = MambuClient::default().await;
    let first = send(&api, "POST", "/clients", KEY, CLIENT).await;
    let again = send(&api, "POST", "/clients", KEY, CLIENT).await;
    assert_eq!((first.status, again.status), (201, 201));
    assert_eq!(first.text, again.text);
    let replayed = [&first, &again].map(|reply| reply.header("x-idempotent-replayed"));
    assert_eq!((replayed, clients(&api)), ([None, Some("true")], 1));
    for (path, body) in [("/clients", CLIENT.replace("Jana", "Eva")), ("/deposits", CLIENT.to_owned())] {
        let other = send(&api, "POST", path, KEY, &body).await;
        let rejection = (other.status, other.reason());
        assert_eq!(rejection, (400, "IDEMPOTENCY_KEY_USED_WITH_ANOTHER_REQUEST".to_owned()));
    }
    let wrong = send(&api, "POST", "/clients", "no-uuid", CLIENT).await;
    assert_eq!((wrong.status, wrong.reason().as_str()), (400, "INVALID_IDEMPOTENCY_KEY"));
    assert_eq!(clients(&api), 1);
    // Only a POST uses the key.
    assert_eq!(send(&api, "GET", "/clients", KEY, "").await.status, 200);
}

#[tokio::test]
async fn forgets_the_key_of_a_rejected_request() {
    let api = MambuClient::default().await;
    let rejected = send(&api, "POST", "/clients", KEY, r#"{"firstName":"Jana"}"#).await;
    assert_eq!(rejected.status, 400);
    assert_eq!(send(&api, "POST", "/clients", KEY, CLIENT).await.status, 201, "corrected, with the same key");
}

#[tokio::test]
async fn executes_the_request_again_after_the_key_expires() {
    let options = MockOptions { idempotency: Duration::from_millis(100), ..MockOptions::default() };
    let api = MambuClient::start(options).await;
    send(&api, "POST", "/clients", KEY, CLIENT).await;
    tokio::time::sleep(Duration::from_millis(150)).await;
    let again = send(&api, "POST", "/clients", KEY, CLIENT).await;
    assert_eq!((again.header("x-idempotent-replayed"), clients(&api)), (None, 2));
}

#[tokio::test]
async fn answers_102_while_the_first_request_is_in_progress() {
    for close in [true, false] {
        let api = MambuClient::start(MockOptions { close_after_processing: close, ..MockOptions::default() }).await;
        api.mambu.order(FaultRule::nth("POST", "/clients", 1, FaultKind::Slow(500)));
        let (first, second) = tokio::join!(send(&api, "POST", "/clients", KEY, CLIENT), async {
            tokio::time::sleep(Duration::from_millis(150)).await;
            send(&api, "POST", "/clients", KEY, CLIENT).await
        });
        assert_eq!((first.status, second.status, second.end), (201, 102, End::Answered));
        assert_eq!(send(&api, "POST", "/clients", KEY, CLIENT).await.text, first.text);
        assert_eq!(clients(&api), 1);
    }
}

#[tokio::test]
async fn posts_a_transaction_once_if_the_response_is_lost() {
    let api = MambuClient::default().await;
    let holder = api.create_client("C1").await;
    api.create_loan("L1", &holder).await;
    api.activate("L1").await;
    api.mambu.order(FaultRule::nth("POST", "/loans/{id}/repayment-transactions", 1, FaultKind::LostAnswer));
    let body = json!({"amount": "10.00"}).to_string();
    let lost = send(&api, "POST", "/loans/L1/repayment-transactions", KEY, &body).await;
    assert_eq!((lost.end, lost.status), (End::Closed, 0));
    assert_eq!(send(&api, "POST", "/loans/L1/repayment-transactions", KEY, &body).await.status, 201);
    assert_eq!(api.loan_state("L1")["transactions"].as_array().unwrap().len(), 2);
}
