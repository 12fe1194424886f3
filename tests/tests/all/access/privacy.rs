//! Privacy: contents of records stay in the migration's directory, the target and answers that read records. The tests
//! use canaries in every field, invalid records and leaking plugins, and search everything else.

use std::path::Path;

use serde_json::{Value, json};

use crate::harness::canary::{Canaries, SearchedPlace, files, search};
use crate::harness::canary_records::{bank, fill, lender};
use crate::harness::lender::Lender;
use crate::harness::recorded_server::RecordedServer;
use crate::harness::server::ALL;

/// Returns true for files that may contain records: a migration's directory and the target.
fn holds_records(file: &Path) -> bool {
    let mut parts = file.components().map(|part| part.as_os_str().to_string_lossy().into_owned());
    let first = parts.next().unwrap_or_default();
    let of_a_migration = first == "migrations" && parts.next().is_some_and(|id| uuid::Uuid::try_parse(&id).is_ok());
    of_a_migration || first.starts_with(sluice_data_dir::TARGET_FILE)
}

/// Requests everything of a migration that does not read records.
async fn request_everything(server: &RecordedServer, migration: &str) {
    let jobs = server.get(&format!("{migration}/jobs")).await;
    for job in jobs["items"].as_array().unwrap() {
        server.get(&format!("{migration}/jobs/{}", job["jobId"].as_str().unwrap())).await;
    }
    for path in ["", "/sources", "/logs?limit=100", "/logs?offset=100&limit=100"] {
        server.get(&format!("{migration}{path}")).await;
    }
    for phase in ["load", "validate", "import"] {
        server.get(&format!("{migration}/issues/counts?phase={phase}")).await;
        let total = server.get(&format!("{migration}/issues?phase={phase}")).await["total"].as_u64().unwrap();
        for offset in (0..total).step_by(100) {
            server.get(&format!("{migration}/issues?phase={phase}&limit=100&offset={offset}")).await;
        }
    }
    for path in ["/quarantine", "/audit?limit=100"] {
        server.get(&format!("{migration}{path}")).await;
    }
    let lines: &[(&str, &str)] = &[("accept", "application/jsonl")];
    for (path, headers) in [("/audit", lines), ("/evidence", &[]), ("/events?follow=false", &[("last-event-id", "0")])]
    {
        server.send("GET", &format!("{migration}{path}"), headers, "").await;
    }
}

/// Maps again, keeps a trial and compares mappers, and reads the resulting records.
async fn run_trials(server: &RecordedServer, migration: &str) {
    let mappers = server.get("/migration-assistance/mappers").await;
    let berka = mappers["items"].as_array().unwrap().iter().find(|mapper| mapper["name"] == "berka").unwrap();
    let leaks = mappers["items"].as_array().unwrap().iter().find(|mapper| mapper["name"] == "leaks").unwrap();
    let parameters = json!({"from": berka["digest"], "to": leaks["digest"]});
    for (kind, parameters) in [("remap", json!({})), ("trial", json!({"keepHours": 1})), ("compare", parameters)] {
        let job = server.job_with(migration, kind, parameters.to_string()).await;
        assert!(job["result"]["problem"].is_null() && job["state"] != "cancelled", "{kind}: {job}");
        if kind == "compare" {
            let path = format!("{migration}/jobs/{}/differences", job["jobId"].as_str().unwrap());
            assert_eq!(server.send("GET", &path, &[], "").await.status, 200);
        }
    }
    let records = server.send("GET", &format!("{migration}/sources/client/records"), &[], "").await;
    assert_eq!(records.status, 200);
}

