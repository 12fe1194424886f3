//! Permissions: the status of every route for every kind of client.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::{Value, json};
use sluice_model::Permission;
use uuid::Uuid;

use crate::harness::clients::{ClientProperties, token};
use crate::harness::lender::Lender;
use crate::harness::server::{Answer, Migration, Server, shared};

/// API clients of the table. The migration belongs to tenant `north` and covers Counterparties and Collaterals.
const CALLERS: &[(&str, Option<ClientProperties>)] = &[
    ("nobody", None),
    ("auditor", made("north", Permission::Audit, &[])),
    ("reader", made("north", Permission::Read, &[])),
    ("migrator", made("north", Permission::Migrate, &[])),
    ("approver", made("north", Permission::Approve, &[])),
    ("admin", made("north", Permission::Admin, &[])),
    ("reader of one domain", made("north", Permission::Read, &["Counterparties"])),
    ("migrator of one domain", made("north", Permission::Migrate, &["Counterparties"])),
    ("migrator of the other domain", made("north", Permission::Migrate, &["Collaterals"])),
    ("migrator of a third domain", made("north", Permission::Migrate, &["Administrate"])),
    ("reader of another tenant", made("south", Permission::Read, &[])),
    ("migrator of another tenant", made("south", Permission::Migrate, &[])),
];

const fn made(
    tenant: &'static str,
    permission: Permission,
    domains: &'static [&'static str],
) -> Option<ClientProperties> {
    Some(ClientProperties { tenant, permission, domains })
}

