//! Grants of an operator: records of one tenant may refer to rows of another one.

use reqwest::Method;
use serde_json::{Value, json};
use sluice_model::Permission;
use uuid::Uuid;

use super::tenants::{imported, made, rows, succeeded};
use crate::harness::clients::{operator, session};
use crate::harness::lender::{Lender, put};
use crate::harness::server::{ALL, Server};
use crate::mambu::server;

/// Returns the actions of the server's trail that concern grants, with both tenants.
async fn grants_in_trail(operator: &Server) -> Vec<(String, String, String)> {
    let trail = operator.get("/audit?limit=100").await.json();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let entries = trail["items"].as_array().unwrap().iter();
    entries
        .filter(|entry| entry["action"].as_str().is_some_and(|action| action.starts_with("REFERENCE_GRANT")))
        .map(|entry| (text(&entry["action"]), text(&entry["tenant"]), text(&entry["owner"])))
        .collect()
}

/// An operator's grant lets south's records refer to north's rows, until it is taken back. Both are in the trail.
#[tokio::test(flavor = "multi_thread")]
async fn a_grant_lets_records_refer() {
    let server = server(vec![]);
    let north = session(server, made("north", Permission::Migrate)).await;
    let south = session(server, made("south", Permission::Migrate)).await;
    let operator = operator(server).await;
    let victim = imported(north).await;
    let before = rows(server, "north");
    let lender = Lender(victim.id.parse().unwrap());
    let grant = async |method: Method, path: &str| {
        let answer = operator.send(operator.request(method, &format!("/reference-grants/{path}"))).await;
        if answer.status == 204 { (204, String::new()) } else { answer.problem() }
    };
    let refers = async || {
        let migration = south.register(None, ALL).await;
        let mut repayment = lender.record("repayments", 1);
        repayment["referenceId"] = json!(Uuid::new_v4());
        put(&migration, "financing-execution", "repayments", &[repayment]).await;
        migration
    };
    let refused = refers().await;
    assert_eq!(refused.job("validate").await["state"], "failed");

    for (path, expected) in [
        ("south/south", (422, "SAME_TENANT")),
        ("south/North", (422, "INVALID_TENANT")),
        ("south/north", (204, "")),
        // Idempotent, and in the trail once.
        ("south/north", (204, "")),
    ] {
        assert_eq!(grant(Method::PUT, path).await, (expected.0, expected.1.to_owned()), "{path}");
    }
    let listed = operator.get("/reference-grants").await.json();
    assert_eq!((&listed["items"][0]["tenant"], &listed["items"][0]["owner"]), (&json!("south"), &json!("north")));
    let granted = refers().await;
    for kind in ["validate", "import", "counts"] {
        succeeded(&granted, kind).await;
    }
    assert!(rows(server, "north") == before, "the grant lets south refer, and nothing else");
    // North's rows stay as long as one of south refers to them. North learns their number alone.
    let undo = victim.job("undo").await;
    assert_eq!((&undo["state"], &undo["result"]["referring"]["count"]), (&json!("failed"), &json!(1)), "{undo:#}");
    assert!(!undo.to_string().contains(&granted.id), "{undo:#}");

    let validated = refers().await;
    succeeded(&validated, "validate").await;
    assert_eq!(grant(Method::DELETE, "south/north").await, (204, String::new()));
    assert_eq!(grant(Method::DELETE, "south/north").await, (404, "NO_SUCH_REFERENCE_GRANT".into()));
    assert_eq!(validated.start("import").await.problem(), (409, "NOT_VALIDATED".into()));
    assert_eq!(validated.job("validate").await["state"], "failed");
    succeeded(&victim, "undo").await;
    let entry = |action: &str| (action.to_owned(), "south".to_owned(), "north".to_owned());
    assert_eq!(grants_in_trail(operator).await, ["REFERENCE_GRANT_GIVEN", "REFERENCE_GRANT_TAKEN"].map(entry));
}