/// Moves a valid bank through all five steps, imports it again, and runs trials. Does the same with an invalid bank, as
/// far as it gets.
async fn move_banks(server: &RecordedServer, canaries: &mut Canaries) -> [String; 2] {
    let mut moved = vec![];
    for spoiled in [false, true] {
        let migration = server.register(Some("berka"), ALL).await;
        for (table, lines) in bank(canaries, spoiled) {
            let results = server.put(&format!("{migration}/sources/{table}"), lines).await;
            let taken = results.iter().filter(|result| result["isSuccessful"] == true).count();
            assert!(if spoiled { taken < results.len() } else { taken == results.len() }, "{table}: {results:?}");
        }
        for kind in ["validate", "import", "counts", "import"] {
            if spoiled && kind == "import" {
                assert_eq!(server.send("PUT", &format!("{migration}/jobs/import"), &[], "").await.status, 409);
                continue;
            }
            let job = server.job(&migration, kind).await;
            let wanted = if spoiled { "failed" } else { "succeeded" };
            assert_eq!(job["state"], wanted, "{kind}: {job}");
        }
        run_trials(server, &migration).await;
        request_everything(server, &migration).await;
        moved.push(migration);
    }
    moved.try_into().unwrap()
}

/// Moves a lender without a mapper through the steps, then stages invalid records and sends ids to delete.
async fn move_lender(server: &RecordedServer, canaries: &mut Canaries) -> String {
    let migration = server.register(None, ALL).await;
    let id = migration.rsplit('/').next().unwrap();
    let of = Lender(id.parse().unwrap());
    let all = lender(canaries, &of);
    let path = |domain: &str, rest: &str| format!("/{domain}/migrations/{id}/staging/{rest}");
    for (domain, entity_type, sound, _) in &all {
        let results = server.put(&path(domain, entity_type), sound.clone()).await;
        assert!(results.iter().all(|result| result["isSuccessful"] == true), "{entity_type}: {results:?}");
    }
    for kind in ["validate", "import", "counts"] {
        assert_eq!(server.job(&migration, kind).await["state"], "succeeded", "{kind}");
    }
    for (domain, entity_type, _, spoiled) in all {
        let results = server.put(&path(domain, entity_type), spoiled).await;
        assert!(results.iter().any(|result| result["isSuccessful"] == false), "{entity_type}");
        let named = fill(canaries, &format!("\"@\"\n@\n{{\"referenceId\":\"@\"}}\n\"{}\"\n", of.id(entity_type, 1)));
        server.put(&path(domain, &format!("{entity_type}/delete")), named).await;
    }
    for kind in ["validate", "counts"] {
        server.job(&migration, kind).await;
    }
    request_everything(server, &migration).await;
    migration
}

/// Places into which a leaking mapper writes a field's content, and the expected result: the outcome, and for an issue
/// `CODE[/RULE] field`.
const LEAKS: &[(&str, &str, &str)] = &[
    ("code", "rejected", "UNDECLARED_CODE "),
    ("code-in-a-code", "rejected", "UNDECLARED_CODE "),
    ("rule", "rejected", "RULE_VIOLATION/UNDECLARED_CODE "),
    ("field", "rejected", "INVALID_VALUE ?"),
    ("field-inside", "rejected", "INVALID_VALUE secret.?"),
    ("field-after-a-list", "rejected", "INVALID_VALUE secret[0].?"),
    ("index", "rejected", "INVALID_VALUE ?"),
    ("unknown-field", "rejected", "UNKNOWN_FIELD ?"),
    ("everything", "rejected", "UNDECLARED_CODE/UNDECLARED_CODE ?"),
    ("skip", "skipped", "UNDECLARED_CODE"),
    ("warning", "mapped", "UNDECLARED_CODE ?"),
    ("log", "mapped", ""),
    ("log-of-a-record", "mapped", ""),
    ("position", "mapped", ""),
    ("panic", "quarantined", "PLUGIN_PANICKED"),
    ("panicked", "mapped", ""),
    ("slice", "quarantined", "PLUGIN_PANICKED"),
    ("entity-type", "quarantined", "PLUGIN_BROKE_CONTRACT"),
    ("lookup-source", "quarantined", "PLUGIN_PANICKED"),
    ("lookup-field", "quarantined", "PLUGIN_PANICKED"),
    ("lookup-key", "mapped", ""),
    ("reference-id", "rejected", "REFERENCE_ID_NOT_DERIVED "),
    ("made-key", "rejected", "UNKNOWN_FIELD counterparties/?"),
    ("made-word", "rejected", "INVALID_VALUE counterparties/type"),
    ("made-text", "rejected", "INVALID_JSON counterparties/"),
    ("none", "mapped", ""),
];

