//! Postings of an agreement with several facilities: each facility is a loan, and gets the postings that name it.

use serde_json::{Value, json};
use sluice_config::Flow;

use super::small::{id, short};
use super::{FLOWS, agree, import, mambu, platform, register, server};
use crate::harness::lender::put;
use crate::harness::server::Migration;

fn eur(amount: f64) -> Value {
    json!({"amount": amount, "currency": "EUR"})
}

/// Stages an agreement with two facilities of 1,000.00 and 2,000.00.
async fn stage(migration: &Migration) {
    let id = |of: &str| id(migration, of);
    let person = json!({
        "referenceId": id("client"), "type": "person", "initials": "J.", "surname": "N", "birthDate": "1980-02-29",
    });
    let facility = |of: &str, amount: f64| {
        json!({"referenceId": id(of), "amount": eur(amount), "termInMonths": 3, "repaymentMethod": "annuity",
            "interest": {"type": "fixed", "percentage": 6}})
    };
    let agreement = json!({
        "referenceId": id("both"), "agreementNumber": "1", "status": "active", "startDate": "2020-01-31",
        "borrowers": [{"counterpartyReferenceId": id("client"), "role": "main"}],
        "facilities": [facility("one", 1_000.0), facility("two", 2_000.0)],
    });
    put(migration, "counterparty-management", "counterparties", &[person]).await;
    put(migration, "financing-solution", "agreements", &[agreement]).await;
}

/// Stages a final additional repayment with these fields beside.
async fn stage_repayment(migration: &Migration, of: &str, fields: Value) {
    let mut record = json!({
        "referenceId": id(migration, of), "agreementReferenceId": id(migration, "both"), "status": "Final",
        "type": "early-repayment", "effectiveDate": "2020-02-15",
    });
    record.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    put(migration, "financing-execution", "additional-repayments", &[record]).await;
}

/// Returns the type and amount of each posting of a loan.
fn postings(state: &Value, loan: &str) -> Vec<(String, f64)> {
    let loan = state["loans"].as_array().unwrap().iter().find(|item| item["id"] == loan).unwrap();
    let posting = |one: &Value| {
        (one["type"].as_str().unwrap().to_owned(), one["amount"].as_str().unwrap().parse::<f64>().unwrap())
    };
    loan["transactions"].as_array().unwrap().iter().map(posting).collect()
}

/// A repayment that names facilities is posted in parts: to each facility its own.
#[tokio::test(flavor = "multi_thread")]
async fn each_facility_gets_its_part_of_a_repayment() {
    for flow in FLOWS {
        let mambu = mambu().await;
        let server = server(vec![("mambu".into(), platform(&mambu, |config| config.flow = flow))]);
        let migration = register(server, "mambu").await;
        stage(&migration).await;
        let part = |of: &str, amount: f64| json!({"facilityReferenceId": id(&migration, of), "amount": eur(amount)});
        let both = json!({"facilities": [part("one", 100.25), part("two", 200.5)]});
        stage_repayment(&migration, "early", both).await;
        stage_repayment(&migration, "later", json!({"facilities": [part("two", 50.0)]})).await;
        let end = import(&migration).await;
        assert_eq!((&end["state"], &end["result"]["leftOut"]), (&json!("succeeded"), &json!(0)), "{end}");
        let state = mambu.state();
        let expected: [(&str, &[(&str, f64)]); 2] = [
            ("one", &[("DISBURSEMENT", 1_000.0), ("REPAYMENT", 100.25)]),
            ("two", &[("DISBURSEMENT", 2_000.0), ("REPAYMENT", 200.5), ("REPAYMENT", 50.0)]),
        ];
        for (loan, expected) in expected {
            let mut found = postings(&state, &short(&migration, loan));
            found.sort_by(|(one, _), (other, _)| one.cmp(other));
            found[1..].sort_by(|(_, one), (_, other)| other.total_cmp(one));
            let expected: Vec<(String, f64)> = expected.iter().map(|(kind, sum)| ((*kind).into(), *sum)).collect();
            assert_eq!(found, expected, "{loan}");
        }
        agree(&migration).await;
        // Another import posts nothing again.
        assert_eq!(migration.job("import").await["result"]["calls"], 0);
        assert_eq!(mambu.state(), state);
    }
}

/// A posting that names no facility has no loan to go to: the agreement is left out, with a code.
#[tokio::test(flavor = "multi_thread")]
async fn a_posting_without_a_facility_stops_the_agreement() {
    let mambu = mambu().await;
    let server = server(vec![("mambu".into(), platform(&mambu, |config| config.flow = Flow::Fewest))]);
    let unnamed = [json!({"amount": eur(100.0)}), json!({"facilities": null, "amount": eur(100.0)})];
    for fields in unnamed {
        let migration = register(server, "mambu").await;
        stage(&migration).await;
        stage_repayment(&migration, "early", fields).await;
        let end = import(&migration).await;
        assert_eq!((&end["state"], &end["result"]["leftOut"]), (&json!("failed"), &json!(1)), "{end}");
        assert_eq!((&end["done"], &end["total"]), (&json!(2), &json!(2)), "{end}");
        let issues = migration.issues("import").await;
        assert_eq!(issues.len(), 1, "{issues:?}");
        assert_eq!(
            (&issues[0]["code"], &issues[0]["referenceId"]),
            (&json!("MAMBU_REPAID_ON_TWO_FACILITIES"), &json!(id(&migration, "both"))),
            "{issues:?}"
        );
        let loans = mambu.state()["loans"].as_array().unwrap().clone();
        let own = ["one", "two"].map(|of| short(&migration, of));
        assert!(loans.iter().all(|loan| own.iter().all(|id| loan["id"] != **id)), "{loans:?}");
    }
}
