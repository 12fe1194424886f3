//! The whole life of a loan, with exact figures.

use mock_mambu::FEE_KEY;
use serde_json::{Value, json};

use crate::client::{Caller, PATIENCE, day, installment};

/// Principal, interest and fee of each installment as they are expected, and what of each is paid.
fn parts(loan: &Value) -> Vec<[String; 6]> {
    let part = |one: &Value, name: &str, of: &str| one[name]["amount"][of].as_str().unwrap().to_owned();
    let installments = loan["schedule"].as_array().unwrap().iter();
    installments
        .map(|one| {
            let of = |name| part(one, name, "expected");
            let paid = |name| part(one, name, "paid");
            [of("principal"), of("interest"), of("fee"), paid("principal"), paid("interest"), paid("fee")]
        })
        .collect()
}

fn balances(loan: &Value) -> [&str; 6] {
    ["principalBalance", "principalPaid", "interestBalance", "interestPaid", "feesBalance", "feesPaid"]
        .map(|name| loan["balances"][name].as_str().unwrap())
}

#[tokio::test]
async fn from_a_client_to_the_last_repayment() {
    let caller = Caller::default().await;
    let holder = caller.client("C1").await;
    assert_eq!(holder.len(), 32);
    let deposit = caller.done("/deposits", &json!({"id": "D1", "accountHolderKey": holder, "name": "current"})).await;
    let made = caller.loan("L1", &holder).await;
    assert_eq!((&made["accountState"], &made["accountHolderKey"]), (&json!("PENDING_APPROVAL"), &json!(holder)));
    assert_eq!(caller.get("/clients/C1").await["state"], "INACTIVE");
    let seen = caller.seen("L1");
    assert_eq!(
        parts(&seen),
        [
            ["333.33", "10.00", "0", "0", "0", "0"],
            ["333.33", "6.67", "0", "0", "0", "0"],
            ["333.34", "3.33", "0", "0", "0", "0"]
        ]
    );
    let due: Vec<&Value> = seen["schedule"].as_array().unwrap().iter().map(|one| &one["dueDate"]).collect();
    assert_eq!(due, [&day("2020-02-29"), &day("2020-03-29"), &day("2020-04-29")]);

    let schedule = json!([installment("2020-03-01", "400.10", "12.345"), installment("2020-06-30", "599.90", "0.005")]);
    let set = caller.call("PUT", "/loans/L1/schedule", &schedule).await;
    assert_eq!(set.status, 200, "{set:?}");
    let shown = caller.call("GET", "/loans/L1/schedule", &Value::Null).await;
    assert_eq!(shown.json(), set.json());
    // Numbers, with all their digits.
    assert!(shown.text.contains(r#""interest":{"amount":{"expected":12.345,"due":12.345,"paid":0}}"#), "{shown:?}");
    // What is shown can be sent back.
    let again = caller.call_with("PUT", "/loans/L1/schedule", "", &set.text, PATIENCE).await;
    assert_eq!(again.text, set.text);

    let link = json!([{"op": "ADD", "path": "/settlementAccountKey", "value": deposit["encodedKey"]}]);
    let linked = caller.call("PATCH", "/loans/L1", &link).await;
    assert_eq!((linked.status, linked.text.as_str()), (204, ""));
    assert_eq!(caller.call("PATCH", "/loans/L1", &link).await.reason(), "ACCOUNT_ALREADY_LINKED");

    assert_eq!(caller.act("L1", "APPROVE").await["accountState"], "APPROVED");
    let body = json!({"valueDate": day("2020-01-31"), "firstRepaymentDate": day("2020-02-15"), "externalId": "out"});
    let out = caller.done("/loans/L1/disbursement-transactions", &body).await;
    assert_eq!((&out["type"], &out["externalId"]), (&json!("DISBURSEMENT"), &json!("out")));
    let seen = caller.seen("L1");
    assert_eq!(seen["accountState"], "ACTIVE");
    assert_eq!(seen["settlementAccountKey"], deposit["encodedKey"]);
    assert_eq!(seen["schedule"][0]["dueDate"], day("2020-03-01"), "it was edited, and stays");
    assert_eq!(balances(&seen), ["1000.00", "0", "12.350", "0", "0", "0"]);
    assert_eq!(seen["balances"]["principalDue"], "1000.00");
    assert_eq!(caller.get("/clients/C1").await["state"], "ACTIVE");

    let fee = json!({"amount": 25.5, "installmentNumber": 2, "predefinedFeeKey": FEE_KEY, "externalId": "fee",
        "valueDate": day("2020-02-01")});
    assert_eq!(caller.done("/loans/L1/fee-transactions", &fee).await["type"], "FEE_APPLIED");
    // All of the first installment, and of the second the fee and half a cent of interest.
    let first = r#"{"amount": 437.9475, "valueDate": "2020-03-01T00:00:00+00:00", "externalId": "back-1"}"#;
    let back = caller.post("/loans/L1/repayment-transactions", first).await;
    assert!(back.text.contains(r#""amount":437.9475"#), "{back:?}");
    let seen = caller.seen("L1");
    assert_eq!(
        parts(&seen),
        [["400.10", "12.345", "0", "400.10", "12.345", "0"], ["599.90", "0.005", "25.5", "0", "0.0025", "25.5"]]
    );
    let states: Vec<&Value> = seen["schedule"].as_array().unwrap().iter().map(|one| &one["state"]).collect();
    assert_eq!(states, ["PAID", "PARTIALLY_PAID"]);
    assert_eq!(balances(&seen)[0], "599.90");
    assert_eq!(seen["transactions"][2]["affectedAmounts"]["principalAmount"], "400.10");

    let rest = json!({"amount": "599.9025", "valueDate": day("2020-06-30"), "externalId": "back-2"});
    caller.done("/loans/L1/repayment-transactions", &rest).await;
    let seen = caller.seen("L1");
    assert_eq!((&seen["accountState"], &seen["accountSubState"]), (&json!("CLOSED"), &json!("REPAID")));
    assert_eq!(balances(&seen), ["0.00", "1000.00", "0", "12.3500", "0", "25.5"]);
    assert!(seen["closedDate"].is_string());
    assert_eq!(caller.get("/clients/C1").await["state"], "INACTIVE");
    let kinds: Vec<Value> = caller.get("/loans/L1/transactions").await.as_array().unwrap().clone();
    let kinds: Vec<&Value> = kinds.iter().map(|one| &one["type"]).collect();
    assert_eq!(kinds, ["DISBURSEMENT", "FEE_APPLIED", "REPAYMENT", "REPAYMENT"]);
}

#[tokio::test]
async fn in_tranches_and_with_dates_that_follow() {
    let caller = Caller::default().await;
    let holder = caller.client("C1").await;
    caller.loan("L1", &holder).await;
    caller.act("L1", "APPROVE").await;
    let first = json!({"amount": "400", "valueDate": day("2020-01-31"), "firstRepaymentDate": day("2020-03-31")});
    caller.done("/loans/L1/disbursement-transactions", &first).await;
    let seen = caller.seen("L1");
    assert_eq!(seen["accountSubState"], "PARTIALLY_DISBURSED");
    let due: Vec<&Value> = seen["schedule"].as_array().unwrap().iter().map(|one| &one["dueDate"]).collect();
    assert_eq!(due, [&day("2020-03-31"), &day("2020-04-30"), &day("2020-05-31")]);
    // Only what is paid out can be paid back: 400 and all interest.
    let body = json!({"amount": "420.01", "valueDate": day("2020-03-31")});
    assert_eq!(caller.call("POST", "/loans/L1/repayment-transactions", &body).await.reason(), "EXCESS_REPAYMENT_ERROR");
    caller.done("/loans/L1/repayment-transactions", &json!({"amount": 420, "valueDate": day("2020-03-31")})).await;
    assert_eq!(caller.seen("L1")["accountState"], "ACTIVE");
    caller.done("/loans/L1/disbursement-transactions", &json!({"valueDate": day("2020-02-01")})).await;
    let seen = caller.seen("L1");
    assert_eq!((balances(&seen)[0], seen["accountSubState"].is_null()), ("600.00", true));
}

#[tokio::test]
async fn what_is_refused_and_withdrawn_can_be_brought_back() {
    let caller = Caller::default().await;
    let holder = caller.client("C1").await;
    caller.loan("L1", &holder).await;
    for (action, state, sub_state) in [
        ("REJECT", "CLOSED", Some("REJECTED")),
        ("UNDO_REJECT", "PENDING_APPROVAL", None),
        ("APPROVE", "APPROVED", None),
        ("UNDO_APPROVE", "PENDING_APPROVAL", None),
        ("WITHDRAW", "CLOSED", Some("WITHDRAWN")),
        ("UNDO_WITHDRAW", "PENDING_APPROVAL", None),
    ] {
        let loan = caller.act("L1", action).await;
        assert_eq!((loan["accountState"].as_str(), loan["accountSubState"].as_str()), (Some(state), sub_state));
    }
}
