//! Quotas of tenants: what is beyond one is refused with the name of its limit, and other tenants go on.

use reqwest::Method;
use serde_json::{Value, json};
use sluice_config::Config;
use sluice_model::Permission;
use sluice_server::app::Options;

use crate::harness::clients::{ClientProperties, token};
use crate::harness::raw_http::{Length, RawRequest};
use crate::harness::server::{Answer, Migration, Server, start};

const MIGRATIONS: &str = "/migration-assistance/migrations";

/// Starts a server with these quotas, which runs until the process ends.
fn server(set: impl FnOnce(&mut Config)) -> &'static Server {
    let mut config = Config::default();
    set(&mut config);
    let data_dir = tempfile::tempdir().unwrap().keep();
    let options = Options { data_dir, config, mappers: vec![], worker: crate::harness::worker() };
    Box::leak(Box::new(start(options, std::future::pending()).0))
}

fn clients(count: usize) -> String {
    let client = |id| format!("{{\"client_id\":{id},\"birth_number\":\"706213\",\"district_id\":1}}\n");
    (1..=count).map(client).collect()
}

fn assert_refused(answer: &Answer, limit: &str) {
    let problem: Value = answer.json();
    assert_eq!((answer.status, &problem["code"]), (429, &"TENANT_QUOTA".into()), "{limit}: {problem}");
    assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains(limit)), "{limit}: {problem}");
}

/// Registers a migration of the tenant `south`. Returns its path and a token of the tenant.
async fn south(server: &'static Server) -> (String, String) {
    let made = ClientProperties { tenant: "south", permission: Permission::Migrate, domains: &[] };
    let token = token(server, made).await;
    let body = json!({"components": ["Counterparties"], "mapper": "berka"});
    let request = server.anonymous(Method::POST, MIGRATIONS).bearer_auth(&token).json(&body);
    let answer = server.send(request).await;
    assert_eq!(answer.status, 201, "{}", answer.body);
    (format!("{MIGRATIONS}/{}", answer.json()["referenceId"].as_str().unwrap()), token)
}

async fn berka(server: &'static Server) -> Migration {
    server.register(Some("berka"), &["Counterparties"]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn one_more_upload_is_refused_until_one_ends() {
    let server = server(|config| config.tenant.uploads = 1);
    let (one, other) = (berka(server).await, berka(server).await);
    let mut open = RawRequest::put(server, &one.path("/sources/client"), "application/jsonl", Length::Chunked).await;
    open.send(clients(1)).await;
    // The upload has begun once its first result is there.
    assert!(open.line().await.is_some());
    assert_refused(&other.source("client", clients(1)).await, "tenant.uploads");
    let (path, token) = south(server).await;
    let request = server.anonymous(Method::PUT, &format!("{path}/sources/client")).bearer_auth(token);
    let answer = server.send(request.header("content-type", "application/jsonl").body(clients(2))).await;
    assert_eq!((answer.status, answer.lines().len()), (200, 2), "another tenant: {}", answer.body);
    open.end().await;
    while open.line().await.is_some() {}
    assert_eq!(other.source("client", clients(1)).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_more_push_is_refused_while_a_component_arrives() {
    let server = server(|config| config.tenant.pushes = 1);
    let mut open = RawRequest::begin("POST", server, "/plugins", "application/wasm", Length::Chunked).await;
    open.send(b"\0asm").await;
    let push = || {
        let request = server.request(Method::POST, "/plugins").header("content-type", "application/wasm");
        server.send(request.body(sluice_tests::guest("panics").to_vec()))
    };
    // The first push has its permit once another one is refused.
    let refused = loop {
        let answer = push().await;
        if answer.status == 429 {
            break answer;
        }
    };
    assert_refused(&refused, "tenant.pushes");
    open.cut().await;
    while push().await.status == 429 {}
}

#[tokio::test(flavor = "multi_thread")]
async fn one_more_migration_is_refused_until_one_is_purged() {
    let server = server(|config| config.tenant.migrations = 2);
    let (one, _other) = (berka(server).await, berka(server).await);
    let register = || {
        let body = json!({"components": ["Counterparties"]});
        server.send(server.request(Method::POST, MIGRATIONS).json(&body))
    };
    assert_refused(&register().await, "tenant.migrations");
    south(server).await;
    assert_eq!(server.send(server.request(Method::DELETE, &one.path(""))).await.status, 204);
    assert_eq!(register().await.status, 201);
}

/// An upload beyond the quota of bytes ends with an error, and what it has answered is kept.
#[tokio::test(flavor = "multi_thread")]
async fn an_upload_stops_at_the_quota_of_bytes() {
    let server = server(|config| {
        config.tenant.disk_bytes = 300_000;
        config.upload.batch_records = 100;
    });
    let migration = berka(server).await;
    let results = migration.source("client", clients(20_000)).await.lines();
    let (last, saved) = results.split_last().unwrap();
    assert_eq!((&last["problem"]["code"], &last["problem"]["status"]), (&"DISK_QUOTA".into(), &507.into()), "{last}");
    assert!((100..20_000).contains(&saved.len()), "{} results", saved.len());
    let kept = migration.get("/sources").await;
    assert_eq!(kept["items"][0]["outcomes"][0]["count"], saved.len(), "{kept}");
}

/// The files of migrations that nobody uses are closed, so their number does not grow with that of migrations.
#[tokio::test(flavor = "multi_thread")]
async fn descriptors_do_not_grow_with_migrations() {
    let server = server(|config| config.staging.idle_migrations = 2);
    let open = |migration: &Migration| {
        let directory = migration.directory();
        let all = directory.parent().unwrap().to_owned();
        let files = std::fs::read_dir("/proc/self/fd").unwrap().flatten();
        files.filter_map(|entry| std::fs::read_link(entry.path()).ok()).filter(|file| file.starts_with(&all)).count()
    };
    let mut last = berka(server).await;
    for _ in 0..20 {
        assert_eq!(last.source("client", clients(3)).await.lines().len(), 3);
        last = berka(server).await;
    }
    // Two idle migrations, the one in use, and one that another request may just hold.
    assert!(open(&last) <= 4 * 12, "{} descriptors of 21 migrations", open(&last));
}
