//! A lender that uses every step: a person with a loan that is linked, edited, approved, disbursed, charged and repaid,
//! and a second loan that stays a draft.

use mock_mambu::Running;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::harness::lender::put;
use crate::harness::server::Migration;

/// Account that settles the loan.
pub const ACCOUNT: &str = "576";

/// Number of calls with every step: a client; then account, loan, link, schedule, approval, disbursement, fee and two
/// repayments; and for the draft a loan and a schedule.
pub const EVERY_STEP: u64 = 1 + 9 + 2;

/// Returns the reference id of one of the lender's records.
pub fn id(migration: &Migration, of: &str) -> Uuid {
    Uuid::new_v5(&migration.id.parse().unwrap(), of.as_bytes())
}

/// Returns the id under which the platform knows a record.
pub fn short(migration: &Migration, of: &str) -> String {
    id(migration, of).as_simple().to_string()
}

/// Stages the lender, and creates the account that it refers to.
pub async fn stage(migration: &Migration, mambu: &Running) {
    let _ = mambu.make_deposits(&[ACCOUNT]);
    let id = |of: &str| id(migration, of);
    let eur = |amount: f64| json!({"amount": amount, "currency": "EUR"});
    let person = json!({
        "referenceId": id("client"), "type": "person", "initials": "J.", "surname": "Nováková", "birthDate": "1980-02-29",
        "addresses": [{"type": "main", "addressLine1": "U 1", "postalCode": "110 00", "locality": "Praha", "countryCode": "CZ"}],
    });
    let agreement = |number: &str, status: &str| {
        json!({
            "referenceId": id(number), "agreementNumber": number, "status": status, "startDate": "2020-01-31",
            "borrowers": [{"counterpartyReferenceId": id("client"), "role": "main"}],
            "facilities": [{"referenceId": id(&format!("loan-{number}")), "amount": eur(1000.0), "termInMonths": 3,
                "repaymentMethod": "annuity", "interest": {"type": "fixed", "percentage": 6}}],
        })
    };
    let paid = |of: &str, day: &str, amount: f64| json!({"referenceId": id(of), "agreementReferenceId": id("1"), "effectiveDate": day, "amount": eur(amount)});
    let mut early = paid("early", "2020-03-15", 50.05);
    early["status"] = "Final".into();
    early["type"] = "early-repayment".into();
    early["administrationFee"] = eur(12.34);
    let mandate = json!({
        "referenceId": id("mandate"), "agreementReferenceId": id("1"), "counterpartyReferenceId": id("client"),
        "scheme": "DOMESTIC", "type": "b2c", "debtorAccount": ACCOUNT,
    });
    let records: [(&str, &str, Vec<Value>); 5] = [
        ("counterparty-management", "counterparties", vec![person]),
        ("financing-solution", "agreements", vec![agreement("1", "active"), agreement("2", "draft")]),
        ("financing-execution", "repayments", vec![paid("paid", "2020-02-29", 336.67)]),
        ("financing-execution", "additional-repayments", vec![early]),
        ("financing-execution", "debit-mandates", vec![mandate]),
    ];
    for (domain, entity_type, records) in &records {
        put(migration, domain, entity_type, records).await;
    }
}

/// Checks that the platform has each record exactly once and with the right content.
pub fn check(mambu: &Running, migration: &Migration) {
    let state = mambu.state();
    let of = |list: &str, name: &str| {
        let list = state[list].as_array().unwrap();
        let found: Vec<Value> = list.iter().filter(|item| item["id"] == short(migration, name)).cloned().collect();
        assert_eq!(found.len(), 1, "{list:?}");
        found[0].clone()
    };
    assert_eq!(of("clients", "client")["lastName"], "Nováková");
    let loan = of("loans", "loan-1");
    assert_eq!((&loan["accountState"], &loan["settlementAccountKey"].is_string()), (&json!("ACTIVE"), &true));
    let live: Vec<(&str, f64)> = loan["transactions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (one["type"].as_str().unwrap(), one["amount"].as_str().unwrap().parse().unwrap()))
        .collect();
    let expected = [("DISBURSEMENT", 1000.0), ("REPAYMENT", 336.67), ("FEE_APPLIED", 12.34), ("REPAYMENT", 50.05)];
    assert_eq!(live, expected);
    assert_eq!(of("loans", "loan-2")["accountState"], "PENDING_APPROVAL");
}