/// A method, a route, and the status for each client, in the order of `CALLERS`. A permitted request can still fail: a
/// job that has ended cannot be cancelled (409).
const ROUTES: &[(&str, &str, [u16; 12])] = &[
    //                                          no   audi read migr appr admn 1read 1migr 2migr 3migr oread omigr
    ("post", "/migration-assistance/migrations", [401, 403, 403, 201, 403, 403, 403, 403, 403, 403, 403, 201]),
    ("get", "/migration-assistance/migrations", [401, 200, 200, 200, 200, 403, 200, 200, 200, 200, 200, 200]),
    ("get", "/migration-assistance/migrations/{id}", [401, 200, 200, 200, 200, 403, 200, 200, 200, 403, 404, 404]),
    ("delete", "/migration-assistance/migrations/{id}", [401, 403, 403, 204, 403, 403, 403, 403, 403, 403, 403, 404]),
    (
        "put",
        "/migration-assistance/migrations/{id}/mapper",
        [401, 403, 403, 200, 403, 403, 403, 403, 403, 403, 403, 404],
    ),
    (
        "get",
        "/migration-assistance/migrations/{id}/sources",
        [401, 200, 200, 200, 200, 403, 403, 403, 403, 403, 404, 404],
    ),
    (
        "put",
        "/migration-assistance/migrations/{id}/sources/{source}",
        [401, 403, 403, 200, 403, 403, 403, 403, 403, 403, 403, 404],
    ),
    (
        "get",
        "/migration-assistance/migrations/{id}/sources/{source}/records",
        [401, 403, 200, 200, 200, 403, 403, 403, 403, 403, 404, 404],
    ),
    (
        "options",
        "/migration-assistance/migrations/{id}/sources/{source}/uploads",
        [401, 403, 403, 204, 403, 403, 403, 403, 403, 403, 403, 404],
    ),
    (
        "post",
        "/migration-assistance/migrations/{id}/sources/{source}/uploads",
        [401, 403, 403, 201, 403, 403, 403, 403, 403, 403, 403, 404],
    ),
    // The upload has received nothing yet.
    (
        "head",
        "/migration-assistance/migrations/{id}/sources/{source}/uploads/{upload}",
        [401, 403, 403, 200, 403, 403, 403, 403, 403, 403, 403, 404],
    ),
    (
        "patch",
        "/migration-assistance/migrations/{id}/sources/{source}/uploads/{upload}",
        [401, 403, 403, 204, 403, 403, 403, 403, 403, 403, 403, 404],
    ),
    (
        "get",
        "/migration-assistance/migrations/{id}/sources/{source}/uploads/{upload}",
        [401, 403, 200, 200, 200, 403, 403, 403, 403, 403, 404, 404],
    ),
    (
        "get",
        "/migration-assistance/migrations/{id}/sources/{source}/uploads/{upload}/results",
        [401, 403, 409, 409, 409, 403, 403, 403, 403, 403, 404, 404],
    ),
    (
        "delete",
        "/migration-assistance/migrations/{id}/sources/{source}/uploads/{upload}",
        [401, 403, 403, 204, 403, 403, 403, 403, 403, 403, 403, 404],
    ),
    (
        "get",
        "/migration-assistance/migrations/{id}/uploads",
        [401, 200, 200, 200, 200, 403, 403, 403, 403, 403, 404, 404],
    ),
    (
        "delete",
        "/migration-assistance/migrations/{id}/uploads/{number}",
        [401, 403, 403, 200, 403, 403, 403, 403, 403, 403, 403, 404],
    ),
    // A client of one domain sees the jobs of this domain.
    ("get", "/migration-assistance/migrations/{id}/jobs", [401, 200, 200, 200, 200, 403, 200, 200, 200, 403, 404, 404]),
    (
        "get",
        "/migration-assistance/migrations/{id}/jobs/{job}",
        [401, 200, 200, 200, 200, 403, 403, 403, 403, 403, 404, 404],
    ),
    (
        "put",
        "/migration-assistance/migrations/{id}/jobs/{job}",
        // A validation of the client's own domains.
        [401, 403, 403, 200, 403, 403, 403, 200, 200, 403, 403, 404],
    ),
    (
        "put",
        "/migration-assistance/migrations/{id}/jobs/{job}/cancel",
        [401, 403, 403, 409, 403, 403, 403, 403, 403, 403, 403, 404],
    ),
    // The job has ended.
    (
        "put",
        "/migration-assistance/migrations/{id}/jobs/{job}/pause",
        [401, 403, 403, 409, 403, 403, 403, 403, 403, 403, 403, 404],
    ),
    // The target is the embedded platform.
    ("get", "/migration-assistance/migrations/{id}/plan", [401, 403, 409, 409, 409, 403, 403, 403, 403, 403, 404, 404]),
    (
        "get",
        "/migration-assistance/migrations/{id}/ledger",
        [401, 403, 409, 409, 409, 403, 403, 403, 403, 403, 404, 404],
    ),
    (
        "put",
        "/migration-assistance/migrations/{id}/ledger",
        [401, 403, 403, 409, 403, 403, 403, 403, 403, 403, 403, 404],
    ),
    (
        "put",
        "/migration-assistance/migrations/{id}/ledger/{kind}/{reference-id}",
        [401, 403, 403, 409, 403, 403, 403, 403, 403, 403, 403, 404],
    ),
    // The job is no comparison.
    (
        "get",
        "/migration-assistance/migrations/{id}/jobs/{job}/differences",
        [401, 403, 409, 409, 409, 403, 403, 403, 403, 403, 404, 404],
    ),
    (
        "get",
        "/migration-assistance/migrations/{id}/issues",
        [401, 200, 200, 200, 200, 403, 200, 200, 200, 403, 404, 404],
    ),
    (
        "get",
        "/migration-assistance/migrations/{id}/issues/counts",
        [401, 200, 200, 200, 200, 403, 200, 200, 200, 403, 404, 404],
    ),
    ("get", "/migration-assistance/migrations/{id}/logs", [401, 200, 200, 200, 200, 403, 200, 200, 200, 403, 404, 404]),
    (
        "get",
        "/migration-assistance/migrations/{id}/events",
        [401, 200, 200, 200, 200, 403, 200, 200, 200, 403, 404, 404],
    ),
    (
        "get",
        "/migration-assistance/migrations/{id}/quarantine",
        [401, 403, 200, 200, 200, 403, 403, 403, 403, 403, 404, 404],
    ),
    (
        "get",
        "/migration-assistance/migrations/{id}/audit",
        [401, 200, 200, 200, 200, 403, 403, 403, 403, 403, 404, 404],
    ),
    // No counts job has run yet.
    (
        "get",
        "/migration-assistance/migrations/{id}/evidence",
        [401, 409, 409, 409, 409, 403, 403, 403, 403, 403, 404, 404],
    ),
    ("get", "/audit", [401, 403, 403, 403, 403, 200, 403, 403, 403, 403, 403, 403]),
    ("get", "/audit/key", [401, 200, 200, 200, 200, 403, 200, 200, 200, 200, 200, 200]),
    ("put", "/{domain}/migrations/{id}/staging/{entity}", [401, 403, 403, 200, 403, 403, 403, 200, 403, 403, 403, 404]),
    (
        "put",
        "/{domain}/migrations/{id}/staging/{entity}/delete",
        [401, 403, 403, 200, 403, 403, 403, 200, 403, 403, 403, 404],
    ),
    (
        "get",
        "/{domain}/migrations/{id}/staging/{entity}/stream",
        [401, 403, 200, 200, 200, 403, 200, 200, 403, 403, 404, 404],
    ),
    (
        "get",
        "/{domain}/migrations/{id}/staging/{entity}/refused",
        [401, 403, 200, 200, 200, 403, 200, 200, 403, 403, 404, 404],
    ),
    (
        "get",
        "/{domain}/migrations/{id}/staging/{entity}/{reference-id}",
        [401, 403, 200, 200, 200, 403, 200, 200, 403, 403, 404, 404],
    ),
    (
        "get",
        "/migration-assistance/migrations/{id}/records/{entity}/{reference-id}/provenance",
        [401, 403, 200, 200, 200, 403, 200, 200, 403, 403, 404, 404],
    ),
    // The record was uploaded without a mapper.
    (
        "get",
        "/migration-assistance/migrations/{id}/records/{entity}/{reference-id}/replay",
        [401, 403, 409, 409, 409, 403, 409, 409, 403, 403, 404, 404],
    ),
    ("get", "/migration-assistance/mappers", [401, 200, 200, 200, 200, 403, 200, 200, 200, 200, 200, 200]),
    // The body is no component. The permission is checked before the body.
    ("post", "/plugins", [401, 403, 403, 422, 403, 403, 403, 422, 422, 422, 403, 422]),
    ("get", "/plugins", [401, 200, 200, 200, 200, 403, 200, 200, 200, 200, 200, 200]),
    ("get", "/plugins/{digest}", [401, 200, 200, 200, 200, 403, 200, 200, 200, 200, 200, 200]),
    // The order matters: only an approved plugin can be revoked.
    ("put", "/plugins/{digest}/approval", [401, 403, 403, 403, 200, 403, 403, 403, 403, 403, 403, 403]),
    ("delete", "/plugins/{digest}/approval", [401, 403, 403, 403, 204, 403, 403, 403, 403, 403, 403, 403]),
    ("get", "/plugin-keys", [401, 403, 200, 200, 200, 403, 200, 200, 200, 200, 200, 200]),
    ("put", "/plugin-keys/{key}", [401, 403, 403, 403, 204, 403, 403, 403, 403, 403, 403, 403]),
    ("delete", "/plugin-keys/{key}", [401, 403, 403, 403, 204, 403, 403, 403, 403, 403, 403, 403]),
    // Only a client that sees every tenant may name two.
    ("get", "/reference-grants", [401, 403, 403, 403, 403, 403, 403, 403, 403, 403, 403, 403]),
    ("put", "/reference-grants/{tenant}/{owner}", [401, 403, 403, 403, 403, 403, 403, 403, 403, 403, 403, 403]),
    ("delete", "/reference-grants/{tenant}/{owner}", [401, 403, 403, 403, 403, 403, 403, 403, 403, 403, 403, 403]),
    ("get", "/metrics", [401, 403, 403, 403, 403, 200, 403, 403, 403, 403, 403, 403]),
    // Public routes ignore the token.
    ("get", "/health/live", [200; 12]),
    ("get", "/health/ready", [200; 12]),
    ("get", "/openapi.json", [200; 12]),
    ("get", "/problems/{code}", [200; 12]),
    ("get", "/schemas", [200; 12]),
    ("get", "/schemas/{entity}", [200; 12]),
    ("post", "/oauth2/token", [400; 12]),
    ("get", "/authentication/token/{broker-key}/{label-reference-id}", [401; 12]),
];

