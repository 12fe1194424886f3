//! Restoring a backup that is older than some calls to the platform: the importer queries before it sends.

use std::time::Duration;

use mock_mambu::{Mambu, Options, Running};
use serde_json::{Value, json};
use sluice_config::Config;

use super::small::{check, stage};
use super::{FLOWS, agree, import, platform, register};
use crate::backup::BackupFolder;
use crate::server::restart::at;

/// Returns clients, loans and transactions: the results of calls that must not be repeated.
fn call_results(mambu: &Running) -> Vec<Value> {
    let state = mambu.state();
    let loans = state["loans"].as_array().unwrap();
    let of_loan = |loan: &Value| json!([loan["encodedKey"], loan["accountState"], loan["transactions"]]);
    state["clients"].as_array().unwrap().iter().cloned().chain(loans.iter().map(of_loan)).collect()
}

/// Restores a backup of before the first call and one of after the last. Each result of a call is there once.
#[tokio::test(flavor = "multi_thread")]
async fn repeats_no_call_that_is_newer_than_the_backup() {
    for flow in FLOWS {
        // The mock platform forgets idempotency keys at once, so the importer has to query what was done.
        let forgetful =
            Options { idempotency: Duration::from_millis(1), close_after_processing: true, ..Options::default() };
        let mambu = Mambu::start(forgetful).await.unwrap();
        let configured = || Config {
            platforms: [("mambu".to_owned(), platform(&mambu, |config| config.flow = flow))].into(),
            ..Config::default()
        };
        let place = BackupFolder::new();
        let life = place.begin_with("data", configured());
        let migration = register(life.server, "mambu").await;
        stage(&migration, &mambu).await;
        place.backup("before");
        assert_eq!(import(&migration).await["state"], "succeeded");
        place.backup("after");
        life.end().await;
        let made = call_results(&mambu);
        for name in ["before", "after"] {
            let data = format!("restored-{name}");
            place.restore(name, &data);
            let life = place.begin_with(&data, configured());
            let migration = at(life.server, &migration);
            let again = import(&migration).await;
            assert_eq!(again["state"], "succeeded", "{name}: {again:#} {:#?}", migration.issues("import").await);
            assert_eq!(call_results(&mambu), made, "{name}: no call is repeated");
            check(&mambu, &migration);
            agree(&migration).await;
            life.end().await;
        }
    }
}