/// Leaks without a text that the server keeps: numbers, ids, panics that quote nothing, and a key that looks like data,
/// which the platform's own plugins do not output either.
const WITHOUT_TEXT: &[&str] = &[
    "position",
    "panicked",
    "slice",
    "entity-type",
    "lookup-key",
    "reference-id",
    "made-key",
    "made-word",
    "made-text",
    "none",
];

/// Returns the parts of a result that describe a record, other than its outcome.
fn shown(result: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let issues = ["errors", "warnings"].into_iter().filter_map(|kind| result[kind].as_array());
    match issues.flatten().next() {
        Some(issue) => {
            let rule = issue["rule"].as_str().map(|rule| format!("/{rule}")).unwrap_or_default();
            format!("{}{rule} {}", text(&issue["code"]), text(&issue["field"]))
        }
        None => text(&result["code"]),
    }
}

/// Runs mappers that output record contents in every possible place. The quarantine list has their messages for the
/// author.
async fn run_leaking_mappers(server: &RecordedServer, canaries: &mut Canaries) -> String {
    let migration = server.register(Some("leaks"), &["Counterparties"]).await;
    let mut secrets = vec![];
    for (number, (leak, outcome, expected)) in LEAKS.iter().enumerate() {
        // Number fields take number canaries only.
        let secret = if *leak == "index" { canaries.number().to_string() } else { canaries.text() };
        let line = json!({"client_id": number, "poison": leak, "secret": secret}).to_string();
        let results = server.put(&format!("{migration}/sources/client"), line).await;
        assert_eq!((&results[0]["outcome"], shown(&results[0])), (&json!(outcome), (*expected).into()), "{leak}");
        secrets.push((*leak, secret));
    }
    let lines = canaries_in_lines(canaries);
    let loud = server.register(Some("leaks-stderr"), &["Counterparties"]).await;
    let results = server.put(&format!("{loud}/sources/client"), lines.join("\n")).await;
    assert!(results.iter().all(|result| result["outcome"] == "quarantined"), "{results:?}");

    let kept = server.get(&format!("{migration}/quarantine?limit=100")).await.to_string();
    for (leak, secret) in secrets.iter().filter(|(leak, _)| !WITHOUT_TEXT.contains(leak)) {
        assert!(kept.contains(secret.as_str()), "the quarantine list has {leak} for the author");
    }
    let said = server.get(&format!("{loud}/quarantine?limit=100")).await;
    assert_eq!(said["total"], lines.len(), "{said}");
    for kind in ["validate", "import", "counts"] {
        assert_eq!(server.job(&migration, kind).await["state"], "succeeded", "{kind}");
    }
    request_everything(server, &migration).await;
    request_everything(server, &loud).await;
    migration
}

fn canaries_in_lines(canaries: &mut Canaries) -> Vec<String> {
    (0..5).map(|number| json!({"client_id": number, "name": canaries.text()}).to_string()).collect()
}