/// A migration of tenant `north` with one staged counterparty and a validation that has ended.
struct RouteFixture {
    server: &'static Server,
    id: String,
    record: String,
    job: String,
    /// Digest of a mapper that every tenant may use.
    digest: String,
    /// Path of a resumable upload that has received nothing.
    upload: String,
}

impl RouteFixture {
    async fn set(server: &'static Server, token: &str) -> Self {
        let body = json!({"components": ["Counterparties", "Collaterals"], "mapper": "berka"});
        let request = server.anonymous(Method::POST, "/migration-assistance/migrations").bearer_auth(token).json(&body);
        let answer = server.send(request).await;
        assert_eq!(answer.status, 201, "{}", answer.body);
        let id = answer.json()["referenceId"].as_str().unwrap().to_owned();
        let lender = Lender::of(&Migration { server, id: id.clone() });
        let mut record = lender.record("counterparties", 2);
        record.as_object_mut().unwrap().remove("associatedParties");
        let digest = answer.json()["mapperDigest"].as_str().unwrap().into();
        let record_id = record["referenceId"].as_str().unwrap().into();
        let mut scene = Self { server, record: record_id, id, job: String::new(), digest, upload: String::new() };
        let path = "/counterparty-management/migrations/{id}/staging/counterparties";
        let staged = scene.send("put", path, Some(token), Some(("application/jsonl", record.to_string()))).await;
        assert!(staged.body.contains("\"isSuccessful\":true"), "{}", staged.body);
        let path = "/migration-assistance/migrations/{id}/sources/{source}/uploads";
        let upload = scene.send("post", path, Some(token), None).await.json();
        scene.upload = upload["uploadId"].as_str().unwrap().into();
        let job = scene.send("put", "/migration-assistance/migrations/{id}/jobs/validate", Some(token), None).await;
        scene.job = job.json().as_str().unwrap_or_else(|| panic!("{}", job.body)).into();
        let path = scene.path("/migration-assistance/migrations/{id}/jobs/{job}");
        let wait = server.anonymous(Method::GET, &path).bearer_auth(token).header("prefer", "wait=60");
        assert_eq!(server.send(wait).await.json()["state"], "succeeded");
        scene
    }

