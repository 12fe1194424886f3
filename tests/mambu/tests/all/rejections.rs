//! Requests that Mambu rejects: status, reason, source, and no change of state.

use serde_json::{Value, json};

use crate::client::{MambuClient, day, installment, loan};

/// Creates a client C1 with four loans: `P` is pending approval, `A` approved, `R` active, `Z` repaid. Creates deposit
/// accounts: D1 without a holder, D2 of another client.
async fn bank_fixture() -> (MambuClient, String) {
    let api = MambuClient::default().await;
    let holder = api.create_client("C1").await;
    let other = api.create_client("C2").await;
    for id in ["P", "A", "R", "Z"] {
        api.create_loan(id, &holder).await;
    }
    api.change_state("A", "APPROVE").await;
    api.activate("R").await;
    api.activate("Z").await;
    let all = json!({"amount": "1020.00", "valueDate": day("2020-02-29")});
    api.post_ok("/loans/Z/repayment-transactions", &all).await;
    let first = json!({"amount": "343.33", "valueDate": day("2020-02-29"), "externalId": "R-1"});
    api.post_ok("/loans/R/repayment-transactions", &first).await;
    api.post_ok("/deposits", &json!({"id": "D1"})).await;
    api.post_ok("/deposits", &json!({"id": "D2", "accountHolderKey": other})).await;
    (api, holder)
}

/// Returns the body that creates a loan, with one member replaced. Null removes the member.
fn loan_with(holder: &str, pointer: &str, value: Value) -> Value {
    let mut body = loan("N", holder);
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    body.pointer_mut(parent).unwrap()[name] = value;
    body
}

