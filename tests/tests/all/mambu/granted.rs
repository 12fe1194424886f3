//! Platforms that the configuration grants to tenants by name.

use reqwest::Method;
use serde_json::json;
use sluice_config::Config;
use sluice_model::Permission;
use sluice_server::app::Options;

use super::{mambu, platform};
use crate::harness::clients::{ClientProperties, session};
use crate::harness::lender::Lender;
use crate::harness::server::{ALL, Migration, Server};
use crate::server::restart::{at, begin_with};

/// The tenants of the configuration, and whether north may register a migration into the platform.
const GRANTS: &[(&[&str], bool)] =
    &[(&[], false), (&["south"], false), (&["north"], true), (&["south", "north"], true), (&["*"], true)];

async fn register(client: &'static Server) -> (u16, serde_json::Value) {
    let body = json!({"components": ALL, "target": "mambu"});
    let answer = client.send(client.request(Method::POST, "/migration-assistance/migrations").json(&body)).await;
    (answer.status, answer.json())
}

/// A tenant without the grant cannot register a migration, and learns no name. A migration of a tenant that has lost the
/// grant sends no call.
#[tokio::test(flavor = "multi_thread")]
async fn a_platform_is_granted_by_name() {
    let mock = mambu().await;
    let data_dir = tempfile::tempdir().unwrap().keep().join("data");
    let start = |tenants: &[&str]| {
        let granted = tenants.iter().map(|tenant| tenant.to_string()).collect();
        let config = platform(&mock, |platform| platform.tenants = granted);
        let config = Config { platforms: [("mambu".into(), config)].into(), ..Config::default() };
        begin_with(Options { data_dir: data_dir.clone(), config, mappers: vec![], worker: crate::harness::worker() })
    };
    let north = ClientProperties { tenant: "north", permission: Permission::Migrate, domains: &[] };
    let mut registered = None;
    for (tenants, granted) in GRANTS {
        let life = start(tenants);
        let client = session(life.server, north).await;
        let (status, answer) = register(client).await;
        if *granted {
            assert_eq!(status, 201, "{tenants:?}: {answer}");
            let migration = Migration { server: client, id: answer["referenceId"].as_str().unwrap().into() };
            Lender::of(&migration).stage(&migration).await;
            assert_eq!(migration.job("validate").await["state"], "succeeded");
            registered = Some(migration);
        } else {
            assert_eq!((status, &answer["code"]), (422, &json!("UNKNOWN_TARGET")), "{tenants:?}: {answer}");
            assert!(!answer["detail"].as_str().unwrap().contains("mambu"), "{answer}");
        }
        life.end().await;
    }
    let life = start(&["south"]);
    let migration = at(session(life.server, north).await, &registered.unwrap());
    for kind in ["plan", "import", "counts", "undo"] {
        let answer = migration.start(kind).await;
        let code = if answer.status == 200 {
            migration.ended(answer).await["result"]["problem"]["code"].clone()
        } else {
            answer.json()["code"].clone()
        };
        assert_eq!(code, "PLATFORM_NOT_CONFIGURED", "{kind}");
    }
    life.end().await;
}
