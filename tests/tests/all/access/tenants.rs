//! Two tenants on one server and in one target: neither learns of the other's rows, nor changes them.
//!
//! Each attempt of [`ATTEMPTS`] runs twice: with ids of the other tenant, and with ids that nobody has. Both have to come to
//! the same. `docs/security/tenants.md` explains each attempt.

use reqwest::Method;
use rusqlite::Connection;
use rusqlite::types::Value as Cell;
use serde_json::{Value, json};
use sluice_model::Permission;
use uuid::Uuid;

use crate::harness::clients::{ClientProperties, session};
use crate::harness::lender::{Lender, TYPES, put};
use crate::harness::server::{ALL, Answer, Migration, Server};
use crate::mambu::{mambu, platform, server};

/// A way in which a tenant could learn of another tenant's rows, or change them.
enum Attempt {
    /// A request: method, path and body. Placeholders stand for ids of the victim; `{own}` for the attacker's migration.
    Request(&'static str, &'static str, &'static str),
    /// Records of every entity type, each of which refers to the victim's records.
    References,
    /// A trial of such records.
    Trial,
    /// An import of records with the ids of the victim's records, and its counts, evidence and undo.
    SameIds,
}

use Attempt::{References, Request, SameIds, Trial};

/// Each attempt by the name that the documentation gives it.
const ATTEMPTS: &[(&str, Attempt)] = &[
    ("read a migration", Request("GET", "/migration-assistance/migrations/{migration}", "")),
    ("start a job", Request("PUT", "/migration-assistance/migrations/{migration}/jobs/undo", "{}")),
    ("read a job through the own migration", Request("GET", "/migration-assistance/migrations/{own}/jobs/{job}", "")),
    ("read a staged record", Request("GET", "/financing-solution/migrations/{own}/staging/agreements/{agreement}", "")),
    (
        "delete a staged record",
        Request("PUT", "/financing-solution/migrations/{own}/staging/agreements/delete", "\"{agreement}\""),
    ),
    (
        "read a record's provenance",
        Request("GET", "/migration-assistance/migrations/{own}/records/agreements/{agreement}/provenance", ""),
    ),
    (
        "replay a record",
        Request("GET", "/migration-assistance/migrations/{own}/records/agreements/{agreement}/replay", ""),
    ),
    ("read a plugin", Request("GET", "/plugins/{digest}", "")),
    ("approve a plugin", Request("PUT", "/plugins/{digest}/approval", "{}")),
    (
        "use a plugin",
        Request(
            "POST",
            "/migration-assistance/migrations",
            r#"{"components":["Counterparties"],"mapper":"sha256:{digest}"}"#,
        ),
    ),
    (
        "use a platform",
        Request(
            "POST",
            "/migration-assistance/migrations",
            r#"{"components":["Counterparties"],"target":"{platform}"}"#,
        ),
    ),
    ("give oneself a grant", Request("PUT", "/reference-grants/south/{tenant}", "")),
    ("take a grant", Request("DELETE", "/reference-grants/south/{tenant}", "")),
    ("refer to a row", References),
    ("refer to a row in a trial", Trial),
    ("store a row with its id, and undo it", SameIds),
];

/// The ids that an attempt uses.
struct VictimIds {
    migration: Uuid,
    job: String,
    digest: String,
    platform: &'static str,
    tenant: &'static str,
}

impl VictimIds {
    fn nobody() -> Self {
        Self {
            migration: Uuid::new_v4(),
            job: Uuid::new_v4().to_string(),
            digest: "5e".repeat(32),
            platform: "nobodys",
            tenant: "nobody",
        }
    }

    fn lender(&self) -> Lender {
        Lender(self.migration)
    }

