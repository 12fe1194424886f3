//! Clients that were granted some domains of a migration: they validate, follow and read jobs, logs and issues of these,
//! and of no others.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::{Value, json};
use sluice_model::Permission;
use uuid::Uuid;

use crate::harness::clients::{ClientProperties, token};
use crate::harness::lender::Lender;
use crate::harness::server::{Answer, Migration, Server, shared};

const TENANT: &str = "domains";

const fn migrator(domains: &'static [&'static str]) -> ClientProperties {
    ClientProperties { tenant: TENANT, permission: Permission::Migrate, domains }
}

/// A client and what it may see of the migration's two domains.
const CLIENTS: [(&str, ClientProperties, &[&str]); 4] = [
    ("one", migrator(&["Counterparties"]), &["Counterparties"]),
    ("other", migrator(&["Collaterals"]), &["Collaterals"]),
    ("both", migrator(&["Counterparties", "Collaterals"]), &["Counterparties", "Collaterals"]),
    ("all", migrator(&[]), &["Counterparties", "Collaterals"]),
];

/// A migration of two domains, each with an invalid record.
struct DomainFixture {
    server: &'static Server,
    id: String,
}

impl DomainFixture {
    async fn set(owner: &str) -> Self {
        let server = shared();
        let body = json!({"components": ["Counterparties", "Collaterals"]});
        let request = server.anonymous(Method::POST, "/migration-assistance/migrations").bearer_auth(owner).json(&body);
        let id = server.send(request).await.json()["referenceId"].as_str().unwrap().to_owned();
        let lender = Lender(id.parse().unwrap());
        let mut person = lender.record("counterparties", 2);
        person["associatedParties"] = json!([Uuid::new_v4()]);
        let mut collateral = lender.record("collaterals", 1);
        for field in ["agreementReferenceIds", "counterpartyReferenceIds"] {
            collateral[field] = json!([lender.id("counterparties", 2)]);
        }
        let fixture = Self { server, id };
        for (domain, entity_type, record) in [
            ("counterparty-management", "counterparties", person),
            ("collateral-management", "collaterals", collateral),
        ] {
            let path = format!("/{domain}/migrations/{}/staging/{entity_type}", fixture.id);
            let request = server.anonymous(Method::PUT, &path).header("content-type", "application/jsonl");
            let answer = server.send(request.bearer_auth(owner).body(record.to_string())).await;
            assert!(answer.body.contains("\"isSuccessful\":true"), "{}", answer.body);
        }
        fixture
    }

    async fn send(&self, method: Method, rest: &str, token: &str) -> Answer {
        let path = format!("/migration-assistance/migrations/{}{rest}", self.id);
        let request = self.server.anonymous(method, &path).header("prefer", "wait=60").bearer_auth(token);
        self.server.send(request).await
    }

    async fn get(&self, rest: &str, token: &str) -> Value {
        let answer = self.send(Method::GET, rest, token).await;
        assert_eq!(answer.status, 200, "{rest}: {}", answer.body);
        answer.json()
    }

    /// Validates as a client, and returns the ended job.
    async fn validate(&self, token: &str) -> Value {
        let started = self.send(Method::PUT, "/jobs/validate", token).await;
        assert_eq!(started.status, 200, "{}", started.body);
        self.get(&format!("/jobs/{}", started.json().as_str().unwrap()), token).await
    }
}

fn texts(list: &Value, name: &str) -> BTreeSet<String> {
    list["items"].as_array().unwrap().iter().filter_map(|item| item[name].as_str().map(str::to_owned)).collect()
}

fn set(items: &[&str]) -> BTreeSet<String> {
    items.iter().map(|item| (*item).to_owned()).collect()
}

fn entity_types(domains: &[&str]) -> BTreeSet<String> {
    let of = |domain: &&str| if *domain == "Counterparties" { "counterparties" } else { "collaterals" };
    domains.iter().map(|domain| of(domain).to_owned()).collect()
}

