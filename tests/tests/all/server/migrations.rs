//! Migrations as resources: registration, lists, reading, choice of a mapper, purging.

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::lender::{Lender, put, set_mapper};
use crate::harness::server::{ALL, Answer, Migration, shared};

const MIGRATIONS: &str = "/migration-assistance/migrations";

async fn post(media_type: &str, body: &str) -> Answer {
    let request = shared().request(Method::POST, MIGRATIONS).header("content-type", media_type).body(body.to_owned());
    shared().send(request).await
}

#[tokio::test(flavor = "multi_thread")]
async fn registers_and_describes_a_migration() {
    let body = json!({"components": ALL, "mapper": "berka"});
    let request = shared().request(Method::POST, MIGRATIONS).json(&body);
    let response = request.send().await.unwrap();
    assert_eq!(response.status().as_u16(), 201);
    let location = response.headers()["location"].to_str().unwrap().to_owned();
    let registered: Value = response.json().await.unwrap();
    let id = registered["referenceId"].as_str().unwrap();
    assert_eq!(location, format!("{MIGRATIONS}/{id}"));
    assert_eq!(registered["mapper"], "berka");
    let components = registered["components"].as_array().unwrap();
    let names: Vec<&str> = components.iter().map(|component| component["component"].as_str().unwrap()).collect();
    assert_eq!(names, ALL);
    for figures in components.iter().chain([&registered]) {
        assert_eq!((&figures["stagingStatus"], &figures["importStatus"]), (&json!("Pending"), &json!("Pending")));
        let numbers = (&figures["numberOfStagedEntities"], &figures["numberOfImportedEntities"]);
        assert_eq!(numbers, (&json!(0), &json!(0)));
    }
    assert_eq!(shared().get(&location).await.json(), registered);
}

