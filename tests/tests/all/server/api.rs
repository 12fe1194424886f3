//! The API's general features: request ids, entity tags, idempotency, limits, events, filters, health, metrics,
//! description.

use std::time::Duration;

use futures_util::StreamExt;
use reqwest::{Method, Response};
use serde_json::{Value, json};
use sluice_config::Config;
use sluice_server::app::Options;
use uuid::Uuid;

use crate::harness::lender::TYPES;
use crate::harness::raw_http::{Length, RawRequest};
use crate::harness::server::{ALL, Migration, Server, shared, start};

const MIGRATIONS: &str = "/migration-assistance/migrations";

/// Longest wait for one event. A longer one means that the server hangs.
const PATIENCE: Duration = Duration::from_secs(60);

async fn head(server: &Server, method: Method, path: &str, headers: &[(&'static str, &str)], body: Value) -> Response {
    let mut request = server.request(method, path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = if body.is_null() { request } else { request.json(&body) };
    request.send().await.unwrap()
}

fn field<'a>(response: &'a Response, name: &str) -> &'a str {
    response.headers().get(name).map_or("", |value| value.to_str().unwrap())
}

/// An answer has the request's id: the client's if it is a UUID, and a new one otherwise.
#[tokio::test(flavor = "multi_thread")]
async fn every_answer_has_a_request_id() {
    let own = "3f0e9d4c-5f3b-4c55-9c5b-2f1f4a3b7d10";
    for (path, status) in [("/health/live", 200), ("/nowhere", 404), (MIGRATIONS, 200)] {
        for (given, kept) in [(own, true), ("Jan Novak", false), ("", false)] {
            let response = head(shared(), Method::GET, path, &[("x-request-id", given)], Value::Null).await;
            assert_eq!(response.status().as_u16(), status);
            let id = field(&response, "x-request-id");
            assert!(id.parse::<Uuid>().is_ok() && (id == given) == kept, "{path} {given}: {id}");
        }
    }
}

/// Two people choose a mapper for the same migration: the second is told of the change in between.
#[tokio::test(flavor = "multi_thread")]
async fn refuses_a_change_with_an_old_entity_tag() {
    let migration = shared().register(None, ALL).await;
    let path = migration.path("");
    let seen = head(shared(), Method::GET, &path, &[], Value::Null).await;
    let tag = field(&seen, "etag").to_owned();
    assert!(tag.starts_with('"'));
    let again = head(shared(), Method::GET, &path, &[("if-none-match", &tag)], Value::Null).await;
    assert_eq!((again.status().as_u16(), again.text().await.unwrap().as_str()), (304, ""));
    let mapper = migration.path("/mapper");
    for (method, path, tag, status) in [
        (Method::PUT, &mapper, "\"another\"", 412),
        (Method::PUT, &mapper, tag.as_str(), 200),
        (Method::PUT, &mapper, tag.as_str(), 412),
        (Method::PUT, &mapper, "*", 200),
        (Method::DELETE, &path, tag.as_str(), 412),
        (Method::DELETE, &path, "*", 204),
    ] {
        let body = if method == Method::PUT { json!({"mapper": "berka"}) } else { Value::Null };
        let response = head(shared(), method.clone(), path, &[("if-match", tag)], body).await;
        assert_eq!(response.status().as_u16(), status, "{method} {path} {tag}");
    }
}

/// A registration is sent again, because its answer was lost.
#[tokio::test(flavor = "multi_thread")]
async fn answers_a_repeated_registration_from_its_key() {
    let key = Uuid::new_v4().to_string();
    let post = async |key: &str, components: &[&str]| {
        let body = json!({"components": components});
        head(shared(), Method::POST, MIGRATIONS, &[("idempotency-key", key)], body).await
    };
    let first = post(&key, &["Administrate"]).await;
    let place = field(&first, "location").to_owned();
    assert_eq!((first.status().as_u16(), field(&first, "idempotent-replayed")), (201, ""));
    let body = first.text().await.unwrap();
    let again = post(&key, &["Administrate"]).await;
    assert_eq!((again.status().as_u16(), field(&again, "idempotent-replayed")), (201, "true"));
    assert_eq!((field(&again, "location").to_owned(), again.text().await.unwrap()), (place.clone(), body));
    assert_eq!(post(&key, &["Collaterals"]).await.status().as_u16(), 422, "the key belongs to another request");
    assert_eq!(post("not ascii \u{7f}".trim_end_matches('\u{7f}'), &["Collaterals"]).await.status().as_u16(), 400);
    let other = post(&Uuid::new_v4().to_string(), &["Administrate"]).await;
    assert_ne!(field(&other, "location"), place);
    // A refused request is not kept: its correction may have the same key.
    let key = Uuid::new_v4().to_string();
    assert_eq!(post(&key, &["Nothing"]).await.status().as_u16(), 422);
    assert_eq!(post(&key, &["Administrate"]).await.status().as_u16(), 201);
}

fn limited(dir: &std::path::Path) -> Server {
    let mut config = Config::default();
    config.http.requests_per_second = 1;
    config.http.request_burst = 30;
    config.http.concurrent_requests = 2;
    config.http.json_bytes = 1_000;
    config.upload.max_bytes = 10_000;
    let options = Options { data_dir: dir.into(), config, mappers: vec![], worker: crate::harness::worker() };
    start(options, std::future::pending()).0
}

/// A server with narrow limits refuses requests beyond them, and says when to try again.
/// The server has a JSON Schema of each entity type: the published files, which the domain plugins' tests compare with
/// their tables of fields.
#[tokio::test(flavor = "multi_thread")]
async fn serves_the_published_schemas() {
    let listed = shared().send(shared().anonymous(Method::GET, "/schemas")).await.json();
    let listed: Vec<&str> = listed.as_array().unwrap().iter().map(|one| one["entityType"].as_str().unwrap()).collect();
    let mut expected: Vec<&str> = TYPES.iter().map(|(_, entity_type)| *entity_type).collect();
    expected.sort_unstable();
    assert_eq!(listed, expected);
    for entity_type in expected {
        let path = format!("../docs/plugins/schemas/{entity_type}.json");
        let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
        let served = shared().send(shared().anonymous(Method::GET, &format!("/schemas/{entity_type}"))).await;
        assert_eq!((served.status, served.body), (200, std::fs::read_to_string(file).unwrap()), "{entity_type}");
    }
    let absent = shared().send(shared().anonymous(Method::GET, "/schemas/clients")).await;
    assert_eq!(absent.problem(), (404, "NO_SUCH_ENTITY_TYPE".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn enforces_limits() {
    let dir = tempfile::tempdir().unwrap();
    let server: &'static Server = Box::leak(Box::new(limited(dir.path())));
    let migration = server.register(None, &["Counterparties"]).await;
    let long = json!({"components": ["Counterparties"], "mapper": "m".repeat(2_000)});
    let answer = head(server, Method::POST, MIGRATIONS, &[], long).await;
    assert_eq!(answer.status().as_u16(), 413);
    assert_eq!(answer.json::<Value>().await.unwrap()["code"], "BODY_TOO_LARGE");

    // An endless upload is cut off, and its complete records are kept.
    let record = json!({"referenceId": Uuid::new_v4(), "type": "organisation", "name": "N"}).to_string();
    let body = record.clone() + "\n" + &" ".repeat(20_000) + "\n" + &record + "\n";
    let answer = migration.stage("counterparty-management", "counterparties", body).await;
    let results = answer.lines();
    assert_eq!((results.len(), &results[0]["isSuccessful"]), (2, &json!(true)), "{}", answer.body);
    assert_eq!(results[1]["problem"]["code"], "BODY_TOO_LARGE", "the last line has the reason");
    let log = migration.get("/logs?code=UPLOAD_BROKEN_OFF").await;
    assert_eq!(log["total"], 1, "{log}");

    // A client may have at most two open uploads.
    let path = |entity: &str| migration.staging("counterparty-management", entity);
    let mut open = vec![];
    for _ in 0..2 {
        let mut raw = RawRequest::put(server, &path("counterparties"), "application/jsonl", Length::Chunked).await;
        raw.send(" ").await;
        open.push(raw);
    }
    let refused = async || {
        let answer = head(server, Method::GET, MIGRATIONS, &[], Value::Null).await;
        let wait = field(&answer, "retry-after").to_owned();
        (answer.status().as_u16(), wait, answer.json::<Value>().await.unwrap()["code"].clone())
    };
    let at_once = tokio::time::timeout(PATIENCE, async {
        loop {
            let answer = refused().await;
            if answer.0 == 429 {
                return answer;
            }
        }
    });
    let (_, wait, code) = at_once.await.expect("the third request is never refused");
    assert!(!wait.is_empty() && (code == "TOO_MANY_AT_ONCE" || code == "TOO_MANY_REQUESTS"), "{code}");
    drop(open);
    let too_often = tokio::time::timeout(PATIENCE, async {
        loop {
            let (status, wait, code) = refused().await;
            if code == "TOO_MANY_REQUESTS" {
                return (status, wait);
            }
        }
    });
    let (status, wait) = too_often.await.expect("the server never refuses for too many requests");
    assert_eq!((status, wait.parse::<u64>().is_ok()), (429, true));
}

/// Reads a stream of events until one matches.
async fn until(response: Response, found: impl Fn(&str) -> bool) -> Vec<String> {
    let mut pieces = response.bytes_stream();
    let mut text = String::new();
    let reading = async {
        while let Some(piece) = pieces.next().await {
            text += str::from_utf8(&piece.unwrap()).unwrap();
            let events: Vec<String> = text.split_inclusive("\n\n").map(str::to_owned).collect();
            if events.iter().any(|event| event.ends_with("\n\n") && found(event)) {
                return events;
            }
        }
        panic!("the stream ended: {text}");
    };
    tokio::time::timeout(PATIENCE, reading).await.expect("the event does not arrive")
}

async fn job(migration: &Migration, kind: &str) -> Value {
    migration.job(kind).await
}

/// A silent client, and one that sends a byte now and then, occupy a source for a limited time only.
#[tokio::test(flavor = "multi_thread")]
async fn ends_slow_uploads() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = Config::default();
    config.upload.idle_seconds = 1;
    let options = Options { data_dir: dir.path().into(), config, mappers: vec![], worker: crate::harness::worker() };
    let server: &'static Server = Box::leak(Box::new(start(options, std::future::pending()).0));
    for trickles in [false, true] {
        let migration = server.register(None, &["Counterparties"]).await;
        let listening = head(server, Method::GET, &migration.path("/events"), &[], Value::Null).await;
        let path = migration.staging("counterparty-management", "counterparties");
        let mut raw = RawRequest::put(server, &path, "application/jsonl", Length::Chunked).await;
        let record = json!({"referenceId": Uuid::new_v4(), "type": "organisation", "name": "N"}).to_string();
        raw.send(record + "\n{").await;
        let trickling = tokio::spawn(async move {
            let mut tick = tokio::time::interval(Duration::from_millis(200));
            loop {
                tick.tick().await;
                if trickles {
                    raw.send(" ").await;
                }
            }
        });
        let events = until(listening, |event| event.contains("UPLOAD_BROKEN_OFF")).await;
        trickling.abort();
        let last = events.iter().find(|event| event.contains("UPLOAD_BROKEN_OFF")).unwrap();
        assert!(last.contains(r#""accepted":1"#), "the server keeps complete records: {last}");
        let again = migration.stage("counterparty-management", "counterparties", "{}").await;
        assert_eq!(again.status, 200, "the source accepts an upload again: {}", again.body);
    }
}

/// A client that reconnects gets the events it missed, once.
#[tokio::test(flavor = "multi_thread")]
async fn events_continue_after_the_last_id() {
    let migration = shared().register(None, &["Counterparties"]).await;
    let path = migration.path("/events");
    let listening = head(shared(), Method::GET, &path, &[], Value::Null).await;
    assert_eq!(field(&listening, "content-type"), "text/event-stream");
    let record = json!({"referenceId": Uuid::new_v4(), "type": "organisation", "name": "N"}).to_string();
    migration.stage("counterparty-management", "counterparties", record).await;
    let events = until(listening, |event| event.contains("UPLOAD_ENDED")).await;
    let last = events.iter().rev().find_map(|event| event.lines().find_map(|line| line.strip_prefix("id: "))).unwrap();
    job(&migration, "validate").await;
    job(&migration, "counts").await;
    let back = head(shared(), Method::GET, &path, &[("last-event-id", last)], Value::Null).await;
    let missed = until(back, |event| event.contains("COUNTS_")).await;
    let codes: Vec<&str> =
        missed.iter().filter_map(|event| event.split(r#""code":""#).nth(1)?.split('"').next()).collect();
    assert!(codes.contains(&"VALIDATE_SUCCEEDED") && !codes.contains(&"UPLOAD_ENDED"), "{codes:?}");
    let wrong = head(shared(), Method::GET, &path, &[("last-event-id", "yesterday")], Value::Null).await;
    assert_eq!(wrong.status().as_u16(), 400);
}

/// Filters of the log, and the number of entries of one migration that pass each.
#[tokio::test(flavor = "multi_thread")]
async fn filters_the_log() {
    let migration = shared().register(None, &["Counterparties"]).await;
    let record = json!({"referenceId": Uuid::new_v4(), "type": "organisation", "name": "N"}).to_string();
    migration.stage("counterparty-management", "counterparties", record + "\nnonsense\n").await;
    let id = job(&migration, "validate").await["jobId"].as_str().unwrap().to_owned();
    for (query, total) in [
        ("", 3),
        ("?severity=warning", 1),
        ("?code=UPLOAD_ENDED", 1),
        ("?code=UPLOAD_ENDED&severity=info", 0),
        (&format!("?job={id}"), 1),
        // The upload is about its domain; the validation is about all of them.
        ("?component=Counterparties", 1),
        ("?component=Collaterals", 0),
    ] {
        assert_eq!(migration.get(&format!("/logs{query}")).await["total"], total, "{query}");
    }
    for query in ["?severity=loud", "?job=1", "?limit=0", "?limit=5&limit=6", "?since=1"] {
        assert_eq!(shared().get(&migration.path(&format!("/logs{query}"))).await.status, 400, "{query}");
    }
}

/// A job reports its rate.
#[tokio::test(flavor = "multi_thread")]
async fn job_reports_its_rate() {
    let migration = shared().register(None, &["Counterparties"]).await;
    let record = json!({"referenceId": Uuid::new_v4(), "type": "organisation", "name": "N"}).to_string();
    migration.stage("counterparty-management", "counterparties", record).await;
    let job = job(&migration, "validate").await;
    assert!(job["recordsPerSecond"].as_f64().is_some_and(|rate| rate > 0.0) && job["secondsLeft"].is_null(), "{job}");
}

/// Metrics have names and units by Prometheus' conventions.
#[tokio::test(flavor = "multi_thread")]
async fn exposes_metrics() {
    let answer = shared().get("/metrics").await;
    for name in [
        "# TYPE sluice_http_requests counter",
        "# UNIT sluice_http_request_duration_seconds seconds",
        "# TYPE sluice_uploads_in_progress gauge",
        "sluice_build_info{version=",
        "sluice_http_requests_total{method=\"GET\",route=\"/health/ready\",status=\"200\"}",
        "# EOF",
    ] {
        assert!(answer.body.contains(name), "{name} is not in {}", answer.body);
    }
}

/// The API page loads only files of this server.
#[tokio::test(flavor = "multi_thread")]
async fn api_page_loads_only_own_files() {
    let get = async |path: &str| shared().send(shared().anonymous(Method::GET, path)).await;
    let page = get("/docs/").await;
    assert_eq!(page.status, 200);
    let mut loaded = 0;
    for piece in page.body.split(['"', '\'']).filter(|piece| piece.ends_with(".js") || piece.ends_with(".css")) {
        assert!(!piece.contains("://"), "{piece}");
        assert_eq!(get(&format!("/docs/{}", piece.trim_start_matches("./"))).await.status, 200, "{piece}");
        loaded += 1;
    }
    assert!(loaded >= 3, "{}", page.body);
    let settings = get("/docs/swagger-initializer.js").await.body;
    assert!(settings.contains("/openapi.json") && settings.contains("\"validatorUrl\": \"none\""), "{settings}");
}