/// Each client validates its domains. It sees jobs, entries of the log, events and issues of these alone.
#[tokio::test(flavor = "multi_thread")]
async fn clients_see_the_work_of_their_domains() {
    let mut tokens = vec![];
    for (_, client, _) in CLIENTS {
        tokens.push(token(shared(), client).await);
    }
    let fixture = DomainFixture::set(&tokens[3]).await;
    let mut jobs: Vec<(Value, &[&str])> = vec![];
    for ((name, _, domains), token) in CLIENTS.iter().zip(&tokens) {
        let job = fixture.validate(token).await;
        let components = job["components"].as_array().map(|names| names.len());
        assert_eq!(components, (domains.len() < 2).then_some(1), "{name}: {job}");
        assert_eq!((&job["state"], &job["total"]), (&json!("failed"), &json!(domains.len())), "{name}: {job}");
        let counted = json!({"items": job["result"]["issuesByCode"]});
        assert_eq!(texts(&counted, "entityType"), entity_types(domains), "{name}: {job}");
        jobs.push((job["jobId"].clone(), domains));
        // A validation of one domain does not say that the migration is invalid, and removes no issue of another domain.
        let status = fixture.get("", &tokens[3]).await["stagingStatus"].clone();
        assert_eq!(status == "Rejected", domains.len() == 2, "{name}: {status}");
    }
    let log_lines = fixture.get("/logs?limit=100", &tokens[3]).await["total"].as_u64().unwrap();
    for ((name, _, domains), token) in CLIENTS.iter().zip(&tokens) {
        let whole = domains.len() == 2;
        let sees = |of: &[&str]| whole || of == *domains;
        let expected: BTreeSet<String> =
            jobs.iter().filter(|(_, of)| sees(of)).map(|(id, _)| id.as_str().unwrap().to_owned()).collect();
        let listed = fixture.get("/jobs", token).await;
        assert_eq!((texts(&listed, "jobId"), &listed["total"]), (expected.clone(), &json!(expected.len())), "{name}");
        for (id, of) in &jobs {
            let path = format!("/jobs/{}", id.as_str().unwrap());
            let read = fixture.send(Method::GET, &path, token).await;
            let cancel = fixture.send(Method::PUT, &format!("{path}/cancel"), token).await;
            let statuses = if sees(of) { (200, 409) } else { (403, 403) };
            assert_eq!((read.status, cancel.status), statuses, "{name}: {}", read.body);
            if !sees(of) {
                assert_eq!(read.problem().1, "DOMAIN_NOT_GRANTED", "{name}");
            }
        }
        for rest in ["/issues", "/issues/counts"] {
            assert_eq!(texts(&fixture.get(rest, token).await, "entityType"), entity_types(domains), "{name} {rest}");
        }
        let logs = fixture.get("/logs?limit=100", token).await;
        let of_jobs = texts(&logs, "jobId");
        assert!(of_jobs.is_subset(&expected) && of_jobs.len() == expected.len(), "{name}: {logs}");
        assert_eq!(texts(&logs, "component"), set(domains), "{name}: {logs}");
        // The registration concerns the migration as a whole.
        assert_eq!(texts(&logs, "code").contains("MIGRATION_REGISTERED"), whole, "{name}: {logs}");
        assert_eq!(logs["total"] == log_lines, whole, "{name}");
        let path = format!("/migration-assistance/migrations/{}/events?follow=false", fixture.id);
        let events = fixture.server.anonymous(Method::GET, &path).header("last-event-id", "0").bearer_auth(token);
        let events = fixture.server.send(events).await;
        let sent = events.body.lines().filter(|line| line.starts_with("event: log") || line.starts_with("event:log"));
        assert_eq!(json!(sent.count()), logs["total"], "{name}: {}", events.body);
        for (id, of) in &jobs {
            assert_eq!(events.body.contains(id.as_str().unwrap()), sees(of), "{name}: {}", events.body);
        }
    }
}

/// Work on the migration as a whole needs all domains, whatever a client of one domain may do.
#[tokio::test(flavor = "multi_thread")]
async fn other_jobs_need_every_domain() {
    let owner = token(shared(), CLIENTS[3].1).await;
    let one = token(shared(), CLIENTS[0].1).await;
    let fixture = DomainFixture::set(&owner).await;
    for kind in sluice_model::JobKind::ALL.into_iter().filter(|kind| *kind != sluice_model::JobKind::Validate) {
        let answer = fixture.send(Method::PUT, &format!("/jobs/{}", kind.as_str()), &one).await;
        assert_eq!(answer.problem(), (403, "DOMAIN_NOT_GRANTED".into()), "{kind:?}");
    }
    // A job that the owner started for the whole migration concerns other domains as well.
    let whole = fixture.validate(&owner).await;
    assert!(whole.get("components").is_none(), "{whole}");
    let path = format!("/jobs/{}", whole["jobId"].as_str().unwrap());
    assert_eq!(fixture.send(Method::GET, &path, &one).await.problem(), (403, "DOMAIN_NOT_GRANTED".into()));
    assert_eq!(fixture.get("/jobs", &one).await["total"], 0);
    let none = fixture.send(Method::GET, &format!("/jobs/{}", Uuid::new_v4()), &one).await;
    assert_eq!(none.problem(), (404, "NO_SUCH_JOB".into()));
}

/// The numbers of a migration's events begin at 1 and say nothing about other migrations.
#[tokio::test(flavor = "multi_thread")]
async fn each_migration_numbers_its_own_events() {
    let (one, other) =
        (shared().register(None, &["Counterparties"]).await, shared().register(None, &["Administrate"]).await);
    let stage = async |migration: &Migration, number: u32| {
        let record = Lender::of(migration).record("counterparties", number);
        migration.stage("counterparty-management", "counterparties", record.to_string()).await;
    };
    let numbers = async |migration: &Migration| -> Vec<u64> {
        let request =
            shared().request(Method::GET, &migration.path("/events?follow=false")).header("last-event-id", "0");
        let events = shared().send(request).await.body;
        events.lines().filter_map(|line| line.strip_prefix("id:")).map(|id| id.trim().parse().unwrap()).collect()
    };
    stage(&one, 1).await;
    assert_eq!(numbers(&other).await, [1]);
    stage(&one, 2).await;
    other.job("counts").await;
    assert_eq!((numbers(&one).await, numbers(&other).await), (vec![1, 2, 3], vec![1, 2]));
    // A purge removes entries, and no number is used again.
    let purge = shared().request(Method::DELETE, &one.path(""));
    assert_eq!(shared().send(purge).await.status, 204);
    assert_eq!(numbers(&one).await, [4]);
}