/// Media type, body, and status and code of the problem.
const NOT_REGISTERED: &[(&str, &str, u16, &str)] = &[
    ("application/json", r#"{"components":["Counterparties","Magic"]}"#, 422, "UNKNOWN_COMPONENT"),
    ("application/json", r#"{"components":["counterparties"]}"#, 422, "UNKNOWN_COMPONENT"),
    ("application/json", r#"{"components":[]}"#, 422, "NO_COMPONENT"),
    ("application/json", r#"{"components":["Counterparties"],"mapper":"nobody"}"#, 422, "UNKNOWN_MAPPER"),
    ("application/json", r#"{"components":["Counterparties"],"maper":"berka"}"#, 400, "INVALID_BODY"),
    ("application/json", r#"{"components":"Counterparties"}"#, 400, "INVALID_BODY"),
    ("application/json", r#"{"components":["Counterparties"]"#, 400, "INVALID_BODY"),
    ("application/json", "{}", 400, "INVALID_BODY"),
    ("application/json", "[]", 400, "INVALID_BODY"),
    ("application/json", "", 400, "INVALID_BODY"),
    ("text/plain", r#"{"components":["Counterparties"]}"#, 415, "UNSUPPORTED_MEDIA_TYPE"),
];

#[tokio::test(flavor = "multi_thread")]
async fn refuses_invalid_registrations() {
    for (media_type, body, status, code) in NOT_REGISTERED {
        assert_eq!(post(media_type, body).await.problem(), (*status, code.to_string()), "{body}");
    }
}

/// Query, and status and code of the problem.
const BAD_PAGES: &[(&str, &str)] = &[
    ("limit=0", "INVALID_PARAMETER"),
    ("limit=101", "INVALID_PARAMETER"),
    ("limit=-1", "INVALID_PARAMETER"),
    ("limit=ten", "INVALID_PARAMETER"),
    ("limit=", "INVALID_PARAMETER"),
    ("offset=-1", "INVALID_PARAMETER"),
    ("offset=99999999999999999999", "INVALID_PARAMETER"),
    ("page=1", "UNKNOWN_PARAMETER"),
    ("limit=1&sort=up", "UNKNOWN_PARAMETER"),
];

/// All lists have the same paging.
#[tokio::test(flavor = "multi_thread")]
async fn pages_every_list() {
    let migration = shared().register(Some("berka"), &["Counterparties"]).await;
    // Three issues, three jobs and more than three log entries.
    let results = migration.source("client", "1\n2\n3\n").await.lines();
    assert!(results.len() == 3 && results.iter().all(|result| result["isSuccessful"] == false));
    migration.source("client", "{\"client_id\":1,\"birth_number\":\"706213\"}\n").await;
    for _ in 0..3 {
        migration.job("validate").await;
    }
    let listings =
        [MIGRATIONS.to_owned(), migration.path("/jobs"), migration.path("/logs"), migration.path("/issues?phase=load")];
    for path in listings {
        let with = |query: &str| format!("{path}{}{query}", if path.contains('?') { '&' } else { '?' });
        for (query, code) in BAD_PAGES {
            assert_eq!(shared().get(&with(query)).await.problem(), (400, code.to_string()), "{path} {query}");
        }
        let first = shared().get(&with("limit=1")).await.json();
        assert_eq!((&first["offset"], &first["limit"]), (&json!(0), &json!(1)), "{path}");
        assert_eq!(first["items"].as_array().unwrap().len(), 1, "{path}");
        let total = first["total"].as_u64().unwrap();
        assert!(total >= 3, "{path}: {total}");
        let beyond = shared().get(&with("offset=1000000&limit=100")).await.json();
        assert_eq!(beyond["items"], json!([]), "{path}");
        assert_eq!(shared().get(&path).await.json()["limit"], 20, "{path}");
        // Other tests register migrations meanwhile, but the items of this migration do not change.
        if path != MIGRATIONS {
            let whole = shared().get(&with("limit=100")).await.json();
            for offset in 0..total {
                let page = shared().get(&with(&format!("offset={offset}&limit=1"))).await.json();
                assert_eq!(page["items"][0], whole["items"][offset as usize], "{path} {offset}");
            }
        }
    }
}

/// Filters and counts issues by phase, code and entity type.
#[tokio::test(flavor = "multi_thread")]
async fn filters_and_counts_issues() {
    let migration = shared().register(Some("berka"), &["Counterparties"]).await;
    migration.source("client", "1\nx\n{\"client_id\":1,\"birth_number\":\"709999\"}\n").await;
    migration.stage("counterparty-management", "counterparties", "x\n").await;
    let total = async |query: &str| migration.get(&format!("/issues?{query}")).await["total"].as_u64().unwrap();
    let cases = [
        ("phase=load", 4),
        ("phase=load&code=INVALID_JSON", 2),
        ("phase=load&code=INVALID_JSON&entityType=client", 1),
        ("phase=load&entityType=counterparties", 1),
        ("phase=load&code=NOTHING", 0),
        ("phase=validate", 0),
        ("limit=5", 0),
        ("phase=import", 0),
    ];
    for (query, expected) in cases {
        assert_eq!(total(query).await, expected, "{query}");
    }
    let counts = migration.get("/issues/counts?phase=load").await;
    let count = |of: &str, code: &str| {
        let mut items = counts["items"].as_array().unwrap().iter();
        items.find(|item| item["entityType"] == of && item["code"] == code).unwrap()["count"].clone()
    };
    assert_eq!(count("client", "NOT_AN_OBJECT"), 1);
    assert_eq!(count("counterparties", "INVALID_JSON"), 1);
    let answer = shared().get(&migration.path("/issues?phase=later")).await;
    assert_eq!(answer.problem(), (400, "INVALID_PARAMETER".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn chooses_a_mapper_after_registration() {
    let migration = shared().register(None, &["Counterparties"]).await;
    let client = "{\"client_id\":1,\"birth_number\":\"706213\"}\n";
    assert_eq!(migration.source("client", client).await.problem(), (409, "NO_MAPPER".into()));
    assert_eq!(set_mapper(&migration, "nobody").await, 422);
    assert_eq!(set_mapper(&migration, "berka").await, 200);
    assert_eq!(migration.get("").await["mapper"], "berka");
    assert_eq!(migration.source("client", client).await.lines()[0]["outcome"], "mapped");
    assert_eq!(migration.source("clients", client).await.problem(), (404, "NO_SUCH_SOURCE".into()));
}

/// A purged migration has no records but those imported, and keeps its figures.
#[tokio::test(flavor = "multi_thread")]
async fn purges_a_migration() {
    let migration = shared().register(Some("berka"), &["Counterparties"]).await;
    let other = shared().register(Some("berka"), &["Counterparties"]).await;
    for migration in [&migration, &other] {
        let record = Lender::of(migration).record("counterparties", 3);
        put(migration, "counterparty-management", "counterparties", &[record]).await;
        migration.source("client", "no client\n").await;
    }
    for kind in ["validate", "import", "counts"] {
        assert_eq!(migration.job(kind).await["state"], "succeeded");
    }
    let (before, jobs) = (migration.get("").await, migration.get("/jobs").await);
    let counts = migration.get("/issues/counts?phase=load").await;
    assert_eq!((&before["numberOfStagedEntities"], &counts["total"]), (&json!(1), &json!(1)));
    assert_eq!(before.get("purgedAt"), None);
    let delete = |path: String| shared().send(shared().request(Method::DELETE, &path));
    assert!(migration.directory().exists());
    assert_eq!(delete(migration.path("")).await.status, 204);
    assert!(!migration.directory().exists());
    let shown = migration.get("").await;
    assert_eq!((&shown["stagingStatus"], &shown["importStatus"]), (&json!("Purged"), &json!("Imported")));
    assert_eq!((&shown["numberOfStagedEntities"], &shown["numberOfImportedEntities"]), (&json!(0), &json!(1)));
    assert!(shown["purgedAt"].as_str().unwrap() > shown["registeredAt"].as_str().unwrap());
    let listed = shared().get(&format!("{MIGRATIONS}?limit=100")).await.json();
    assert!(listed["items"].as_array().unwrap().contains(&shown), "the list has the same representation");
    assert_eq!(migration.get("/jobs").await, jobs, "jobs keep their results");
    assert_eq!(migration.get("/issues/counts?phase=load").await, counts);
    assert_eq!(migration.get("/issues?phase=load").await["total"], 0);
    let logs = migration.get("/logs").await;
    assert_eq!((&logs["total"], &logs["items"][0]["code"]), (&json!(1), &json!("MIGRATION_PURGED")));

    let gone = (409, "MIGRATION_PURGED".to_owned());
    let record = migration.staging("counterparty-management", &format!("counterparties/{}", migration.id));
    let stream = migration.staging("counterparty-management", "counterparties/stream");
    for path in [migration.path("/sources"), stream, record] {
        assert_eq!(shared().get(&path).await.problem(), gone, "{path}");
    }
    for kind in ["validate", "import", "counts"] {
        assert_eq!(migration.start(kind).await.problem(), gone, "{kind}");
    }
    for stream in ["counterparties", "counterparties/delete"] {
        assert_eq!(migration.stage("counterparty-management", stream, "{}\n").await.problem(), gone, "{stream}");
    }
    assert_eq!(migration.source("client", "{}\n").await.problem(), gone);
    assert_eq!(set_mapper(&migration, "berka").await, 409);
    assert_eq!(delete(migration.path("")).await.status, 204, "purging is idempotent");
    assert_eq!(migration.get("").await, shown);
    assert!(!migration.directory().exists(), "reading does not restore the directory");
    assert_eq!(imported(&migration), 1, "imported records stay");
    assert_eq!(
        other.staged("counterparty-management", "counterparties").await.len(),
        1,
        "other migrations do not change"
    );
    assert_eq!(other.issues("load").await.len(), 1);
}

/// Counts the rows that a migration has added to the platform's counterparties.
fn imported(migration: &Migration) -> u64 {
    let database = rusqlite::Connection::open(shared().data_dir.join(sluice_data_dir::TARGET_FILE)).unwrap();
    let query = "SELECT count(*) FROM counterparties JOIN sluice_origins o ON o.number = sluice_origin
                 WHERE o.migration = ?";
    database.query_row(query, [&migration.id], |row| row.get(0)).unwrap()
}
