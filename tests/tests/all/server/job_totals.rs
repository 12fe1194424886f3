//! Totals of jobs: the records that are there, without those that were deleted or replaced.

use std::sync::OnceLock;

use reqwest::Method;
use serde_json::{Value, json};
use sluice_config::Config;
use sluice_server::app::Options;

use crate::harness::killable_server::KillableServer;
use crate::harness::lender::{Lender, TYPES, put, remove};
use crate::harness::server::{ALL, Migration, Server, start};
use crate::mambu;

/// Returns a server of these tests alone: a removal of rows makes the validations of all migrations outdated.
fn server() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(|| {
        let mut config = Config::default();
        config.http.requests_per_second = 1_000_000;
        config.http.request_burst = 1_000_000;
        let data_dir = tempfile::tempdir().unwrap().keep().join("data");
        start(Options { data_dir, config, mappers: vec![], worker: crate::harness::worker() }, std::future::pending()).0
    })
}

/// A change of staged records before a job.
#[derive(Clone, Copy, PartialEq)]
enum Change {
    Nothing,
    /// A counterparty gets another name, and a repayment is deleted.
    ReplaceAndDelete,
}

use Change::{Nothing, ReplaceAndDelete};

async fn check(migration: &Migration, what: &str, kind: &str, parameters: &Value, total: u64) {
    let job = migration.job_with(kind, parameters).await;
    assert_eq!(job["state"], "succeeded", "{what} {kind}: {job:#}");
    assert_eq!((&job["done"], &job["total"]), (&json!(total), &json!(total)), "{what} {kind} {parameters}");
    let listed = migration.get("/jobs?limit=1").await["items"][0].clone();
    assert_eq!((&listed["jobId"], &listed["total"]), (&job["jobId"], &json!(total)), "{what} {kind}");
}

async fn replace_counterparty(migration: &Migration, number: u32, name: &str) {
    let (domain, entity_type) = TYPES[0];
    let mut record = Lender::of(migration).record(entity_type, number);
    record["surname"] = name.into();
    put(migration, domain, entity_type, &[record]).await;
}

/// Records without a mapper, imported into the embedded target. The lender has 25 records; 2 of them are deleted, and 2
/// are replaced.
#[tokio::test(flavor = "multi_thread")]
async fn totals_of_records_without_a_mapper() {
    let migration = server().register(None, ALL).await;
    let lender = Lender::of(&migration);
    lender.stage(&migration).await;
    for entity_type in ["debit-mandates", "disbursements"] {
        remove(&migration, "financing-execution", entity_type, lender.id(entity_type, 1)).await;
    }
    replace_counterparty(&migration, 1, "Dvořák").await;
    replace_counterparty(&migration, 2, "Dvořák").await;
    let (preview, gone) = (json!({"preview": true}), json!({"remove": true}));
    let none = json!({});
    // The import reads 3 agreements for 2 payment administrations, which it imports as well.
    let jobs: [(Change, &str, &Value, u64); 13] = [
        (Nothing, "trial", &none, 4 * 23),
        (Nothing, "validate", &none, 23),
        (Nothing, "import", &preview, 3),
        (Nothing, "import", &none, 23 + 3 + 2),
        (Nothing, "counts", &none, 25),
        (Nothing, "import", &none, 0),
        (ReplaceAndDelete, "validate", &none, 24),
        (Nothing, "import", &gone, 1 + 3),
        (Nothing, "counts", &none, 24),
        (Nothing, "undo", &preview, 24),
        (Nothing, "undo", &none, 24),
        (Nothing, "validate", &none, 22),
        (Nothing, "import", &none, 22 + 3 + 2),
    ];
    for (number, (change, kind, parameters, total)) in jobs.into_iter().enumerate() {
        if change == ReplaceAndDelete {
            replace_counterparty(&migration, 1, "Svoboda").await;
            let id = lender.id("repayments", 1);
            remove(&migration, "financing-execution", "repayments", id).await;
        }
        check(&migration, &format!("job {number}"), kind, parameters, total).await;
    }
}

