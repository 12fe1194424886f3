//! Steps that need two clients by configuration, and the maxima of an approval's limits.

use reqwest::Method;
use serde_json::{Value, json};
use sluice_config::{Config, FourEyes};
use sluice_model::Permission;
use sluice_server::app::Options;

use crate::harness::clients::session_with;
use crate::harness::lender::Lender;
use crate::harness::server::{ALL, Answer, Migration, Server, start};

const BOTH: &[Permission] = &[Permission::Migrate, Permission::Approve];

/// Starts a server on which these steps need two clients.
fn server(four_eyes: Vec<FourEyes>) -> &'static Server {
    let data_dir = tempfile::tempdir().unwrap().keep().join("data");
    let mut config = Config::default();
    config.approval.four_eyes = four_eyes;
    config.http.requests_per_second = 1_000_000;
    config.http.request_burst = 1_000_000;
    Box::leak(Box::new(
        start(Options { data_dir, config, mappers: vec![], worker: crate::harness::worker() }, std::future::pending())
            .0,
    ))
}

async fn push(client: &Server) -> String {
    let request = client.request(Method::POST, "/plugins").header("content-type", "application/wasm");
    let answer = client.send(request.body(sluice_tests::guest("stateful").to_vec())).await;
    assert!([200, 201].contains(&answer.status), "{}", answer.body);
    answer.json()["digest"].as_str().unwrap().to_owned()
}

async fn approve(client: &Server, digest: &str, limits: Value) -> Answer {
    let request = client.request(Method::PUT, &format!("/plugins/{digest}/approval"));
    client.send(request.json(&json!({"limits": limits}))).await
}

/// Returns status and code of an answer; no code if it is not a problem.
fn outcome(answer: &Answer) -> (u16, String) {
    if answer.status == 200 { (200, String::new()) } else { answer.problem() }
}

/// Returns the first entry of a trail with this action and, if it is about a job, this kind.
async fn entry(client: &Server, path: &str, action: &str, kind: Option<&str>) -> Value {
    let page = client.get(&format!("{path}?limit=100")).await.json();
    let mut entries = page["items"].as_array().unwrap().iter();
    let found = entries.find(|entry| entry["action"] == action && kind.is_none_or(|kind| entry["kind"] == kind));
    found.unwrap_or_else(|| panic!("no {action} in {page:#}")).clone()
}

/// With `plugin`, the client that pushed a plugin cannot approve it. The trail names both in any case.
#[tokio::test(flavor = "multi_thread")]
async fn who_pushed_cannot_approve() {
    for (four_eyes, own_approval) in [
        (vec![], (200, "")),
        (vec![FourEyes::Import], (200, "")),
        (vec![FourEyes::Plugin], (403, "PUSHED_BY_SAME_CLIENT")),
    ] {
        let server = server(four_eyes);
        let (author, as_author) = session_with(server, Some("north"), BOTH).await;
        let (approver, as_approver) = session_with(server, Some("north"), BOTH).await;
        let digest = push(as_author).await;
        let own = approve(as_author, &digest, json!({})).await;
        assert_eq!(outcome(&own), (own_approval.0, own_approval.1.to_owned()));
        // A second push does not make the other client the author.
        push(as_approver).await;
        assert_eq!(approve(as_approver, &digest, json!({})).await.status, 200);
        let approved = entry(server, "/audit", "PLUGIN_APPROVED", None).await;
        let acted = if own_approval.0 == 200 { &author } else { &approver };
        assert_eq!(approved["client"], json!(author), "{approved}");
        assert!(approved["actor"].to_string().contains(acted.as_str()), "{approved}");
    }
}

/// With `import`, the client that started the validation cannot start the import. Trail and evidence name both in any case.
#[tokio::test(flavor = "multi_thread")]
async fn who_validated_cannot_import() {
    for (four_eyes, own_import) in
        [(vec![], (200, "")), (vec![FourEyes::Plugin, FourEyes::Import], (403, "VALIDATED_BY_SAME_CLIENT"))]
    {
        let server = server(four_eyes);
        let (validator, as_validator) = session_with(server, Some("north"), BOTH).await;
        let (importer, as_importer) = session_with(server, Some("north"), BOTH).await;
        let migration = as_validator.register(None, ALL).await;
        Lender::of(&migration).stage(&migration).await;
        assert_eq!(migration.job("validate").await["state"], "succeeded");
        // A preview stores nothing.
        assert_eq!(migration.job_with("import", &json!({"preview": true})).await["state"], "succeeded");
        let started = migration.start("import").await;
        assert_eq!(outcome(&started), (own_import.0, own_import.1.to_owned()));
        if started.status == 200 {
            migration.ended(started).await;
        }
        let other = Migration { server: as_importer, id: migration.id.clone() };
        for kind in ["import", "counts"] {
            assert_eq!(other.job(kind).await["state"], "succeeded");
        }
        let mut imports = vec![];
        let trail = migration.get("/audit?limit=100").await;
        for entry in trail["items"].as_array().unwrap() {
            if entry["action"] == "JOB_STARTED" && entry["kind"] == "import" {
                imports.push(entry["client"].clone());
            }
        }
        // The preview names nobody.
        assert_eq!(imports.last(), Some(&json!(validator)), "{trail:#}");
        let evidence = as_importer.get(&migration.path("/evidence")).await.body;
        assert!(
            evidence.contains(&format!("\\\"validatedBy\\\":\\\"{validator}\\\""))
                || evidence.contains(&format!("\"validatedBy\":\"{validator}\"")),
            "{evidence}"
        );
        assert!(
            evidence.contains(&format!("importedBy\\\":\\\"{importer}"))
                || evidence.contains(&format!("importedBy\":\"{importer}")),
            "{evidence}"
        );
    }
}

/// An approval stays under the operator's maxima. The refusal names the limit and its maximum.
#[tokio::test(flavor = "multi_thread")]
async fn limits_stay_under_the_maxima() {
    let server = server(vec![]);
    let (_, client) = session_with(server, Some("north"), BOTH).await;
    let digest = push(client).await;
    for (limit, value, maximum) in [
        ("batch_millis", 60_000_u64, None),
        ("batch_millis", 60_001, Some("60000")),
        ("total_seconds", 313_200, Some("86400")),
        ("memory_bytes", 4 << 30, Some("536870912")),
    ] {
        let answer = approve(client, &digest, json!({limit: value})).await;
        match maximum {
            None => assert_eq!((answer.status, &answer.json()["limits"][limit]), (200, &json!(value))),
            Some(maximum) => {
                assert_eq!(answer.problem(), (422, "LIMIT_ABOVE_MAXIMUM".into()));
                let detail = answer.json()["detail"].to_string();
                assert!(detail.contains(limit) && detail.contains(maximum), "{detail}");
            }
        }
    }
}