    fn path(&self, route: &str) -> String {
        route
            .replace("{id}", &self.id)
            .replace("{domain}", "counterparty-management")
            .replace("{entity}", "counterparties")
            .replace("{reference-id}", &self.record)
            .replace("{job}", &self.job)
            .replace("{source}", "client")
            .replace("{kind}", "loans")
            .replace("{upload}", &self.upload)
            .replace("{number}", "1")
            .replace("{digest}", &self.digest)
            .replace("{code}", "NOT_VALIDATED")
            .replace("{tenant}", "north")
            .replace("{owner}", "south")
            .replace("{key}", &"5e".repeat(32))
            .replace("{broker-key}", "north")
            .replace("{label-reference-id}", "3f0e9d4c-5f3b-4c55-9c5b-2f1f4a3b7d10")
    }

    async fn send(&self, method: &str, route: &str, token: Option<&str>, body: Option<(&str, String)>) -> Answer {
        let method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
        let mut request = self.server.anonymous(method, &self.path(route));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        if route.contains("/uploads") {
            // `application/jsonl`, in base64.
            request = request.header("tus-resumable", "1.0.0").header("upload-offset", "0");
            request =
                request.header("upload-length", "5").header("upload-metadata", "filetype YXBwbGljYXRpb24vanNvbmw=");
        }
        if let Some((media_type, body)) = body {
            request = request.header("content-type", media_type).body(body);
        }
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        // A stream of events has no end.
        let endless = status == 200 && route.ends_with("/events");
        Answer { status, body: if endless { String::new() } else { response.text().await.unwrap() } }
    }

    /// Returns a body that the route accepts.
    fn body(&self, method: &str, route: &str) -> Option<(&'static str, String)> {
        Some(match (method, route.rsplit('/').next().unwrap()) {
            ("post", "migrations") => {
                ("application/json", json!({"components": ["Counterparties", "Collaterals"]}).to_string())
            }
            ("post", "plugins") => ("application/wasm", "no component".into()),
            ("put", "approval") => ("application/json", "{}".into()),
            ("put", "pause") => ("application/json", json!({"paused": true}).to_string()),
            ("put", "{reference-id}") => ("application/json", json!({"decision": "retry"}).to_string()),
            ("put", "ledger") => ("application/json", json!({"decision": "retry", "all": true}).to_string()),
            ("put", "mapper") => ("application/json", json!({"mapper": "berka"}).to_string()),
            ("put", "{source}") => ("application/jsonl", json!({"client_id": 7, "birth_number": "706213"}).to_string()),
            ("put", "{entity}") => (
                "application/jsonl",
                json!({"referenceId": self.record, "type": "organisation", "name": "N"}).to_string(),
            ),
            ("patch", "{upload}") => ("application/offset+octet-stream", "12345".into()),
            ("put", "delete") => ("application/jsonl", format!("{:?}", self.record)),
            _ => return None,
        })
    }
}

