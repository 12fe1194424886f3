//! Paging and searches.

use mock_mambu::{BRANCH_ID, BRANCH_KEY};
use serde_json::{Value, json};

use crate::client::{MambuClient, day};

fn ids(list: &Value, name: &str) -> Vec<String> {
    list.as_array().unwrap().iter().map(|one| one[name].as_str().unwrap_or_default().to_owned()).collect()
}

#[tokio::test]
async fn returns_pages_of_clients() {
    let api = MambuClient::default().await;
    for number in 1..=60 {
        let branch = if number % 3 == 0 { json!(BRANCH_KEY) } else { Value::Null };
        let body =
            json!({"id": format!("C{number:02}"), "firstName": "A", "lastName": "B", "assignedBranchKey": branch});
        api.post_ok("/clients", &body).await;
    }
    // Query, number of items, first id, paging headers.
    let by_branch = format!("?branchId={BRANCH_ID}&limit=5&offset=18&paginationDetails=ON");
    let by_key = format!("?branchId={BRANCH_KEY}");
    for (query, count, first, details) in [
        ("", 50, "C01", None),
        ("?offset=50", 10, "C51", None),
        ("?offset=58&limit=1000&paginationDetails=ON", 2, "C59", Some(("60", "58", "1000"))),
        ("?offset=60&paginationDetails=ON", 0, "", Some(("60", "60", "50"))),
        (&by_branch, 2, "C57", Some(("20", "18", "5"))),
        (&by_key, 20, "C03", None),
        ("?branchId=none", 0, "", None),
        ("?state=INACTIVE&limit=2", 2, "C01", None),
        ("?state=ACTIVE", 0, "", None),
    ] {
        let reply = api.call("GET", &format!("/clients{query}"), &Value::Null).await;
        let found = ids(&reply.json(), "id");
        assert_eq!((found.len(), found.first().map_or("", String::as_str)), (count, first), "{query}");
        let headers = ["items-total", "items-offset", "items-limit"].map(|name| reply.header(name));
        let headers = headers[0].map(|total| (total, headers[1].unwrap(), headers[2].unwrap()));
        assert_eq!(headers, details, "{query}");
    }
    assert_eq!(ids(&api.get("/clients?limit=0").await, "id").len(), 0);
}

#[tokio::test]
async fn finds_loans_and_transactions() {
    let api = MambuClient::default().await;
    let holder = api.create_client("C1").await;
    let mut keys = vec![];
    for id in ["L1", "L2", "L3"] {
        keys.push(api.create_loan(id, &holder).await["encodedKey"].clone());
    }
    api.activate("L1").await;
    api.activate("L2").await;
    for (loan, amount, on) in [("L1", "10.5", "2020-02-10"), ("L1", "20", "2020-03-10"), ("L2", "9", "2020-02-10")] {
        let body = json!({"amount": amount, "valueDate": day(on), "externalId": format!("{loan}-{amount}")});
        api.post_ok(&format!("/loans/{loan}/repayment-transactions"), &body).await;
    }
    assert_eq!(ids(&api.get("/loans?accountState=ACTIVE").await, "id"), ["L1", "L2"]);
    assert_eq!(ids(&api.get("/loans?accountState=PENDING_APPROVAL&accountHolderId=C1").await, "id"), ["L3"]);
    assert_eq!(ids(&api.get("/loans/L1/transactions?offset=1&limit=1").await, "externalId"), ["L1-10.5"]);
    let created = api.get("/loans/L1/transactions").await[0]["creationDate"].clone();
    let cases = [
        (json!([{"field": "externalId", "operator": "EQUALS", "value": "L1-20"}]), vec!["L1-20"]),
        (json!([{"field": "externalId", "operator": "EQUALS", "value": "none"}]), vec![]),
        (
            json!([{"field": "externalId", "operator": "IN", "values": ["L2-9", "L1-out", "none"]}]),
            vec!["L2-9", "L1-out"],
        ),
        (
            json!([{"field": "parentAccountKey", "operator": "EQUALS", "value": keys[0]}]),
            vec!["L1-out", "L1-10.5", "L1-20"],
        ),
        (
            json!([{"field": "parentAccountKey", "operator": "EQUALS", "value": keys[0]},
                {"field": "type", "operator": "EQUALS", "value": "REPAYMENT"}]),
            vec!["L1-10.5", "L1-20"],
        ),
        (json!([{"field": "type", "operator": "IN", "values": ["DISBURSEMENT"]}]), vec!["L1-out", "L2-out"]),
        (
            json!([{"field": "amount", "operator": "BETWEEN", "value": 9, "secondValue": "10.50"}]),
            vec!["L1-10.5", "L2-9"],
        ),
        (json!([{"field": "amount", "operator": "MORE_THAN", "value": "100"}]), vec!["L1-out", "L2-out"]),
        (
            json!([{"field": "valueDate", "operator": "BETWEEN", "value": "2020-02-01", "secondValue": "2020-02-29"}]),
            vec!["L1-10.5", "L2-9"],
        ),
        (json!([{"field": "creationDate", "operator": "BEFORE", "value": created}]), vec![]),
        (json!([{"field": "adjustmentTransactionKey", "operator": "NOT_EMPTY"}]), vec![]),
        (json!([]), vec!["L1-out", "L2-out", "L1-10.5", "L1-20", "L2-9"]),
    ];
    for (criteria, expected) in cases {
        let path = "/loans/transactions:search?limit=1000&paginationDetails=ON";
        let reply = api.call("POST", path, &json!({"filterCriteria": criteria})).await;
        assert_eq!(ids(&reply.json(), "externalId"), expected, "{criteria}: {reply:?}");
        assert_eq!(reply.header("items-total"), Some(expected.len().to_string().as_str()));
    }
    let sorted = json!({"filterCriteria": [{"field": "type", "operator": "EQUALS", "value": "REPAYMENT"}],
        "sortingCriteria": {"field": "amount", "order": "DESC"}});
    let sorted = api.post_ok("/loans/transactions:search", &sorted).await;
    assert_eq!(ids(&sorted, "externalId"), ["L1-20", "L1-10.5", "L2-9"]);
    let active = json!({"filterCriteria": [{"field": "accountState", "operator": "EQUALS", "value": "ACTIVE"}]});
    assert_eq!(ids(&api.post_ok("/loans:search", &active).await, "id"), ["L1", "L2"]);
    let named = json!({"filterCriteria": [{"field": "lastName", "operator": "STARTS_WITH", "value": "Nov"}]});
    assert_eq!(ids(&api.post_ok("/clients:search", &named).await, "id"), ["C1"]);
}
