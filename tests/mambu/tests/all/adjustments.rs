//! Adjustment of transactions and deletion of loans and clients.

use mock_mambu::FEE_KEY;
use serde_json::{Value, json};

use crate::client::{MambuClient, day};

#[tokio::test]
async fn adjusts_transactions_only_in_reverse_order() {
    let api = MambuClient::default().await;
    let holder = api.create_client("C1").await;
    api.create_loan("L1", &holder).await;
    api.activate("L1").await;
    let running = api.loan_state("L1");
    let fee = json!({"amount": "5", "predefinedFeeKey": FEE_KEY, "valueDate": day("2020-02-01"), "externalId": "fee"});
    api.post_ok("/loans/L1/fee-transactions", &fee).await;
    for (amount, external) in [("100", "one"), ("925.00", "two")] {
        let body = json!({"amount": amount, "valueDate": day("2020-03-01"), "externalId": external});
        api.post_ok("/loans/L1/repayment-transactions", &body).await;
    }
    assert_eq!(api.loan_state("L1")["accountState"], "CLOSED");
    let transactions = api.loan_state("L1")["transactions"].as_array().unwrap().clone();
    let keys: Vec<&str> = transactions.iter().map(|one| one["encodedKey"].as_str().unwrap()).collect();
    for (i, key) in keys.iter().enumerate().rev() {
        for earlier in &keys[..i] {
            let reply = api.call("POST", &format!("/loans/transactions/{earlier}:adjust"), &json!({})).await;
            assert_eq!(reply.reason(), "NOT_ADJUSTED_TRANSACTION_LOGGED_AFTER_CURRENT_ONE");
        }
        let path = format!("/loans/transactions/{key}:adjust");
        let undone = api.post_ok(&path, &json!({"notes": "undone"})).await;
        assert_eq!(undone["originalTransactionKey"], *key);
        assert_eq!(undone["type"], ["DISBURSEMENT", "FEE", "REPAYMENT", "REPAYMENT"][i].to_owned() + "_ADJUSTMENT");
        let original = api.get(&format!("/loans/transactions/{key}")).await;
        assert_eq!(original["adjustmentTransactionKey"], undone["encodedKey"]);
        assert_eq!(api.call("POST", &path, &json!({})).await.reason(), "TRANSACTION_ALREADY_ADJUSTED");
        let adjust_adjustment = format!("/loans/transactions/{}:adjust", undone["id"].as_str().unwrap());
        let refused = api.call("POST", &adjust_adjustment, &json!({})).await;
        assert_eq!(refused.reason(), "TRANSACTION_TYPE_DOES_NOT_ALLOW_ADJUSTMENT");
        let loan = api.loan_state("L1");
        assert_eq!(loan["accountState"], if i == 0 { "APPROVED" } else { "ACTIVE" });
        if i == 1 {
            // All transactions except the disbursement are adjusted, so the loan is as it was after the disbursement.
            let amounts = |loan: &Value| {
                let parts = loan["schedule"].as_array().unwrap().iter();
                let due = |one: &Value| {
                    ["principal", "interest", "fee"]
                        .map(|part| one[part]["amount"]["due"].as_str().unwrap().parse::<f64>())
                };
                parts.map(due).collect::<Vec<_>>()
            };
            assert_eq!(amounts(&loan), amounts(&running));
            assert!(loan["schedule"][0]["lastPaidDate"].is_null());
        }
    }
    let again = json!({"externalId": "L1-out", "valueDate": day("2020-01-31")});
    let refused = api.call("POST", "/loans/L1/disbursement-transactions", &again).await;
    assert_eq!(refused.reason(), "EXTERNAL_ID_ALREADY_EXISTS", "an adjusted transaction keeps its external id");
    api.change_state("L1", "UNDO_APPROVE").await;
    assert_eq!(api.loan_state("L1")["accountState"], "PENDING_APPROVAL");
    assert_eq!(api.call("DELETE", "/loans/L1", &Value::Null).await.status, 204);
    assert_eq!(api.call("GET", "/loans/L1", &Value::Null).await.status, 404);
    assert_eq!(api.call("DELETE", "/clients/C1", &Value::Null).await.status, 204);
    assert_eq!(api.mambu.state(), json!({"clients": [], "deposits": [], "loans": []}));
    // The ids of deleted loans and clients are free again.
    let holder = api.create_client("C1").await;
    api.create_loan("L1", &holder).await;
    api.activate("L1").await;
}