/// Records of a mapper: three, and a line that is no record. One was replaced, and one was withdrawn with its upload.
#[tokio::test(flavor = "multi_thread")]
async fn totals_of_mapped_records() {
    let migration = server().register(Some("berka"), ALL).await;
    let client = |id: u64, born: &str| json!({"client_id": id, "birth_number": born}).to_string() + "\n";
    migration.source("client", client(1, "706213") + &client(2, "706213")).await;
    migration.source("client", client(2, "706214") + &client(3, "706213") + "no record\n").await;
    migration.source("client", client(4, "706213")).await;
    let withdrawn = server().request(Method::DELETE, &migration.path("/uploads/3"));
    assert_eq!(server().send(withdrawn).await.status, 200);
    let none = json!({});
    let digest = migration.get("").await["mapperDigest"].clone();
    let both = json!({"from": digest, "to": digest});
    for (kind, parameters, total) in [
        ("validate", &none, 3),
        ("replay", &none, 4),
        ("compare", &both, 8),
        ("remap", &none, 4),
        ("replay", &none, 4),
        ("validate", &none, 3),
        ("import", &none, 3),
        ("counts", &none, 3),
    ] {
        check(&migration, "mapped", kind, parameters, total).await;
    }
    let trial = migration.job("trial").await;
    assert_eq!((&trial["done"], &trial["total"]), (&json!(16), &json!(16)), "{trial}");
}

/// Records of a platform with an API: a client and two agreements. Another client was deleted.
#[tokio::test(flavor = "multi_thread")]
async fn totals_of_a_platforms_records() {
    let mock = mambu::mambu().await;
    let server = mambu::server(vec![("mambu".into(), mambu::platform(&mock, |_| ()))]);
    let migration = mambu::register(server, "mambu").await;
    mambu::small::stage(&migration, &mock).await;
    let lender = Lender::of(&migration);
    let other = lender.record("counterparties", 3);
    put(&migration, "counterparty-management", "counterparties", &[other]).await;
    remove(&migration, "counterparty-management", "counterparties", lender.id("counterparties", 3)).await;
    let none = json!({});
    check(&migration, "platform", "validate", &none, 6).await;
    for kind in ["plan", "import", "counts", "import"] {
        check(&migration, "platform", kind, &none, 3).await;
    }
    for parameters in [json!({"preview": true}), none] {
        let job = migration.job_with("undo", &parameters).await;
        assert_eq!((&job["done"], &job["total"]), (&json!(3), &json!(3)), "{job}");
    }
}

/// An import that was killed shows its total, and the one that continues shows the records that are left.
#[tokio::test(flavor = "multi_thread")]
async fn totals_of_a_killed_import() {
    let dir = tempfile::tempdir().unwrap();
    let config = "[import]\ntransaction_records = 500\n[http]\nrequests_per_second = 100000\nrequest_burst = 100000\n";
    std::fs::write(dir.path().join("config.toml"), config).unwrap();
    let server = KillableServer::begin(dir.path()).await;
    let body = json!({"components": ["Counterparties"]});
    let request = server.request(Method::POST, "/migration-assistance/migrations").json(&body);
    let registered: Value = request.send().await.unwrap().json().await.unwrap();
    let migration = registered["referenceId"].as_str().unwrap().to_owned();
    let id = |number: u64| uuid::Uuid::new_v5(&migration.parse().unwrap(), &number.to_le_bytes());
    let record = |number: u64| {
        json!({"referenceId": id(number), "type": "organisation", "name": format!("O {number}")}).to_string() + "\n"
    };
    let staging = format!("/counterparty-management/migrations/{migration}/staging/counterparties");
    server.put(&staging, (0..20_000).map(record).collect()).await;
    let deleted: String = (0..5_000).map(|number| format!("\"{}\"\n", id(number * 4))).collect();
    server.put(&format!("{staging}/delete"), deleted).await;
    server.job(&migration, "validate").await;
    let job = server.start(&migration, "import", &Value::Null).await;
    let shown = async |server: &KillableServer| -> Value {
        let path = format!("/migration-assistance/migrations/{migration}/jobs/{job}");
        server.request(Method::GET, &path).send().await.unwrap().json().await.unwrap()
    };
    loop {
        let running = shown(&server).await;
        if running["total"] != 0 {
            assert_eq!(running["total"], 15_000, "{running}");
        }
        if running["done"] != 0 {
            break;
        }
    }
    server.kill();
    let server = KillableServer::begin(dir.path()).await;
    let killed = shown(&server).await;
    assert!([0, 15_000].contains(&killed["total"].as_u64().unwrap()), "{killed}");
    let preview = server.job_with(&migration, "import", &json!({"preview": true})).await;
    let imported = preview["result"]["byEntityType"]["counterparties"]["imported"].as_u64().unwrap();
    let rest = server.job(&migration, "import").await;
    assert_eq!(rest["state"], "succeeded", "{rest}");
    assert_eq!((&rest["done"], &rest["total"]), (&json!(15_000 - imported), &json!(15_000 - imported)));
    server.kill();
}
