//! What an import made is undone in reverse order, until nothing is left.

use mock_mambu::FEE_KEY;
use serde_json::{Value, json};

use crate::client::{Caller, day};

#[tokio::test]
async fn in_reverse_order() {
    let caller = Caller::default().await;
    let holder = caller.client("C1").await;
    caller.loan("L1", &holder).await;
    caller.run("L1").await;
    let running = caller.seen("L1");
    let fee = json!({"amount": "5", "predefinedFeeKey": FEE_KEY, "valueDate": day("2020-02-01"), "externalId": "fee"});
    caller.done("/loans/L1/fee-transactions", &fee).await;
    for (amount, external) in [("100", "one"), ("925.00", "two")] {
        let body = json!({"amount": amount, "valueDate": day("2020-03-01"), "externalId": external});
        caller.done("/loans/L1/repayment-transactions", &body).await;
    }
    assert_eq!(caller.seen("L1")["accountState"], "CLOSED");
    let transactions = caller.seen("L1")["transactions"].as_array().unwrap().clone();
    let keys: Vec<&str> = transactions.iter().map(|one| one["encodedKey"].as_str().unwrap()).collect();
    for (i, key) in keys.iter().enumerate().rev() {
        for earlier in &keys[..i] {
            let reply = caller.call("POST", &format!("/loans/transactions/{earlier}:adjust"), &json!({})).await;
            assert_eq!(reply.reason(), "NOT_ADJUSTED_TRANSACTION_LOGGED_AFTER_CURRENT_ONE");
        }
        let path = format!("/loans/transactions/{key}:adjust");
        let undone = caller.done(&path, &json!({"notes": "undone"})).await;
        assert_eq!(undone["originalTransactionKey"], *key);
        assert_eq!(undone["type"], ["DISBURSEMENT", "FEE", "REPAYMENT", "REPAYMENT"][i].to_owned() + "_ADJUSTMENT");
        let original = caller.get(&format!("/loans/transactions/{key}")).await;
        assert_eq!(original["adjustmentTransactionKey"], undone["encodedKey"]);
        assert_eq!(caller.call("POST", &path, &json!({})).await.reason(), "TRANSACTION_ALREADY_ADJUSTED");
        let back = format!("/loans/transactions/{}:adjust", undone["id"].as_str().unwrap());
        let refused = caller.call("POST", &back, &json!({})).await;
        assert_eq!(refused.reason(), "TRANSACTION_TYPE_DOES_NOT_ALLOW_ADJUSTMENT");
        let seen = caller.seen("L1");
        assert_eq!(seen["accountState"], if i == 0 { "APPROVED" } else { "ACTIVE" });
        if i == 1 {
            // Everything but the disbursement is undone: as it was when it was paid out.
            let amounts = |loan: &Value| {
                let parts = loan["schedule"].as_array().unwrap().iter();
                let due = |one: &Value| {
                    ["principal", "interest", "fee"]
                        .map(|part| one[part]["amount"]["due"].as_str().unwrap().parse::<f64>())
                };
                parts.map(due).collect::<Vec<_>>()
            };
            assert_eq!(amounts(&seen), amounts(&running));
            assert!(seen["schedule"][0]["lastPaidDate"].is_null());
        }
    }
    let again = json!({"externalId": "L1-out", "valueDate": day("2020-01-31")});
    let refused = caller.call("POST", "/loans/L1/disbursement-transactions", &again).await;
    assert_eq!(refused.reason(), "EXTERNAL_ID_ALREADY_EXISTS", "an adjusted transaction keeps it");
    caller.act("L1", "UNDO_APPROVE").await;
    assert_eq!(caller.seen("L1")["accountState"], "PENDING_APPROVAL");
    assert_eq!(caller.call("DELETE", "/loans/L1", &Value::Null).await.status, 204);
    assert_eq!(caller.call("GET", "/loans/L1", &Value::Null).await.status, 404);
    assert_eq!(caller.call("DELETE", "/clients/C1", &Value::Null).await.status, 204);
    assert_eq!(caller.mambu.state(), json!({"clients": [], "deposits": [], "loans": []}));
    // Their ids are free again.
    let holder = caller.client("C1").await;
    caller.loan("L1", &holder).await;
    caller.run("L1").await;
}
