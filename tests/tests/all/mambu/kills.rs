//! A server killed at random moments of an import: each record is there once. `SLUICE_KILLS` is the number of kills.

use std::time::Duration;

use mock_mambu::{MockServer, PRODUCT_KEY};
use serde_json::{Value, json};
use uuid::Uuid;

use super::mambu;
use crate::harness::killable_server::{KillableServer, Random};

/// Stages persons, each with a loan that is disbursed, charged and repaid once.
async fn stage(life: &KillableServer, migration: &str, count: usize) {
    let id = |of: &str, number: usize| Uuid::new_v5(&migration.parse().unwrap(), format!("{of}/{number}").as_bytes());
    let eur = |amount: f64| json!({"amount": amount, "currency": "EUR"});
    let lines =
        |record: &dyn Fn(usize) -> Value| (0..count).map(|of| record(of).to_string() + "\n").collect::<String>();
    let person = |of| json!({"referenceId": id("client", of), "type": "person", "initials": "J.", "surname": "Novák"});
    let agreement = |of| {
        json!({
            "referenceId": id("agreement", of), "agreementNumber": of.to_string(), "status": "active",
            "startDate": "2020-01-31", "borrowers": [{"counterpartyReferenceId": id("client", of), "role": "main"}],
            "facilities": [{"referenceId": id("loan", of), "amount": eur(1000.0), "termInMonths": 7,
                "repaymentMethod": "linear"}],
        })
    };
    let early = |of| {
        json!({
            "referenceId": id("early", of), "agreementReferenceId": id("agreement", of), "status": "Final",
            "type": "early-repayment", "effectiveDate": "2020-03-15", "amount": eur(50.05),
            "administrationFee": eur(12.34),
        })
    };
    let path = |domain: &str, entity: &str| format!("/{domain}/migrations/{migration}/staging/{entity}");
    life.put(&path("counterparty-management", "counterparties"), lines(&person)).await;
    life.put(&path("financing-solution", "agreements"), lines(&agreement)).await;
    life.put(&path("financing-execution", "additional-repayments"), lines(&early)).await;
}

/// Checks that the mock platform has each loan once, with its three transactions.
fn check(mambu: &MockServer, count: usize) {
    let state = mambu.state();
    let loans = state["loans"].as_array().unwrap();
    assert_eq!((state["clients"].as_array().unwrap().len(), loans.len()), (count, count));
    for loan in loans {
        assert_eq!(loan["transactions"].as_array().unwrap().len(), 3, "{loan}");
        let owed = loan["balances"]["principalBalance"].as_str().unwrap();
        assert_eq!(owed.parse::<f64>().unwrap(), 1_000.0 - 50.05, "{loan}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn imports_each_record_once_although_killed() {
    let kills: usize = std::env::var("SLUICE_KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(6);
    let count = kills * 12;
    let mambu = mambu().await;
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("password"), mock_mambu::PASSWORD).unwrap();
    let config = format!(
        "[http]\nrequests_per_second = 100000\nrequest_burst = 100000\n[platforms.mambu]\ntenants = [\"default\"]\n\
         base_url = \"{}/api\"\nuser = \"{}\"\npassword_file = \"{}\"\ncalls_per_second = 5000\nparallel_calls = 8\nretry_millis = 5\n\
         [platforms.mambu.settings]\nproductKey = \"{PRODUCT_KEY}\"\n",
        mambu.url(),
        mock_mambu::USER,
        dir.path().join("password").display()
    );
    std::fs::write(dir.path().join("config.toml"), config).unwrap();
    let mut life = KillableServer::begin(dir.path()).await;
    let body =
        json!({"target": "mambu", "components": ["Counterparties", "FinancingSolutions", "FinancingExecutions"]});
    let request = life.request(reqwest::Method::POST, "/migration-assistance/migrations").json(&body);
    let registered: Value = request.send().await.unwrap().json().await.unwrap();
    let migration = registered["referenceId"].as_str().unwrap().to_owned();
    stage(&life, &migration, count).await;
    assert_eq!(life.job(&migration, "validate").await["state"], "succeeded");
    let (mut chance, mut in_the_middle) = (Random(7), 0);
    for _ in 0..kills {
        let before = mambu.stats().calls;
        life.put(&format!("/migration-assistance/migrations/{migration}/jobs/import"), String::new()).await;
        tokio::time::sleep(Duration::from_millis(chance.below(250))).await;
        life.kill();
        in_the_middle += usize::from(mambu.stats().calls > before && mambu.stats().of("POST", "/clients") > 0);
        life = KillableServer::begin(dir.path()).await;
    }
    let end = life.job(&migration, "import").await;
    assert_eq!(end["state"], "succeeded", "{end}");
    check(&mambu, count);
    assert_eq!(life.job(&migration, "counts").await["state"], "succeeded");
    let stats = mambu.stats();
    println!(
        "{kills} kills, {in_the_middle} of them while calls were made; {count} clients and {count} loans, {} transactions, \
         each once, with {} calls",
        count * 3,
        stats.calls
    );
    life.kill();
}