#[tokio::test]
async fn rejects_invalid_requests_without_side_effects() {
    let (api, holder) = bank_fixture().await;
    let state = api.mambu.state();
    let key_of = |id: &str| {
        let deposits = state["deposits"].as_array().unwrap();
        deposits.iter().find(|one| one["id"] == id).unwrap()["encodedKey"].clone()
    };
    let client = |name: &str, value: Value| {
        let mut body = json!({"firstName": "Jana", "lastName": "Nováková"});
        body[name] = value;
        body
    };
    let paid = state["loans"][2]["transactions"][1].clone();
    let out = state["loans"][2]["transactions"][0].clone();
    let adjust = |one: &Value| format!("/loans/transactions/{}:adjust", one["id"].as_str().unwrap());
    let link = |op: &str, key: Value| json!([{"op": op, "path": "settlementAccountKey", "value": key}]);
    let pay = |amount: &str, on: &str| json!({"amount": amount, "valueDate": day(on)});
    let (adjust_out, adjust_paid) = (adjust(&out), adjust(&paid));
    let long = "x".repeat(256);
    let ok = installment("2020-02-29", "600", "1");
    let none = Value::Null;
    let cases: Vec<(&str, &str, Value, u16, &str, &str)> = vec![
        ("POST", "/clients", client("firstName", json!(null)), 400, "MISSING_REQUIRED_PARAMETER", "firstName"),
        ("POST", "/clients", client("lastName", json!("")), 400, "MISSING_REQUIRED_PARAMETER", "lastName"),
        ("POST", "/clients", client("id", json!("C1")), 400, "CLIENT_ID_ALREADY_IN_USE", "id"),
        ("POST", "/clients", client("id", json!("x".repeat(33))), 400, "INVALID_PARAMETERS", "id"),
        ("POST", "/clients", client("notes", json!(long)), 400, "INVALID_PARAMETERS", "notes"),
        (
            "POST",
            "/clients",
            client("addresses", json!([{"line1": long}])),
            400,
            "INVALID_PARAMETERS",
            "addresses[0].line1",
        ),
        ("POST", "/clients", client("birthDate", json!(day("1980-01-01"))), 400, "INVALID_DATE_FORMAT", "birthDate"),
        ("POST", "/clients", client("surname", json!("x")), 400, "PARAMETER_NOT_ALLOWED", "surname"),
        ("POST", "/clients", client("assignedBranchKey", json!("x")), 400, "INVALID_BRANCH_KEY", "assignedBranchKey"),
        ("POST", "/clients", json!([]), 400, "INVALID_JSON_SYNTAX", ""),
        ("GET", "/clients/nobody", none.clone(), 404, "INVALID_CLIENT_ID", ""),
        ("DELETE", "/clients/C1", none.clone(), 400, "CLIENT_HAS_ACCOUNTS", ""),
        (
            "POST",
            "/loans",
            loan_with(&holder, "/accountHolderKey", json!("C1")),
            400,
            "INVALID_CLIENT_KEY",
            "accountHolderKey",
        ),
        (
            "POST",
            "/loans",
            loan_with(&holder, "/accountHolderKey", none.clone()),
            400,
            "MISSING_REQUIRED_PARAMETER",
            "accountHolderKey",
        ),
        (
            "POST",
            "/loans",
            loan_with(&holder, "/accountHolderType", none.clone()),
            400,
            "MISSING_REQUIRED_PARAMETER",
            "accountHolderType",
        ),
        (
            "POST",
            "/loans",
            loan_with(&holder, "/productTypeKey", json!("x")),
            400,
            "INVALID_PRODUCT_KEY",
            "productTypeKey",
        ),
        ("POST", "/loans", loan_with(&holder, "/loanAmount", json!(0)), 400, "INVALID_AMOUNT", "loanAmount"),
        ("POST", "/loans", loan_with(&holder, "/loanAmount", json!("much")), 400, "INVALID_PARAMETERS", "loanAmount"),
        (
            "POST",
            "/loans",
            loan_with(&holder, "/scheduleSettings", none.clone()),
            400,
            "MISSING_REQUIRED_PARAMETER",
            "scheduleSettings",
        ),
        (
            "POST",
            "/loans",
            loan_with(&holder, "/scheduleSettings/gracePeriod", none.clone()),
            400,
            "MISSING_REQUIRED_PARAMETER",
            "scheduleSettings.gracePeriod",
        ),
        (
            "POST",
            "/loans",
            loan_with(&holder, "/scheduleSettings/repaymentInstallments", json!(0)),
            400,
            "INVALID_INSTALLMENTS",
            "scheduleSettings.repaymentInstallments",
        ),
        (
            "POST",
            "/loans",
            loan_with(&holder, "/interestSettings/rate", json!(1)),
            400,
            "PARAMETER_NOT_ALLOWED",
            "interestSettings.rate",
        ),
        (
            "POST",
            "/loans",
            loan_with(&holder, "/disbursementDetails/firstRepaymentDate", json!("2020-02-29")),
            400,
            "INVALID_DATE_TIME_FORMAT",
            "disbursementDetails.firstRepaymentDate",
        ),
        (
            "POST",
            "/loans",
            loan_with(&holder, "/disbursementDetails/firstRepaymentDate", json!(day("2020-01-30"))),
            400,
            "FIRST_REPAYMENT_DATE_BEFORE_EXPECTED_DISBURSEMENT_DATE",
            "disbursementDetails.firstRepaymentDate",
        ),
        (
            "POST",
            "/loans",
            loan_with(&holder, "/settlementAccountKey", json!("D1")),
            400,
            "INVALID_SETTLEMENT_ACCOUNT_KEY",
            "settlementAccountKey",
        ),
        (
            "POST",
            "/loans",
            loan_with(&holder, "/settlementAccountKey", key_of("D2")),
            400,
            "INVALID_DEPOSIT_ACCOUNT_HOLDER",
            "settlementAccountKey",
        ),
        ("POST", "/loans", loan_with(&holder, "/id", json!("P")), 400, "ACCOUNT_ID_ALREADY_IN_USE", "id"),
        ("GET", "/loans/none", none.clone(), 404, "INVALID_LOAN_ACCOUNT_ID", ""),
        ("DELETE", "/loans/A", none.clone(), 400, "INVALID_ACCOUNT_STATE", ""),
        ("DELETE", "/loans/R", none.clone(), 400, "ACCOUNT_HAS_TRANSACTIONS", ""),
        ("POST", "/loans/A:changeState", json!({"action": "APPROVE"}), 400, "INVALID_STATE_TRANSITION", ""),
        ("POST", "/loans/P:changeState", json!({"action": "UNDO_APPROVE"}), 400, "INVALID_STATE_TRANSITION", ""),
        ("POST", "/loans/R:changeState", json!({"action": "UNDO_APPROVE"}), 400, "INVALID_STATE_TRANSITION", ""),
        ("POST", "/loans/R:changeState", json!({"action": "REJECT"}), 400, "INVALID_STATE_TRANSITION", ""),
        ("POST", "/loans/R:changeState", json!({"action": "CLOSE"}), 400, "ACCOUNT_HAS_REMAINING_BALANCE", ""),
        ("POST", "/loans/P:changeState", json!({"action": "PLEASE"}), 400, "INVALID_PARAMETERS", "action"),
        ("POST", "/loans/P:changeState", json!({}), 400, "MISSING_REQUIRED_PARAMETER", "action"),
        ("PATCH", "/loans/P", link("ADD", json!("D1")), 400, "INVALID_SETTLEMENT_ACCOUNT_KEY", "settlementAccountKey"),
        ("PATCH", "/loans/P", link("ADD", key_of("D2")), 400, "INVALID_DEPOSIT_ACCOUNT_HOLDER", "settlementAccountKey"),
        ("PATCH", "/loans/P", link("TURN", key_of("D1")), 400, "OPERATION_NOT_ALLOWED_ON_FIELD", "TURN"),
        (
            "PATCH",
            "/loans/P",
            json!([{"op": "ADD", "path": "loanAmount", "value": "1"}]),
            400,
            "FIELD_IS_NOT_EDITABLE",
            "loanAmount",
        ),
        ("PUT", "/loans/P/schedule", json!([]), 400, "INVALID_INSTALLMENTS", ""),
        ("PUT", "/loans/P/schedule", json!([ok]), 400, "INCONSISTENT_SCHEDULE_PRINCIPAL_DUE_WITH_LOAN_AMOUNT", ""),
        (
            "PUT",
            "/loans/P/schedule",
            json!([ok, installment("2020-02-29", "400", "1")]),
            400,
            "INVALID_DUE_DATE",
            "[1].dueDate",
        ),
        (
            "PUT",
            "/loans/P/schedule",
            json!([ok, installment("2020-03-29", "-1", "1")]),
            400,
            "NEGATIVE_PRINCIPAL_FOR_INSTALLMENT",
            "[1].principal",
        ),
        (
            "PUT",
            "/loans/P/schedule",
            json!([ok, {"dueDate": day("2020-04-01")}]),
            400,
            "MISSING_REQUIRED_PARAMETER",
            "[1].principal",
        ),
        ("PUT", "/loans/A/schedule", json!([installment("2020-02-29", "1000", "1")]), 400, "INVALID_ACCOUNT_STATE", ""),
        ("PUT", "/loans/R/schedule", json!([installment("2020-02-29", "1000", "1")]), 400, "INVALID_ACCOUNT_STATE", ""),
        ("POST", "/loans/P/disbursement-transactions", json!({}), 400, "INVALID_ACCOUNT_STATE", ""),
        (
            "POST",
            "/loans/A/disbursement-transactions",
            pay("1000.01", "2020-02-01"),
            400,
            "AMOUNT_MORE_THAN_CURRENT_AVAILABLE_AMOUNT",
            "amount",
        ),
        (
            "POST",
            "/loans/R/disbursement-transactions",
            pay("0.01", "2020-02-01"),
            400,
            "AMOUNT_MORE_THAN_CURRENT_AVAILABLE_AMOUNT",
            "amount",
        ),
        ("POST", "/loans/A/disbursement-transactions", pay("0", "2020-02-01"), 400, "INVALID_AMOUNT", "amount"),
        (
            "POST",
            "/loans/A/disbursement-transactions",
            pay("1", "2999-01-01"),
            400,
            "INVALID_DISBURSEMENT_DATE",
            "valueDate",
        ),
        (
            "POST",
            "/loans/A/disbursement-transactions",
            pay("1", "2020-06-01"),
            400,
            "DISBURSEMENT_DATE_AFTER_LAST_REPAYMENT_DUE_DATE",
            "valueDate",
        ),
        (
            "POST",
            "/loans/A/disbursement-transactions",
            json!({"valueDate": day("2020-02-01"), "firstRepaymentDate": day("2020-01-01")}),
            400,
            "INVALID_FIRST_REPAYMENT_DUE_DATE",
            "firstRepaymentDate",
        ),
        (
            "POST",
            "/loans/A/disbursement-transactions",
            json!({"externalId": "R-out"}),
            400,
            "EXTERNAL_ID_ALREADY_EXISTS",
            "externalId",
        ),
        ("POST", "/loans/A/fee-transactions", pay("1", "2020-02-01"), 400, "INVALID_ACCOUNT_STATE", ""),
        (
            "POST",
            "/loans/R/fee-transactions",
            pay("0", "2020-02-01"),
            400,
            "FEE_AMOUNT_MUST_BE_STRICTLY_POSITIVE",
            "amount",
        ),
        (
            "POST",
            "/loans/R/fee-transactions",
            json!({"amount": 1, "installmentNumber": 4}),
            400,
            "INVALID_INSTALLMENT_NUMBER",
            "installmentNumber",
        ),
        (
            "POST",
            "/loans/R/fee-transactions",
            json!({"amount": 1, "installmentNumber": 1}),
            400,
            "CANNOT_APPLY_FEE_ON_PAID_INSTALLMENT",
            "",
        ),
        (
            "POST",
            "/loans/R/fee-transactions",
            json!({"amount": 1, "predefinedFeeKey": "x"}),
            400,
            "INVALID_FEE_KEY",
            "predefinedFeeKey",
        ),
        (
            "POST",
            "/loans/A/repayment-transactions",
            pay("1", "2020-02-01"),
            400,
            "INVALID_ACCOUNT_STATE_FOR_REPAYMENTS",
            "",
        ),
        (
            "POST",
            "/loans/Z/repayment-transactions",
            pay("1", "2020-02-01"),
            400,
            "INVALID_ACCOUNT_STATE_FOR_REPAYMENTS",
            "",
        ),
        ("POST", "/loans/R/repayment-transactions", json!({}), 400, "MISSING_REQUIRED_PARAMETER", "amount"),
        (
            "POST",
            "/loans/R/repayment-transactions",
            pay("676.68", "2020-03-01"),
            400,
            "EXCESS_REPAYMENT_ERROR",
            "amount",
        ),
        (
            "POST",
            "/loans/R/repayment-transactions",
            pay("1", "2020-01-30"),
            400,
            "BACKDATE_BEFORE_ACTIVATION",
            "valueDate",
        ),
        (
            "POST",
            "/loans/R/repayment-transactions",
            pay("1", "2999-01-01"),
            400,
            "REPAYMENT_DATE_IN_THE_FUTURE_ERROR",
            "valueDate",
        ),
        (
            "POST",
            "/loans/R/repayment-transactions",
            json!({"amount": 1, "externalId": "R-1"}),
            400,
            "EXTERNAL_ID_ALREADY_EXISTS",
            "externalId",
        ),
        ("POST", &adjust_out, json!({}), 400, "NOT_ADJUSTED_TRANSACTION_LOGGED_AFTER_CURRENT_ONE", ""),
        ("POST", "/loans/transactions/none:adjust", json!({}), 404, "INVALID_TRANSACTION_ID", ""),
        ("POST", &adjust_paid, json!({"why": "x"}), 400, "PARAMETER_NOT_ALLOWED", "why"),
        (
            "POST",
            "/loans/transactions:search",
            json!({"filterCriteria": [{"field": "colour", "operator": "EQUALS", "value": "x"}]}),
            400,
            "INVALID_FILTER_SELECTION",
            "colour",
        ),
        (
            "POST",
            "/loans/transactions:search",
            json!({"filterCriteria": [{"field": "id", "operator": "LIKE", "value": "x"}]}),
            400,
            "INVALID_FILTER_ELEMENT",
            "LIKE",
        ),
        ("GET", "/clients?limit=1001", none.clone(), 400, "OUT_OF_BOUNDS_PAGINATION_LIMIT_VALUE", "limit"),
        ("GET", "/clients?limit=x", none.clone(), 400, "INVALID_PAGINATION_LIMIT_VALUE", "limit"),
        ("GET", "/clients?offset=-1", none.clone(), 400, "OUT_OF_BOUNDS_PAGINATION_OFFSET_VALUE", "offset"),
        ("DELETE", "/clients", none.clone(), 405, "METHOD_NOT_IMPLEMENTED", ""),
        ("GET", "/groups", none, 404, "INVALID_API_OPERATION", ""),
    ];
    for (method, path, body, status, reason, source) in cases {
        let reply = api.call(method, path, &body).await;
        let error = &reply.json()["errors"][0];
        assert_eq!((reply.status, reply.reason().as_str()), (status, reason), "{method} {path} {body}: {reply:?}");
        assert_eq!(error["errorSource"].as_str().unwrap_or_default(), source, "{method} {path} {body}");
        assert!(error["errorCode"].is_u64(), "{reply:?}");
        assert_eq!(api.mambu.state(), state, "{method} {path} {body} changed something");
    }
}
