//! Clients and loans of the Berka bank through all eight steps into the mock platform.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use uuid::Uuid;

use super::{FLOWS, agree, calls, mambu, platform, register, server};
use crate::harness::lender::put;
use crate::harness::server::Migration;
use crate::harness::tools::berka_tables;

/// Stages the whole bank and, for each loan that has ended, an early repayment with a fee, which the bank's tables
/// lack. Returns the number of early repayments.
async fn stage(migration: &Migration, dir: &std::path::Path) -> usize {
    for source in ["district", "client", "account", "disp", "card", "loan", "order", "trans"] {
        let Ok(body) = std::fs::read(dir.join(format!("{source}.jsonl"))) else { continue };
        migration.source(source, body).await;
    }
    let validation = migration.job("validate").await;
    assert_eq!(validation["result"]["numberOfErrors"], 35);
    let dangling = migration.issues("validate").await;
    let ids: std::collections::BTreeSet<String> = dangling
        .iter()
        .filter(|issue| issue["severity"] == "error")
        .map(|issue| format!("{}\n", issue["referenceId"]))
        .collect();
    migration.stage("financing-execution", "debit-mandates/delete", ids.into_iter().collect::<String>()).await;
    let agreements = migration.staged("financing-solution", "agreements").await;
    let closed = agreements.iter().filter(|agreement| agreement["status"] == "closed");
    let early = closed.map(|agreement| {
        let id = Uuid::new_v5(&migration.id.parse().unwrap(), agreement["referenceId"].to_string().as_bytes());
        json!({
            "referenceId": id, "agreementReferenceId": agreement["referenceId"], "status": "Final",
            "type": "early-repayment", "effectiveDate": "1999-12-31",
            "amount": {"amount": 100.1, "currency": "CZK"},
            "administrationFee": {"amount": 25.5, "currency": "CZK"},
        })
    });
    let early: Vec<Value> = early.collect();
    put(migration, "financing-execution", "additional-repayments", &early).await;
    early.len()
}

#[tokio::test(flavor = "multi_thread")]
async fn imports_the_berka_bank_in_each_flow() {
    let Some(dir) = berka_tables("mambu::berka::imports_the_berka_bank_in_each_flow") else { return };
    let mut totals = vec![];
    for flow in FLOWS {
        let mambu = mambu().await;
        let accounts: Vec<String> = (1..12_000).map(|id| id.to_string()).collect();
        let _ = mambu.make_deposits(&accounts.iter().map(String::as_str).collect::<Vec<_>>());
        let server = server(vec![("mambu".into(), platform(&mambu, |config| config.flow = flow))]);
        let migration = register(server, "mambu").await;
        let fees = stage(&migration, &dir).await;
        let plan = migration.job("plan").await;
        assert_eq!((&plan["state"], &plan["result"]["leftOut"]), (&json!("succeeded"), &json!(0)), "{plan}");
        assert_eq!(calls(&mambu), 0, "planning makes no calls");
        let import = super::import(&migration).await;
        assert_eq!(import["state"], "succeeded", "{import}");
        assert_eq!(plan["result"]["calls"], calls(&mambu), "the plan has the number of calls");
        totals.push(calls(&mambu));
        let counts = agree(&migration).await;
        let rows = |name| Migration::rows(&counts, name, "importedRows");
        assert_eq!(rows("clients"), [["".to_owned(), "5369".into()]]);
        let loans: u64 = rows("loans").iter().map(|row| row[1].parse::<u64>().unwrap()).sum();
        let mut sums = BTreeMap::new();
        for row in rows("transactions") {
            sums.insert(row[0].clone(), (row[1].clone(), row[2].clone()));
        }
        let expected = |count: usize, sum: &str| (count.to_string(), sum.to_owned());
        assert_eq!(loans, 682);
        assert_eq!(sums["DISBURSEMENT"], expected(682, "103261740"));
        assert_eq!(sums["FEE_APPLIED"].0, fees.to_string());
        assert_eq!(sums["REPAYMENT"].0, (123 + fees).to_string());
        check_figures(&mambu.state());
        // A second import calls nothing but the counts.
        let before = calls(&mambu);
        assert_eq!(migration.job("import").await["state"], "succeeded");
        assert_eq!(calls(&mambu), before);
    }
    let [every_step, fewest] = totals[..] else { panic!() };
    println!("{every_step} calls with every step, {fewest} in the flow with the fewest: {} saved", every_step - fewest);
    assert!(fewest + 682 < every_step);
}

/// Checks balances and schedules in the mock platform's state, exact to the last decimal.
fn check_figures(state: &Value) {
    let cents = |amount: &Value| {
        let text = amount.as_str().unwrap();
        let (whole, part) = text.split_once('.').unwrap_or((text, "00"));
        whole.parse::<i64>().unwrap() * 100 + format!("{part:0<2}").parse::<i64>().unwrap()
    };
    for loan in state["loans"].as_array().unwrap() {
        let principal: i64 =
            loan["schedule"].as_array().unwrap().iter().map(|due| cents(&due["principal"]["amount"]["expected"])).sum();
        assert_eq!(principal, cents(&loan["loanAmount"]));
        let of = |kind: &str| -> i64 {
            let live = loan["transactions"].as_array().unwrap().iter().filter(|one| one["type"] == kind);
            live.map(|one| cents(&one["amount"])).sum()
        };
        let balances = &loan["balances"];
        let owed = cents(&balances["principalBalance"]) + cents(&balances["feesBalance"]);
        assert_eq!(owed, of("DISBURSEMENT") + of("FEE_APPLIED") - of("REPAYMENT"), "{loan}");
    }
}