/// Returns the path to request: a job is started by kind and read by id.
fn called(method: &str, route: &str) -> String {
    if method == "put" {
        route
            .replace("/jobs/{job}", "/jobs/validate")
            .replace("validate/cancel", "{job}/cancel")
            .replace("validate/pause", "{job}/pause")
    } else {
        route.into()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_every_route_for_every_client() {
    let server = shared();
    let mut tokens = vec![];
    for (_, made) in CALLERS {
        tokens.push(match made {
            Some(made) => Some(token(server, *made).await),
            None => None,
        });
    }
    let owner = tokens[3].clone().unwrap();
    for (method, route, expected) in ROUTES {
        for ((caller, _), (token, expected)) in CALLERS.iter().zip(tokens.iter().zip(expected)) {
            let scene = RouteFixture::set(server, &owner).await;
            let called = called(method, route);
            let answer = scene.send(method, &called, token.as_deref(), scene.body(method, route)).await;
            assert_eq!(answer.status, *expected, "{method} {route} by {caller}: {}", answer.body);
            if *expected == 404 && route.contains("{id}") {
                // A migration of another tenant gives the same answer as a missing migration.
                let nothing = RouteFixture { id: Uuid::new_v4().to_string(), ..scene };
                let absent = nothing.send(method, &called, token.as_deref(), nothing.body(method, route)).await;
                assert_eq!((absent.status, absent.body), (answer.status, answer.body), "{method} {route}");
            }
        }
    }
}

/// The table has every route of the served description and no other.
#[tokio::test(flavor = "multi_thread")]
async fn lists_every_route_of_the_description() {
    let api = shared().get("/openapi.json").await.json();
    let described: BTreeSet<(String, String)> = api["paths"]
        .as_object()
        .unwrap()
        .iter()
        .flat_map(|(path, item)| item.as_object().unwrap().keys().map(|method| (method.clone(), path.clone())))
        .collect();
    let listed = ROUTES.iter().map(|(method, route, _)| (method.to_string(), route.to_string())).collect();
    assert_eq!(described, listed, "each route needs a row in ROUTES");
}

/// A client of one domain sees only that domain of a migration that covers two.
#[tokio::test(flavor = "multi_thread")]
async fn limits_a_client_to_its_domain() {
    let server = shared();
    let made = |domains| ClientProperties { tenant: "north", permission: Permission::Migrate, domains };
    let all = token(server, made(&[])).await;
    let scene = RouteFixture::set(server, &all).await;
    // One issue of each domain; no record has this id.
    for (route, record) in [
        (
            "/counterparty-management/migrations/{id}/staging/counterparties",
            json!({"referenceId": Uuid::new_v4(),
            "type": "organisation", "name": "N", "associatedParties": [Uuid::new_v4()]}),
        ),
        (
            "/collateral-management/migrations/{id}/staging/collaterals",
            json!({"referenceId": Uuid::new_v4(),
            "type": "mortgage", "collateralDefinitionCode": "NHG", "agreementReferenceIds": [Uuid::new_v4()],
            "counterpartyReferenceIds": [Uuid::new_v4()], "registeredMortgageEntries": []}),
        ),
    ] {
        let staged = scene.send("put", route, Some(&all), Some(("application/jsonl", record.to_string()))).await;
        assert!(staged.body.contains("\"isSuccessful\":true"), "{}", staged.body);
    }
    let job = scene.send("put", "/migration-assistance/migrations/{id}/jobs/validate", Some(&all), None).await.json();
    let path = scene.path("/migration-assistance/migrations/{id}/jobs/") + job.as_str().unwrap();
    let wait = server.anonymous(Method::GET, &path).bearer_auth(&all).header("prefer", "wait=60");
    assert_eq!(server.send(wait).await.json()["state"], "failed");

    let entity_types = |page: &Value| -> BTreeSet<String> {
        page["items"].as_array().unwrap().iter().map(|item| item["entityType"].as_str().unwrap().into()).collect()
    };
    let types = |names: &[&str]| names.iter().map(|name| name.to_string()).collect::<BTreeSet<String>>();
    for (domains, seen, components) in [
        (&[] as &'static [&'static str], types(&["collaterals", "counterparties"]), 2),
        (&["Counterparties"], types(&["counterparties"]), 1),
        (&["Collaterals", "Administrate"], types(&["collaterals"]), 1),
    ] {
        let token = token(server, made(domains)).await;
        let get = async |route: &str| scene.send("get", route, Some(&token), None).await.json();
        assert_eq!(entity_types(&get("/migration-assistance/migrations/{id}/issues").await), seen, "{domains:?}");
        assert_eq!(
            entity_types(&get("/migration-assistance/migrations/{id}/issues/counts").await),
            seen,
            "{domains:?}"
        );
        let shown = get("/migration-assistance/migrations/{id}").await;
        assert_eq!(shown["components"].as_array().unwrap().len(), components, "{domains:?}");
        let listed = get("/migration-assistance/migrations?limit=100").await;
        let ids = listed["items"].as_array().unwrap().iter().map(|item| item["referenceId"].as_str().unwrap());
        assert!(ids.into_iter().any(|id| id == scene.id), "{domains:?}");
    }
}
