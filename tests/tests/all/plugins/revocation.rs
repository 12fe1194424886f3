//! Revocations against approvals for every tenant, and mappers that confirm what others made.

use reqwest::Method;
use serde_json::json;
use sluice_model::Digest;

use super::approvals::{ApprovalClients, client_lines, variant};
use crate::harness::server::shared;

/// A tenant's revocation wins over the server's own approval of an embedded mapper, and over one that runs an import.
#[tokio::test(flavor = "multi_thread")]
async fn a_revocation_wins_over_the_approval_for_every_tenant() {
    let (cast, other) =
        (ApprovalClients::of(shared(), "revoking").await, ApprovalClients::of(shared(), "keeping").await);
    let mappers = cast.send(&cast.author, Method::GET, "/migration-assistance/mappers", None).await.json();
    let berka = mappers["items"].as_array().unwrap().iter().find(|mapper| mapper["name"] == "berka").unwrap().clone();
    let digest = berka["digest"].as_str().unwrap().to_owned();
    let (migration, kept) = (cast.loaded(&digest, 3).await, other.loaded(&digest, 3).await);
    // An earlier approval of the mapper by the tenant makes no difference.
    for approved_before in [false, true] {
        if approved_before {
            assert_eq!(cast.approve(&digest, json!({})).await.status, 200);
            assert_eq!(cast.job(&migration, "import").await["state"], "succeeded");
        }
        assert_eq!(cast.revoke(&digest).await.status, 204);
        assert_eq!(cast.revoke(&digest).await.problem(), (404, "NO_SUCH_APPROVAL".into()));
        let shown = cast.send(&cast.author, Method::GET, &format!("/plugins/{digest}"), None).await.json();
        assert_eq!(shown["approved"], false, "{shown}");
        assert_eq!(cast.start(&migration, "import").await.problem(), (409, "PLUGIN_NOT_APPROVED".into()));
    }
    assert_eq!(other.job(&kept, "import").await["state"], "succeeded", "another tenant's imports go on");
    // An approval ends the revocation.
    assert_eq!(cast.approve(&digest, json!({})).await.status, 200);
    assert_eq!(cast.job(&migration, "import").await["state"], "succeeded");
}

/// Records that an unapproved mapper made can be imported once an approved one has confirmed them, by a remap or by
/// another upload.
#[tokio::test(flavor = "multi_thread")]
async fn an_approved_mapper_confirms_what_an_unapproved_one_made() {
    let cast = ApprovalClients::of(shared(), "confirming").await;
    let (tried, approved) =
        (variant(sluice_tests::guest("mended"), b'x'), variant(sluice_tests::guest("mended"), b'y'));
    let [tried, approved] = [&tried, &approved].map(|component| (Digest::of(component).to_string(), component.clone()));
    for (_, component) in [&tried, &approved] {
        assert_eq!(cast.push(component, None).await.status, 201);
    }
    assert_eq!(cast.approve(&approved.0, json!({})).await.status, 200);
    for way in ["remap", "upload"] {
        let migration = cast.loaded(&tried.0, 3).await;
        let refused = cast.start(&migration, "import").await;
        assert_eq!(refused.problem(), (409, "PLUGIN_NOT_APPROVED".into()));
        let detail = refused.json()["detail"].as_str().unwrap().to_owned();
        assert!(detail.contains(&tried.0) && detail.contains("sluice remap ID --mapper"), "{detail}");
        if way == "remap" {
            let body = json!({"mapper": approved.0});
            let started = cast.send(&cast.author, Method::PUT, &migration.path("/jobs/remap"), Some(body)).await;
            let ended = cast.ended(&migration, &started.json()).await;
            assert_eq!((&ended["state"], &ended["result"]["changed"]), (&json!("succeeded"), &json!(0)), "{ended}");
            let shown = cast.send(&cast.author, Method::GET, &migration.path(""), None).await.json();
            assert_eq!(shown["mapperDigest"], approved.0, "the mapper is the migration's from then on");
            assert_eq!(shown["stagingStatus"], "Validated", "nothing has changed");
        } else {
            let body = json!({"mapper": approved.0});
            cast.send(&cast.author, Method::PUT, &migration.path("/mapper"), Some(body)).await;
            cast.load(&migration, 3).await;
        }
        let imported = cast.job(&migration, "import").await;
        assert_eq!(
            (&imported["state"], &imported["result"]["inserted"]),
            (&json!("succeeded"), &json!(3)),
            "{way}: {imported}"
        );
    }
    // Both things that are missing are said.
    let migration = cast.loaded(&tried.0, 3).await;
    let upload = cast.server.anonymous(Method::PUT, &migration.path("/sources/client")).bearer_auth(&cast.author);
    let upload = upload.header("content-type", "application/jsonl").body(client_lines(4));
    assert_eq!(cast.server.send(upload).await.status, 200);
    let refused = cast.start(&migration, "import").await;
    assert_eq!(refused.problem(), (409, "NOT_VALIDATED".into()));
    let detail = refused.json()["detail"].as_str().unwrap().to_owned();
    assert!(
        detail.contains("validate job") && detail.contains(&tried.0) && detail.contains("not approved"),
        "{detail}"
    );
}
