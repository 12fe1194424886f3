//! A backup of a migration into a platform is older than what was called since: restored, it asks before it sends.

use std::time::Duration;

use mock_mambu::{Mambu, Options, Running};
use serde_json::{Value, json};
use sluice_config::Config;

use super::small::{check, stage};
use super::{FLOWS, agree, import, platform, register};
use crate::backup::Place;
use crate::server::restart::at;

/// Clients, loans and transactions: what a call makes that may not be made again.
fn made_there(mambu: &Running) -> Vec<Value> {
    let state = mambu.state();
    let loans = state["loans"].as_array().unwrap();
    let of_loan = |loan: &Value| json!([loan["encodedKey"], loan["accountState"], loan["transactions"]]);
    state["clients"].as_array().unwrap().iter().cloned().chain(loans.iter().map(of_loan)).collect()
}

/// Whether the backup was taken before any call was made or after all: whatever was called since is there once.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_called_since_is_not_called_again() {
    for flow in FLOWS {
        // Keys are forgotten at once: what has happened has to be found out by asking.
        let forgetful =
            Options { idempotency: Duration::from_millis(1), close_after_processing: true, ..Options::default() };
        let mambu = Mambu::start(forgetful).await.unwrap();
        let configured = || Config {
            platforms: [("mambu".to_owned(), platform(&mambu, |config| config.flow = flow))].into(),
            ..Config::default()
        };
        let place = Place::new();
        let life = place.begin_with("data", configured());
        let migration = register(life.server, "mambu").await;
        stage(&migration, &mambu).await;
        place.backup("before");
        assert_eq!(import(&migration).await["state"], "succeeded");
        place.backup("after");
        life.end().await;
        let made = made_there(&mambu);
        for name in ["before", "after"] {
            let data = format!("restored-{name}");
            place.restore(name, &data);
            let life = place.begin_with(&data, configured());
            let migration = at(life.server, &migration);
            let again = import(&migration).await;
            assert_eq!(again["state"], "succeeded", "{name}: {again:#} {:#?}", migration.issues("import").await);
            assert_eq!(made_there(&mambu), made, "{name}: nothing was made again");
            check(&mambu, &migration);
            agree(&migration).await;
            life.end().await;
        }
    }
}