    fn fill(&self, text: &str, own: &str) -> String {
        text.replace("{own}", own)
            .replace("{migration}", &self.migration.to_string())
            .replace("{agreement}", &self.lender().id("agreements", 1).to_string())
            .replace("{job}", &self.job)
            .replace("{digest}", &self.digest)
            .replace("{platform}", self.platform)
            .replace("{tenant}", self.tenant)
    }
}

pub(super) async fn succeeded(migration: &Migration, kind: &str) -> Value {
    let job = migration.job(kind).await;
    assert_eq!(job["state"], "succeeded", "{kind}: {job:#} {:#?}", migration.issues(kind).await);
    job
}

/// Registers a migration of the lender's records, and takes it through all steps.
pub(super) async fn imported(client: &'static Server) -> Migration {
    let migration = client.register(None, ALL).await;
    Lender::of(&migration).stage(&migration).await;
    for kind in ["validate", "import", "counts"] {
        succeeded(&migration, kind).await;
    }
    migration
}

/// Returns every row that a tenant has in the target.
pub(super) fn rows(server: &Server, tenant: &str) -> Vec<String> {
    let target = Connection::open(server.data_dir.join("platform.db")).unwrap();
    let mut found = vec![];
    for (_, entity_type) in TYPES {
        let table = entity_type.replace('-', "_");
        let query = format!(
            "SELECT * FROM {table} WHERE sluice_tenant = (SELECT number FROM sluice_tenants WHERE name = ?)
             ORDER BY reference_id"
        );
        let mut query = target.prepare(&query).unwrap();
        let columns = query.column_count();
        let mut rows = query.query([tenant]).unwrap();
        while let Some(row) = rows.next().unwrap() {
            let cells: Vec<Cell> = (0..columns).map(|column| row.get(column).unwrap()).collect();
            found.push(format!("{table} {cells:?}"));
        }
    }
    found
}

/// Returns what a client sees of a migration's issues, whatever the ids.
async fn issues(migration: &Migration, phase: &str) -> Value {
    let mut issues: Vec<String> = migration
        .issues(phase)
        .await
        .iter()
        .map(|issue| ["entityType", "severity", "code", "field", "rule"].map(|name| issue[name].to_string()).join(" "))
        .collect();
    issues.sort();
    let counts = migration.get(&format!("/issues/counts?phase={phase}")).await;
    json!([issues, counts])
}

/// Returns the issues of a trial without the reference ids of their records.
fn without_ids(issues: &Value) -> Value {
    let mut issues = issues.clone();
    for issue in issues.as_array_mut().unwrap() {
        issue.as_object_mut().unwrap().remove("referenceIds");
    }
    issues
}

/// Stages records whose references name the victim's records, each in a migration of its own, and runs a job on them.
async fn refer(south: &'static Server, victim: &VictimIds, kind: &str) -> Value {
    let mut found = vec![];
    for (domain, entity_type) in TYPES {
        let migration = south.register(None, ALL).await;
        let mut record = victim.lender().record(entity_type, 1);
        record["referenceId"] = json!(Uuid::new_v4());
        put(&migration, domain, entity_type, &[record]).await;
        let job = migration.job(kind).await;
        let import = migration.start("import").await;
        // Only an object of collateral refers to nothing.
        assert_eq!(job["state"] == "succeeded", *entity_type == "collateral-objects", "{entity_type}: {job:#}");
        let listed = if kind == "trial" { without_ids(&job["result"]["issues"]) } else { Value::Null };
        let refused = if import.status == 200 { Value::Null } else { import.json()["code"].clone() };
        if import.status == 200 {
            migration.ended(import).await;
        }
        let phase = if kind == "trial" { "import" } else { kind };
        found.push(json!([entity_type, job["state"], listed, refused, issues(&migration, phase).await]));
    }
    json!(found)
}

/// Imports records with the victim's ids, and takes them back.
async fn same_ids(south: &'static Server, victim: &VictimIds) -> Value {
    let migration = south.register(None, ALL).await;
    victim.lender().stage(&migration).await;
    let mut found = vec![];
    for kind in ["trial", "validate", "import", "counts", "undo"] {
        let job = migration.job(kind).await;
        let result = if kind == "trial" { without_ids(&job["result"]["issues"]) } else { job["result"].clone() };
        found.push(json!([kind, job["state"], result]));
        assert_eq!(job["state"], "succeeded", "{kind}: {job:#}");
        if kind == "counts" {
            let shown = migration.get("").await;
            found.push(shown["numberOfImportedEntities"].clone());
        }
    }
    json!(found)
}

async fn attempt(south: &'static Server, own: &Migration, attempt: &Attempt, victim: &VictimIds) -> Value {
    match attempt {
        Request(method, path, body) => {
            let method: Method = method.parse().unwrap();
            let media_type = if path.ends_with("delete") { "application/jsonl" } else { "application/json" };
            let request = south.request(method, &victim.fill(path, &own.id)).header("content-type", media_type);
            let Answer { status, body } = south.send(request.body(victim.fill(body, &own.id))).await;
            // The answer may repeat what the request named.
            let body = [("{agreement}", "AGREEMENT"), ("{digest}", "DIGEST")]
                .iter()
                .fold(body, |body, (placeholder, text)| body.replace(&victim.fill(placeholder, ""), text));
            json!([status, body])
        }
        References => refer(south, victim, "validate").await,
        Trial => refer(south, victim, "trial").await,
        SameIds => same_ids(south, victim).await,
    }
}

pub(super) const fn made(tenant: &'static str, permission: Permission) -> ClientProperties {
    ClientProperties { tenant, permission, domains: &[] }
}

/// Pushes a mapper as a tenant, and returns its digest.
async fn pushed(client: &Server) -> String {
    let component = sluice_tests::guest("stateful");
    let request = client.request(Method::POST, "/plugins").header("content-type", "application/wasm");
    let answer = client.send(request.body(component.to_vec())).await;
    assert!([200, 201].contains(&answer.status), "{}", answer.body);
    answer.json()["digest"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_attempt_tells_or_changes_anything() {
    let mock = mambu().await;
    let server = server(vec![("mambu".into(), platform(&mock, |config| config.tenants = vec!["north".into()]))]);
    let north = session(server, made("north", Permission::Migrate)).await;
    let south = session(server, made("south", Permission::Migrate)).await;
    let victim = imported(north).await;
    let platform = json!({"components": ["Counterparties"], "target": "mambu"});
    let own = north.request(Method::POST, "/migration-assistance/migrations").json(&platform);
    assert_eq!(north.send(own).await.status, 201, "the platform is granted to north");
    let jobs = victim.get("/jobs").await;
    let ids = VictimIds {
        migration: victim.id.parse().unwrap(),
        job: jobs["items"][0]["jobId"].as_str().unwrap().into(),
        digest: pushed(north).await,
        platform: "mambu",
        tenant: "north",
    };
    let approver = session(server, made("south", Permission::Approve)).await;
    let admin = session(server, made("south", Permission::Admin)).await;
    let before = rows(server, "north");
    assert_eq!(before.len(), 3 * TYPES.len());

    for (name, way) in ATTEMPTS {
        let client = match way {
            Request(_, path, _) if path.contains("/approval") => approver,
            Request(_, path, _) if path.contains("/reference-grants") => admin,
            _ => south,
        };
        let own = south.register(None, ALL).await;
        let found = attempt(client, &own, way, &ids).await;
        let nothing = attempt(client, &own, way, &VictimIds::nobody()).await;
        assert_eq!(found, nothing, "{name}");
        assert!(rows(server, "north") == before, "{name} has changed rows of north");
    }

    // South lists nothing of north's, and the numbers of its events do not depend on north's.
    let listed = south.get("/migration-assistance/migrations?limit=100").await.json();
    assert!(listed["items"].as_array().unwrap().iter().all(|item| item["tenant"] == "south"), "{listed}");
    let own = south.register(None, ALL).await;
    let events = south.request(Method::GET, &own.path("/events?follow=false")).header("last-event-id", "0");
    let events = south.send(events).await.body;
    let numbers: Vec<&str> = events.lines().filter_map(|line| line.strip_prefix("id:")).map(str::trim).collect();
    assert_eq!(numbers, ["1"], "{events}");
    for path in ["/plugins?limit=100", "/migration-assistance/mappers"] {
        assert!(!south.get(path).await.body.contains(&ids.digest), "{path}");
    }
}

/// South stores the same records as north, and a repayment more for each agreement. North's figures stay, also if its
/// administrations are generated anew. What either takes back or validates does not touch the other.
#[tokio::test(flavor = "multi_thread")]
async fn rows_with_one_id_are_two_rows() {
    let server = server(vec![]);
    let north = session(server, made("north", Permission::Migrate)).await;
    let south = session(server, made("south", Permission::Migrate)).await;
    let victim = imported(north).await;
    let counted = succeeded(&victim, "counts").await["result"].clone();
    let before = rows(server, "north");

    let other = south.register(None, ALL).await;
    let lender = Lender(victim.id.parse().unwrap());
    lender.stage(&other).await;
    for number in 1..=3 {
        let mut repayment = lender.record("repayments", number);
        repayment["referenceId"] = json!(Uuid::new_v4());
        repayment["amount"]["amount"] = json!(900.0);
        put(&other, "financing-execution", "repayments", &[repayment]).await;
    }
    for kind in ["validate", "import", "counts"] {
        succeeded(&other, kind).await;
    }
    assert_eq!(rows(server, "south").len(), before.len() + 3);
    assert!(rows(server, "north") == before);

    // A new record makes north generate its administrations again.
    put(&victim, "counterparty-management", "counterparties", &[lender.record("counterparties", 4)]).await;
    succeeded(&victim, "validate").await;
    succeeded(&victim, "import").await;
    let amounts = |counts: &Value| {
        let rows = counts.as_array().unwrap().iter().find(|count| count["type"] == "TotalAmounts").unwrap();
        rows["importedRows"].clone()
    };
    assert_eq!(amounts(&succeeded(&victim, "counts").await["result"]), amounts(&counted));

    // South's validation stays in force while north takes its rows back, and the other way round.
    put(&other, "counterparty-management", "counterparties", &[lender.record("counterparties", 5)]).await;
    succeeded(&other, "validate").await;
    succeeded(&victim, "undo").await;
    assert_eq!(rows(server, "north"), Vec::<String>::new());
    succeeded(&other, "import").await;
    succeeded(&other, "counts").await;
}

/// The page of the documentation has every attempt.
#[test]
fn the_page_has_every_attempt() {
    let page = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/security/tenants.md");
    let page = std::fs::read_to_string(page).unwrap();
    for (name, _) in ATTEMPTS {
        assert!(page.contains(&format!("| {name} |")), "{name} is missing");
    }
}
