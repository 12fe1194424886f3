//! Lifecycle of a loan, with exact amounts.

use mock_mambu::FEE_KEY;
use serde_json::{Value, json};

use crate::client::{MambuClient, TIMEOUT, day, installment};

/// Returns for each installment the expected and then the paid amounts of principal, interest and fee.
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
async fn closes_a_loan_with_the_last_repayment() {
    let api = MambuClient::default().await;
    let holder = api.create_client("C1").await;
    assert_eq!(holder.len(), 32);
    let deposit = api.post_ok("/deposits", &json!({"id": "D1", "accountHolderKey": holder, "name": "current"})).await;
    let made = api.create_loan("L1", &holder).await;
    assert_eq!((&made["accountState"], &made["accountHolderKey"]), (&json!("PENDING_APPROVAL"), &json!(holder)));
    assert_eq!(api.get("/clients/C1").await["state"], "INACTIVE");
    let seen = api.loan_state("L1");
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
    let set = api.call("PUT", "/loans/L1/schedule", &schedule).await;
    assert_eq!(set.status, 200, "{set:?}");
    let shown = api.call("GET", "/loans/L1/schedule", &Value::Null).await;
    assert_eq!(shown.json(), set.json());
    // Numbers keep all their digits.
    assert!(shown.text.contains(r#""interest":{"amount":{"expected":12.345,"due":12.345,"paid":0}}"#), "{shown:?}");
    // The server accepts the schedule that it returned.
    let again = api.call_with("PUT", "/loans/L1/schedule", "", &set.text, TIMEOUT).await;
    assert_eq!(again.text, set.text);

    let link = json!([{"op": "ADD", "path": "/settlementAccountKey", "value": deposit["encodedKey"]}]);
    let linked = api.call("PATCH", "/loans/L1", &link).await;
    assert_eq!((linked.status, linked.text.as_str()), (204, ""));
    assert_eq!(api.call("PATCH", "/loans/L1", &link).await.reason(), "ACCOUNT_ALREADY_LINKED");

    assert_eq!(api.change_state("L1", "APPROVE").await["accountState"], "APPROVED");
    let body = json!({"valueDate": day("2020-01-31"), "firstRepaymentDate": day("2020-02-15"), "externalId": "out"});
    let out = api.post_ok("/loans/L1/disbursement-transactions", &body).await;
    assert_eq!((&out["type"], &out["externalId"]), (&json!("DISBURSEMENT"), &json!("out")));
    let seen = api.loan_state("L1");
    assert_eq!(seen["accountState"], "ACTIVE");
    assert_eq!(seen["settlementAccountKey"], deposit["encodedKey"]);
    assert_eq!(seen["schedule"][0]["dueDate"], day("2020-03-01"), "a custom schedule does not change");
    assert_eq!(balances(&seen), ["1000.00", "0", "12.350", "0", "0", "0"]);
    assert_eq!(seen["balances"]["principalDue"], "1000.00");
    assert_eq!(api.get("/clients/C1").await["state"], "ACTIVE");

    let fee = json!({"amount": 25.5, "installmentNumber": 2, "predefinedFeeKey": FEE_KEY, "externalId": "fee",
        "valueDate": day("2020-02-01")});
    assert_eq!(api.post_ok("/loans/L1/fee-transactions", &fee).await["type"], "FEE_APPLIED");
    // Pays the first installment, and the fee and a quarter of a cent of interest of the second.
    let first = r#"{"amount": 437.9475, "valueDate": "2020-03-01T00:00:00+00:00", "externalId": "back-1"}"#;
    let back = api.post("/loans/L1/repayment-transactions", first).await;
    assert!(back.text.contains(r#""amount":437.9475"#), "{back:?}");
    let seen = api.loan_state("L1");
    assert_eq!(
        parts(&seen),
        [["400.10", "12.345", "0", "400.10", "12.345", "0"], ["599.90", "0.005", "25.5", "0", "0.0025", "25.5"]]
    );
    let states: Vec<&Value> = seen["schedule"].as_array().unwrap().iter().map(|one| &one["state"]).collect();
    assert_eq!(states, ["PAID", "PARTIALLY_PAID"]);
    assert_eq!(balances(&seen)[0], "599.90");
    assert_eq!(seen["transactions"][2]["affectedAmounts"]["principalAmount"], "400.10");

    let rest = json!({"amount": "599.9025", "valueDate": day("2020-06-30"), "externalId": "back-2"});
    api.post_ok("/loans/L1/repayment-transactions", &rest).await;
    let seen = api.loan_state("L1");
    assert_eq!((&seen["accountState"], &seen["accountSubState"]), (&json!("CLOSED"), &json!("REPAID")));
    assert_eq!(balances(&seen), ["0.00", "1000.00", "0", "12.3500", "0", "25.5"]);
    assert!(seen["closedDate"].is_string());
    assert_eq!(api.get("/clients/C1").await["state"], "INACTIVE");
    let kinds: Vec<Value> = api.get("/loans/L1/transactions").await.as_array().unwrap().clone();
    let kinds: Vec<&Value> = kinds.iter().map(|one| &one["type"]).collect();
    assert_eq!(kinds, ["DISBURSEMENT", "FEE_APPLIED", "REPAYMENT", "REPAYMENT"]);
}

#[tokio::test]
async fn disburses_in_tranches_and_moves_due_dates() {
    let api = MambuClient::default().await;
    let holder = api.create_client("C1").await;
    api.create_loan("L1", &holder).await;
    api.change_state("L1", "APPROVE").await;
    let first = json!({"amount": "400", "valueDate": day("2020-01-31"), "firstRepaymentDate": day("2020-03-31")});
    api.post_ok("/loans/L1/disbursement-transactions", &first).await;
    let seen = api.loan_state("L1");
    assert_eq!(seen["accountSubState"], "PARTIALLY_DISBURSED");
    let due: Vec<&Value> = seen["schedule"].as_array().unwrap().iter().map(|one| &one["dueDate"]).collect();
    assert_eq!(due, [&day("2020-03-31"), &day("2020-04-30"), &day("2020-05-31")]);
    // Only disbursed principal can be repaid: 400 and all interest.
    let body = json!({"amount": "420.01", "valueDate": day("2020-03-31")});
    assert_eq!(api.call("POST", "/loans/L1/repayment-transactions", &body).await.reason(), "EXCESS_REPAYMENT_ERROR");
    api.post_ok("/loans/L1/repayment-transactions", &json!({"amount": 420, "valueDate": day("2020-03-31")})).await;
    assert_eq!(api.loan_state("L1")["accountState"], "ACTIVE");
    api.post_ok("/loans/L1/disbursement-transactions", &json!({"valueDate": day("2020-02-01")})).await;
    let seen = api.loan_state("L1");
    assert_eq!((balances(&seen)[0], seen["accountSubState"].is_null()), ("600.00", true));
}

#[tokio::test]
async fn undoes_rejection_approval_and_withdrawal() {
    let api = MambuClient::default().await;
    let holder = api.create_client("C1").await;
    api.create_loan("L1", &holder).await;
    for (action, state, sub_state) in [
        ("REJECT", "CLOSED", Some("REJECTED")),
        ("UNDO_REJECT", "PENDING_APPROVAL", None),
        ("APPROVE", "APPROVED", None),
        ("UNDO_APPROVE", "PENDING_APPROVAL", None),
        ("WITHDRAW", "CLOSED", Some("WITHDRAWN")),
        ("UNDO_WITHDRAW", "PENDING_APPROVAL", None),
    ] {
        let loan = api.change_state("L1", action).await;
        assert_eq!((loan["accountState"].as_str(), loan["accountSubState"].as_str()), (Some(state), sub_state));
    }
}