/// Invalid requests: method, path (`~` is the migration's path), header, body and status. `@` is a new canary each
/// time.
const INVALID_REQUESTS: &[(&str, &str, &str, &str, u16)] = &[
    ("GET", "/@", "", "", 404),
    ("GET", "/@/@?@=@", "", "", 404),
    ("GET", "/migration-assistance/@", "", "", 404),
    ("GET", "/migration-assistance/migrations/@", "", "", 404),
    ("GET", "/migration-assistance/migrations/@%FF", "", "", 404),
    ("GET", "/migration-assistance/migrations?@=@", "", "", 400),
    ("GET", "/migration-assistance/migrations?limit=@", "", "", 400),
    ("GET", "/migration-assistance/migrations?limit=1%FF@", "", "", 400),
    ("DELETE", "/migration-assistance/migrations/@", "", "", 404),
    ("GET", "~?@", "", "", 200),
    ("GET", "~/@", "", "", 404),
    ("GET", "~/issues?phase=@", "", "", 400),
    ("GET", "~/issues?code=@&entityType=@", "", "", 200),
    ("GET", "~/issues/@", "", "", 404),
    ("GET", "~/logs?@=1", "", "", 400),
    ("GET", "~/quarantine?@=1", "", "", 400),
    ("GET", "~/jobs/@", "", "", 404),
    ("PUT", "~/jobs/@", "", "", 404),
    ("PUT", "~/jobs/@/cancel", "", "", 404),
    ("PUT", "~/jobs/validate", "accept: text/@", "", 406),
    ("PUT", "~/jobs/remap", "content-type: application/json", "{\"sources\":[\"@\"]}", 422),
    ("PUT", "~/jobs/remap", "content-type: application/json", "{\"only\":[\"@\"]}", 400),
    ("PUT", "~/jobs/trial", "content-type: application/json", "{\"mapper\":\"@\"}", 400),
    ("PUT", "~/jobs/trial", "content-type: application/json", "{\"@\":\"@\"}", 400),
    ("PUT", "~/jobs/compare", "content-type: application/json", "{\"from\":\"@\",\"to\":\"@\"}", 400),
    ("PUT", "~/jobs/compare", "content-type: text/@", "@", 415),
    ("GET", "~/jobs/@/differences", "", "", 404),
    ("GET", "~/sources/@/records", "", "", 404),
    ("GET", "~/sources/client/records?outcome=@", "", "", 400),
    ("GET", "~/sources/client/records?@=@", "", "", 400),
    ("PUT", "~/sources/@", "content-type: application/jsonl", "{\"@\":\"@\"}", 404),
    ("PUT", "~/sources/client", "content-type: text/@", "@", 415),
    ("PUT", "~/sources/client", "accept: text/@", "@", 415),
    ("PUT", "~/mapper", "content-type: application/json", "{\"mapper\":\"@\"}", 422),
    ("PUT", "~/mapper", "content-type: application/json", "{\"@\":\"@\"}", 400),
    ("PUT", "~/mapper", "content-type: application/json", "{\"mapper\":{\"@\":\"@\"}}", 400),
    ("PUT", "~/mapper", "content-type: application/json", "@", 400),
    ("POST", "/migration-assistance/migrations", "content-type: application/json", "{\"components\":[\"@\"]}", 422),
    ("POST", "/migration-assistance/migrations", "content-type: application/json", "{\"components\":\"@\"}", 400),
    ("POST", "/migration-assistance/migrations", "content-type: application/json", "{\"@\":\"@\"}", 400),
    ("POST", "/migration-assistance/migrations", "content-type: application/json", "[\"@\"", 400),
    ("POST", "/migration-assistance/migrations", "content-type: application/@", "@", 415),
    ("PUT", "/counterparty-management/migrations/@/staging/@", "content-type: application/jsonl", "@", 404),
    ("GET", "/counterparty-management/migrations/@/staging/@/@", "", "", 404),
    ("GET", "/@/migrations/@/staging/counterparties/stream", "", "", 404),
    ("@", "~", "", "", 405),
    ("@", "/@", "x-request-id: @", "@", 404),
    ("GET", "~", "accept: application/json;api-version=@", "", 406),
    ("GET", "~", "authorization: Bearer @", "", 401),
    ("GET", "~", "authorization: Basic @", "", 401),
    ("GET", "~", "if-none-match: @", "", 200),
    ("GET", "~/events", "last-event-id: @", "", 400),
    ("GET", "~/events?follow=@", "", "", 400),
    ("POST", "/migration-assistance/migrations", "idempotency-key: @", "@", 415),
    ("POST", "/oauth2/token", "content-type: application/x-www-form-urlencoded", "grant_type=@", 400),
    ("POST", "/oauth2/token", "content-type: application/x-www-form-urlencoded", "@=@&@=%FF", 400),
    (
        "POST",
        "/oauth2/token",
        "content-type: application/x-www-form-urlencoded",
        "grant_type=client_credentials&client_id=@&client_secret=@",
        401,
    ),
    (
        "POST",
        "/oauth2/token",
        "content-type: application/x-www-form-urlencoded",
        "grant_type=client_credentials&scope=@&client_id=@&client_secret=@",
        400,
    ),
    ("GET", "/authentication/token/@/@", "", "", 400),
    ("GET", "/authentication/token/@/3f0e9d4c-5f3b-4c55-9c5b-2f1f4a3b7d10", "authorization: Basic @", "", 401),
    ("GET", "~", "traceparent: @", "", 200),
];

