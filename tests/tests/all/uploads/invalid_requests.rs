//! Invalid requests get a problem document. Unusual but valid bodies are accepted.

use serde_json::{Value, json};

use crate::harness::server::{Migration, shared};

const JSONL: &str = "application/jsonl";
const SEQUENCE: &str = "application/json-seq";

fn client(number: u64) -> String {
    json!({"client_id": number, "birth_number": "706213"}).to_string()
}

fn counterparty(number: u64) -> String {
    let id = uuid::Uuid::from_u128(u128::from(number));
    json!({"referenceId": id, "type": "organisation", "name": number.to_string()}).to_string()
}

/// A kind of upload: its path, and a record for it.
type Way = (fn(&Migration) -> String, fn(u64) -> String);

const WAYS: &[Way] = &[
    (|migration| migration.staging("counterparty-management", "counterparties"), counterparty),
    (|migration| migration.path("/sources/client"), client),
];

async fn migration() -> Migration {
    shared().register(Some("berka"), &["Counterparties"]).await
}

/// Headers, body, and status and code of the problem.
type Refusal = (&'static [(&'static str, &'static str)], &'static str, u16, &'static str);

const REFUSED: &[Refusal] = &[
    (&[("content-type", JSONL)], "", 400, "EMPTY_BODY"),
    (&[("content-type", JSONL)], "\n", 400, "EMPTY_BODY"),
    (&[("content-type", JSONL)], " \t\r\n\r\n  ", 400, "EMPTY_BODY"),
    (&[("content-type", JSONL)], "\u{feff}", 400, "EMPTY_BODY"),
    (&[("content-type", SEQUENCE)], "\u{1e}", 400, "EMPTY_BODY"),
    (&[("content-type", SEQUENCE)], "\u{1e}\n\u{1e}\n", 400, "EMPTY_BODY"),
    (&[], "{}", 415, "UNSUPPORTED_MEDIA_TYPE"),
    (&[("content-type", "application/json")], "{}", 415, "UNSUPPORTED_MEDIA_TYPE"),
    (&[("content-type", "text/plain")], "{}", 415, "UNSUPPORTED_MEDIA_TYPE"),
    (&[("content-type", "application/jsonlines")], "{}", 415, "UNSUPPORTED_MEDIA_TYPE"),
    (&[("content-type", JSONL), ("accept", "text/csv")], "{}", 406, "NOT_ACCEPTABLE"),
    (&[("content-type", JSONL), ("accept", "text/html, image/*")], "{}", 406, "NOT_ACCEPTABLE"),
    (&[("content-type", JSONL), ("accept", "application/json;api-version=2024.1.0")], "{}", 406, "UNKNOWN_API_VERSION"),
];

#[tokio::test(flavor = "multi_thread")]
async fn refuses_invalid_bodies_with_a_problem() {
    for (path, _) in WAYS {
        let migration = migration().await;
        let deleting = migration.staging("counterparty-management", "counterparties/delete");
        for path in [path(&migration), deleting] {
            for (headers, body, status, code) in REFUSED {
                let mut request = shared().request(reqwest::Method::PUT, &path).body(*body);
                for (name, value) in *headers {
                    request = request.header(*name, *value);
                }
                check_problem(&format!("{path} {headers:?} {body:?}"), request, *status, code).await;
            }
        }
        // The refused request changed nothing and blocks no other.
        let shown = migration.get("").await;
        assert_eq!((&shown["stagingStatus"], &shown["numberOfStagedEntities"]), (&json!("Pending"), &json!(0)));
    }
}

async fn check_problem(what: &str, request: reqwest::RequestBuilder, status: u16, code: &str) {
    let response = request.send().await.unwrap();
    assert_eq!(response.headers()["content-type"], "application/problem+json", "{what}");
    assert_eq!(response.status().as_u16(), status, "{what}");
    let problem: Value = response.json().await.unwrap();
    assert_eq!((&problem["status"], &problem["code"]), (&json!(status), &json!(code)), "{what}");
    assert_eq!(problem["type"], format!("/problems/{code}"), "{what}");
    assert!(problem["title"].is_string() && problem["detail"].as_str().unwrap().ends_with('.'), "{what}: {problem}");
}

#[tokio::test(flavor = "multi_thread")]
async fn refuses_uploads_to_unknown_paths() {
    let migration = migration().await;
    let bare = shared().register(None, &["Counterparties"]).await;
    let nobody = "/migration-assistance/migrations/00000000-0000-4000-8000-000000000000";
    let cases = [
        (migration.path("/sources/nothing"), 404, "NO_SUCH_SOURCE"),
        (bare.path("/sources/client"), 409, "NO_MAPPER"),
        (format!("{nobody}/sources/client"), 404, "NO_SUCH_MIGRATION"),
        ("/migration-assistance/migrations/1/sources/client".into(), 404, "NO_SUCH_MIGRATION"),
        (migration.staging("counterparty-management", "agreements"), 404, "NO_SUCH_ENTITY_TYPE"),
        (migration.staging("counterparty-management", "nothing/delete"), 404, "NO_SUCH_ENTITY_TYPE"),
        (migration.staging("financing-solution", "agreements"), 404, "DOMAIN_NOT_COVERED"),
        (migration.staging("nothing", "counterparties"), 404, "NO_SUCH_PATH"),
    ];
    for (path, status, code) in cases {
        let request = shared().request(reqwest::Method::PUT, &path).header("content-type", JSONL).body("{}");
        check_problem(&path, request, status, code).await;
    }
    let method = shared().request(reqwest::Method::PATCH, &migration.path(""));
    check_problem("PATCH", method, 405, "METHOD_NOT_ALLOWED").await;
}

/// Content type, body with `1` and `2` for two records, and the lines of these records.
const UNUSUAL: &[(&str, &str, [u64; 2])] = &[
    (JSONL, "1\n2\n", [1, 2]),
    (JSONL, "1\n2", [1, 2]),
    (JSONL, "1\r\n2\r\n", [1, 2]),
    (JSONL, "\u{feff}1\n2\n", [1, 2]),
    (JSONL, "\n\r\n  \n1\n\n\n2\n\n", [4, 7]),
    (JSONL, "  1  \n\t2\t\n", [1, 2]),
    ("application/jsonl; charset=utf-8", "1\n2\n", [1, 2]),
    (SEQUENCE, "\u{1e}1\n\u{1e}2\n", [1, 2]),
    (SEQUENCE, "\u{1e}1\u{1e}2", [1, 2]),
    (SEQUENCE, "\u{1e}\u{1e}1\n\u{1e}\n\u{1e}2\n", [2, 4]),
    (SEQUENCE, "\u{feff}\u{1e}1\r\n\u{1e}2\r\n", [1, 2]),
];

#[tokio::test(flavor = "multi_thread")]
async fn accepts_unusual_bodies() {
    for (path, record) in WAYS {
        for (media_type, body, lines) in UNUSUAL {
            let migration = migration().await;
            // The second record is invalid, so that both kinds of upload report its line.
            let second =
                record(2).replace("706213", "709999").replace(r#""organisation""#, "1").replace("00000002", "x");
            let sent = body.replace('2', "\u{0}").replace('1', &record(1)).replace('\u{0}', &second);
            let results = migration.put_as(&path(&migration), media_type, sent).await.lines();
            let what = format!("{media_type} {body:?}: {results:?}");
            assert_eq!(results.len(), 2, "{what}");
            assert_eq!(
                (&results[0]["isSuccessful"], &results[1]["isSuccessful"]),
                (&json!(true), &json!(false)),
                "{what}"
            );
            assert_eq!(results[1]["line"], lines[1], "{what}");
            if !results[0]["line"].is_null() {
                assert_eq!(results[0]["line"], lines[0], "{what}");
            }
            assert_eq!(migration.staged("counterparty-management", "counterparties").await.len(), 1, "{what}");
        }
    }
}

/// Accept header, and the media type of the answer.
const ACCEPTED: &[(&str, &str)] = &[
    ("", JSONL),
    ("*/*", JSONL),
    ("application/*", JSONL),
    ("application/jsonl", JSONL),
    ("application/json", JSONL),
    ("application/json;api-version=2025.1.0", JSONL),
    ("text/html, application/json-seq;q=0.9", SEQUENCE),
    ("application/json-seq", SEQUENCE),
    ("application/json-seq;api-version=2025.1.0", SEQUENCE),
];

/// Results and staged records have the requested framing.
#[tokio::test(flavor = "multi_thread")]
async fn answers_in_the_requested_framing() {
    let migration = migration().await;
    for (accept, media_type) in ACCEPTED {
        for (path, record) in WAYS {
            let body = format!("{}\nx\n", record(7));
            let upload =
                shared().request(reqwest::Method::PUT, &path(&migration)).header("content-type", JSONL).body(body);
            check_framing(upload, accept, media_type, 2).await;
        }
        let path = migration.staging("counterparty-management", "counterparties/stream");
        let staged = migration.staged("counterparty-management", "counterparties").await.len();
        check_framing(shared().request(reqwest::Method::GET, &path), accept, media_type, staged).await;
    }
}

async fn check_framing(request: reqwest::RequestBuilder, accept: &str, media_type: &str, records: usize) {
    let request = if accept.is_empty() { request } else { request.header("accept", accept) };
    let response = request.send().await.unwrap();
    assert_eq!((response.status().as_u16(), &response.headers()["content-type"]), (200, &media_type.parse().unwrap()));
    let text = response.text().await.unwrap();
    assert!(text.ends_with('\n'), "{accept}: {text:?}");
    assert_eq!(text.starts_with('\u{1e}'), media_type == SEQUENCE, "{accept}: {text:?}");
    let separator = if media_type == SEQUENCE { '\u{1e}' } else { '\n' };
    let framed = text.split(separator).filter(|record| !record.is_empty());
    let parsed: Vec<Value> = framed.map(|record| serde_json::from_str(record).unwrap()).collect();
    assert_eq!(parsed.len(), records, "{accept}: {text:?}");
}