async fn send_invalid_requests(server: &RecordedServer, canaries: &mut Canaries, migration: &str) {
    for (method, path, header, body, status) in INVALID_REQUESTS {
        let [method, path, header, body] = [method, path, header, body].map(|text| fill(canaries, text));
        let headers: Vec<(&str, &str)> = header.split_once(": ").into_iter().collect();
        let answer = server.send(&method, &path.replace('~', migration), &headers, body).await;
        assert_eq!(answer.status, *status, "{method} {path} {header}: {}", answer.body);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn discloses_no_content_of_a_record() {
    let dir = tempfile::tempdir().unwrap();
    let mut canaries = Canaries::new();
    let server = RecordedServer::start(dir.path(), &["leaks", "leaks-stderr"]);
    let [moved, spoiled] = move_banks(&server, &mut canaries).await;
    let lender = move_lender(&server, &mut canaries).await;
    let leaked = run_leaking_mappers(&server, &mut canaries).await;
    send_invalid_requests(&server, &mut canaries, &leaked).await;
    server.get("/migration-assistance/migrations?limit=100").await;
    server.get("/migration-assistance/mappers").await;
    server.get("/audit?limit=100").await;
    server.get("/openapi.json").await;
    for path in ["/metrics", "/docs/"] {
        assert_eq!(server.send("GET", path, &[], "").await.status, 200, "{path}");
    }
    // One migration is purged. The others stay.
    assert_eq!(server.send("DELETE", &moved, &[], "").await.status, 204);
    for migration in [&spoiled, &lender] {
        request_everything(&server, migration).await;
    }

    let data_dir = server.data_dir.clone();
    let ((_, secret), token) = (server.first_client(), server.token().to_owned());
    let mut places = server.end();
    // The search finds canaries where records are stored, which shows that it works.
    let inside = files(&data_dir, |file| !holds_records(file) && file != Path::new("migrations"));
    assert!(search(&canaries, &inside).iter().any(|found| found.starts_with(sluice_data_dir::TARGET_FILE)));
    places.extend(files(&data_dir, holds_records));
    let bytes: usize = places.iter().map(|place| place.bytes.len()).sum();
    println!(
        "{} canaries planted; {} places with {bytes} bytes searched, in {} encodings",
        canaries.planted(),
        places.len(),
        canaries.encodings().len()
    );
    let found = search(&canaries, &places);
    assert!(found.is_empty(), "{} found:\n{}", found.len(), found.into_iter().collect::<Vec<_>>().join("\n"));

    // Secrets are stored in their own files and nowhere else.
    for secret in [secret.as_bytes(), token.as_bytes()] {
        let holds = |place: &&SearchedPlace| place.bytes.windows(secret.len()).any(|window| window == secret);
        let names: Vec<&str> = places.iter().filter(holds).map(|place| place.name.as_str()).collect();
        assert!(names.iter().all(|name| *name == sluice_data_dir::ADMIN_FILE), "a secret is in {names:?}");
    }

    // The same search finds a single leak in each place.
    for name in ["leak.log", "keys/leak", "migrations/leak"] {
        let file = data_dir.join(name);
        std::fs::write(&file, format!("{{\"error\":\"no such value: {}\"}}", canaries.text())).unwrap();
        let found = search(&canaries, &files(&data_dir, holds_records));
        assert!(found.len() == 1 && found.first().unwrap().starts_with(name), "{name}: {found:?}");
        std::fs::remove_file(file).unwrap();
    }
    for place in &mut places {
        let (length, leak) = (place.bytes.len(), canaries.text());
        place.bytes.extend_from_slice(leak.as_bytes());
        let found = search(&canaries, std::slice::from_ref(place));
        assert!(found.len() == 1 && found.first().unwrap().starts_with(&place.name), "{}: {found:?}", place.name);
        place.bytes.truncate(length);
    }
}
