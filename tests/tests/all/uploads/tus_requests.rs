//! Resumable uploads by request: tus 1.0, refusals, stored data and results.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use reqwest::{Method, Response};
use serde_json::{Value, json};

use crate::harness::server::{Migration, Server, shared};

pub const PART: &str = "application/offset+octet-stream";

pub fn clients(numbers: std::ops::RangeInclusive<u64>) -> String {
    numbers.map(|id| json!({"client_id": id, "birth_number": "706213"}).to_string() + "\n").collect()
}

/// Returns the metadata of an upload.
pub fn metadata(pairs: &[(&str, &str)]) -> String {
    let pair = |(name, value): &(&str, &str)| format!("{name} {}", BASE64_STANDARD.encode(value));
    pairs.iter().map(pair).collect::<Vec<_>>().join(",")
}

pub fn lines() -> String {
    metadata(&[("filename", "Nov\u{e1}k.jsonl"), ("filetype", "application/jsonl")])
}

pub async fn migration(server: &'static Server) -> Migration {
    server.register(Some("berka"), &["Counterparties"]).await
}

pub async fn tus(
    migration: &Migration,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: impl Into<reqwest::Body>,
) -> Response {
    let method = Method::from_bytes(method.as_bytes()).unwrap();
    let mut request = migration.server.request(method, path).header("tus-resumable", "1.0.0").body(body);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.send().await.unwrap()
}

fn field(response: &Response, name: &str) -> String {
    response.headers().get(name).map_or("", |value| value.to_str().unwrap()).to_owned()
}

/// Creates an upload of clients, and returns the path of its parts.
pub async fn begin(migration: &Migration, length: usize, metadata: &str) -> String {
    begin_source(migration, "client", length, metadata).await
}

/// Creates an upload of a source, and returns the path of its parts.
pub async fn begin_source(migration: &Migration, source: &str, length: usize, metadata: &str) -> String {
    let path = migration.path(&format!("/sources/{source}/uploads"));
    let said = [("upload-length", &*length.to_string()), ("upload-metadata", metadata)];
    let response = tus(migration, "POST", &path, &said, "").await;
    assert_eq!((response.status().as_u16(), &*field(&response, "tus-resumable")), (201, "1.0.0"));
    assert!(field(&response, "upload-expires").ends_with("GMT"));
    field(&response, "location")
}

pub async fn offset(migration: &Migration, upload: &str) -> u64 {
    let response = tus(migration, "HEAD", upload, &[], "").await;
    assert_eq!((response.status().as_u16(), &*field(&response, "cache-control")), (200, "no-store"));
    field(&response, "upload-offset").parse().unwrap()
}

pub async fn part(
    migration: &Migration,
    upload: &str,
    at: u64,
    bytes: impl Into<reqwest::Body>,
    more: &[(&str, &str)],
) -> Response {
    let at = at.to_string();
    let said = [&[("content-type", PART), ("upload-offset", &*at)], more].concat();
    tus(migration, "PATCH", upload, &said, bytes).await
}

/// Waits for an upload's end.
pub async fn ended(migration: &Migration, upload: &str) -> Value {
    loop {
        let request = migration.server.request(Method::GET, upload).header("prefer", "wait=60");
        let shown = migration.server.send(request).await.json();
        if shown["state"] == "ended" {
            return shown;
        }
    }
}

pub async fn code(response: Response) -> (u16, String) {
    let status = response.status().as_u16();
    (status, response.json::<Value>().await.unwrap()["code"].as_str().unwrap_or_default().to_owned())
}

pub async fn records(migration: &Migration) -> String {
    migration.server.get(&migration.path("/sources/client/records")).await.body
}

#[tokio::test(flavor = "multi_thread")]
async fn joins_parts_to_one_upload() {
    let body = clients(1..=3_000) + "no client\n" + &clients(3_001..=3_010);
    let (plain, other) = (migration(shared()).await, migration(shared()).await);
    let put = plain.source("client", body.clone()).await;
    let upload = begin(&other, body.len(), &lines()).await;
    let sums = [
        ("", ""),
        ("sha1", "sha1 2jmj7l5rSw0yVb/vlWAYkK/YBwk="),
        ("sha256", "sha256 47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="),
    ];
    // Checksums of an empty body match an empty part and no other.
    for (name, sum) in &sums[1..] {
        let fits = part(&other, &upload, 0, "", &[("upload-checksum", sum)]).await;
        assert_eq!((fits.status().as_u16(), &*field(&fits, "upload-offset")), (204, "0"), "{name}");
        let differs = part(&other, &upload, 0, body.clone(), &[("upload-checksum", sum)]).await;
        assert_eq!(code(differs).await, (460, "CHECKSUM_MISMATCH".into()), "{name}");
        assert_eq!(offset(&other, &upload).await, 0, "{name}: the server keeps no byte of a refused part");
    }
    let (one, rest) = body.split_at(100_000);
    let (two, three) = rest.split_at(7);
    let sum = format!("sha256 {}", BASE64_STANDARD.encode(sluice_model::Digest::of(one.as_bytes()).bytes()));
    let first = part(&other, &upload, 0, one.to_owned(), &[("upload-checksum", &sum)]).await;
    assert_eq!((first.status().as_u16(), &*field(&first, "upload-offset")), (204, "100000"));
    for wrong in [0, 99_999, 100_001] {
        let refused = part(&other, &upload, wrong, "x", &[]).await;
        assert_eq!(field(&refused, "upload-offset"), "100000");
        assert_eq!(code(refused).await, (409, "OFFSET_MISMATCH".into()), "{wrong}");
    }
    let longer = part(&other, &upload, 100_000, rest.to_owned() + "x", &[]).await;
    assert_eq!(code(longer).await, (413, "UPLOAD_TOO_LONG".into()));
    assert_eq!(part(&other, &upload, 100_000, two.to_owned(), &[]).await.status().as_u16(), 204);
    let shown = shared().get(&upload).await.json();
    assert_eq!(
        (&shown["state"], &shown["offset"], &shown["length"]),
        (&json!("receiving"), &json!(100_007), &json!(body.len()))
    );
    assert_eq!(shared().get(&(upload.clone() + "/results")).await.problem(), (409, "UPLOAD_NOT_ENDED".into()));
    assert_eq!(records(&other).await, "", "the server processes only complete uploads");
    let response = tus(&other, "HEAD", &upload, &[], "").await;
    assert_eq!(
        (field(&response, "upload-length"), field(&response, "upload-metadata")),
        (body.len().to_string(), lines())
    );

    // With the method override, for networks that allow POST only.
    let said = [("content-type", PART), ("upload-offset", "100007"), ("x-http-method-override", "PATCH")];
    assert_eq!(tus(&other, "POST", &upload, &said, three.to_owned()).await.status().as_u16(), 204);
    let shown = ended(&other, &upload).await;
    let digest = sluice_model::Digest::of(body.as_bytes()).to_string();
    let figures = json!({"number": 1, "records": 3_011, "accepted": 3_010, "skipped": 0, "rejected": 1, "quarantined": 0, "body": digest});
    assert_eq!((&shown["figures"], &shown["problem"]), (&figures, &Value::Null), "{shown}");
    assert_eq!(records(&other).await, records(&plain).await);
    let results = shared().get(&(upload.clone() + "/results")).await;
    let shorn = |lines: Vec<Value>| {
        lines.into_iter().map(|line| (line["line"].clone(), line["outcome"].clone())).collect::<Vec<_>>()
    };
    assert_eq!(shorn(results.lines()), shorn(put.lines()));
    let sequence =
        shared().request(Method::GET, &(upload.clone() + "/results")).header("accept", "application/json-seq");
    assert_eq!(shared().send(sequence).await.body.matches("\u{1e}{").count(), 3_011);
    // The upload was complete: a client that missed the answer asks for the offset, and is done.
    assert_eq!(offset(&other, &upload).await, body.len() as u64);
    assert_eq!(part(&other, &upload, body.len() as u64, "", &[]).await.status().as_u16(), 204);
    let trail = other.get("/audit?limit=100").await;
    let actions: Vec<&str> = trail["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["action"].as_str().unwrap())
        .filter(|action| !["REQUEST", "RECORDS_READ"].contains(action))
        .collect();
    assert_eq!(actions, ["MIGRATION_REGISTERED", "UPLOAD_CREATED", "UPLOAD_BEGUN", "UPLOAD_ENDED"]);
    assert_eq!(tus(&other, "DELETE", &upload, &[], "").await.status().as_u16(), 204);
    assert_eq!(tus(&other, "HEAD", &upload, &[], "").await.status().as_u16(), 404);
    assert!(records(&other).await.len() > 100_000, "the records of a deleted upload stay");
}

#[tokio::test(flavor = "multi_thread")]
async fn accepts_tables_and_compressed_bodies() {
    let table = "client_id;birth_number;m\u{11b}sto\n1;706213;Plze\u{148}\n2;706213;\n";
    let bytes: Vec<u8> = table
        .chars()
        .map(|c| match c {
            '\u{11b}' => 0xec,
            '\u{148}' => 0xf2,
            c => c as u8,
        })
        .collect();
    let mut packed = vec![];
    let mut encoder = async_compression::tokio::write::GzipEncoder::new(&mut packed);
    tokio::io::AsyncWriteExt::write_all(&mut encoder, &bytes).await.unwrap();
    tokio::io::AsyncWriteExt::shutdown(&mut encoder).await.unwrap();
    let said = [("content-type", "text/csv; charset=windows-1250"), ("content-encoding", "gzip"), ("separator", ";")];
    for (what, body, said, accepted, problem) in [
        ("whole", packed.clone(), &said[..], json!(2), Value::Null),
        ("cut", packed[..packed.len() - 6].to_vec(), &said[..], json!(2), json!("INVALID_COMPRESSION")),
        ("no such header", b"a;a\n1;2\n".to_vec(), &[said[0], said[2]][..], Value::Null, json!("INVALID_HEADER")),
        ("blank", b"  \n".to_vec(), &[("filetype", "application/jsonl")][..], Value::Null, json!("EMPTY_BODY")),
    ] {
        let migration = migration(shared()).await;
        let upload = begin(&migration, body.len(), &metadata(said)).await;
        assert_eq!(part(&migration, &upload, 0, body, &[]).await.status().as_u16(), 204, "{what}");
        let shown = ended(&migration, &upload).await;
        assert_eq!(
            (&shown["figures"]["accepted"], &shown["problem"]["code"]),
            (&accepted, &problem),
            "{what}: {shown}"
        );
        let results = shared().get(&(upload + "/results")).await.lines();
        let last = results.last().map_or(Value::Null, |last| last["problem"]["code"].clone());
        assert_eq!(last, if accepted.is_null() { Value::Null } else { problem }, "{what}: {results:?}");
    }
}

/// Headers of a creation, and the problem.
type Refusal = (&'static [(&'static str, &'static str)], u16, &'static str);

/// Creations that are refused. The base64 texts are `application/jsonl`, `text/csv; charset=shift_jis` and `br`.
const REFUSED: &[Refusal] = &[
    (&[("upload-length", "5")], 415, "UNSUPPORTED_MEDIA_TYPE"),
    (&[("upload-metadata", "filetype YXBwbGljYXRpb24vanNvbmw=")], 400, "INVALID_HEADER_FIELD"),
    (&[("upload-length", "-5"), ("upload-metadata", "filetype YXBwbGljYXRpb24vanNvbmw=")], 400, "INVALID_HEADER_FIELD"),
    (
        &[("upload-defer-length", "1"), ("upload-metadata", "filetype YXBwbGljYXRpb24vanNvbmw=")],
        400,
        "INVALID_HEADER_FIELD",
    ),
    (&[("upload-length", "0"), ("upload-metadata", "filetype YXBwbGljYXRpb24vanNvbmw=")], 400, "EMPTY_BODY"),
    (&[("upload-length", "5"), ("upload-metadata", "filetype ???")], 400, "INVALID_METADATA"),
    (
        &[("upload-length", "5"), ("upload-metadata", "content-type dGV4dC9jc3Y7IGNoYXJzZXQ9c2hpZnRfamlz")],
        415,
        "UNSUPPORTED_CHARSET",
    ),
    (
        &[("upload-length", "5"), ("upload-metadata", "filetype YXBwbGljYXRpb24vanNvbmw=,content-encoding YnI=")],
        415,
        "UNSUPPORTED_CONTENT_ENCODING",
    ),
    (
        &[("upload-length", "99999999999999"), ("upload-metadata", "filetype YXBwbGljYXRpb24vanNvbmw=")],
        413,
        "BODY_TOO_LARGE",
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn refuses_invalid_requests() {
    let migration = migration(shared()).await;
    let path = migration.path("/sources/client/uploads");
    for (said, status, problem) in REFUSED {
        let response = tus(&migration, "POST", &path, said, "").await;
        assert_eq!(field(&response, "tus-resumable"), "1.0.0");
        assert_eq!(code(response).await, (*status, problem.to_string()), "{said:?}");
    }
    let good = [("upload-length", "5"), ("upload-metadata", "filetype YXBwbGljYXRpb24vanNvbmw=")];
    let nowhere = tus(&migration, "POST", &migration.path("/sources/nothing/uploads"), &good, "").await;
    assert_eq!(code(nowhere).await, (404, "NO_SUCH_SOURCE".into()));
    let bare = shared().register(None, &["Counterparties"]).await;
    let unmapped = tus(&bare, "POST", &bare.path("/sources/client/uploads"), &good, "").await;
    assert_eq!(code(unmapped).await, (409, "NO_MAPPER".into()));
    for version in ["", "0.2.2"] {
        let request = shared().request(Method::POST, &path).header("tus-resumable", version);
        let response = request.header("upload-length", "5").send().await.unwrap();
        assert_eq!(field(&response, "tus-version"), "1.0.0");
        assert_eq!(code(response).await, (412, "UNKNOWN_TUS_VERSION".into()));
    }
    let response = shared().request(Method::OPTIONS, &path).send().await.unwrap();
    assert_eq!(response.status().as_u16(), 204);
    for (name, value) in [
        ("tus-version", "1.0.0"),
        ("tus-extension", "creation,checksum,expiration,termination"),
        ("tus-checksum-algorithm", "sha1,sha256"),
        ("tus-max-size", "68719476736"),
    ] {
        assert_eq!(field(&response, name), value);
    }
    let upload = begin(&migration, 5, &lines()).await;
    for (said, status, problem) in [
        (vec![("content-type", PART)], 400, "INVALID_HEADER_FIELD"),
        (vec![("upload-offset", "0"), ("content-type", "application/jsonl")], 415, "UNSUPPORTED_MEDIA_TYPE"),
        (
            vec![("upload-offset", "0"), ("content-type", PART), ("upload-checksum", "md5 AAAA")],
            400,
            "INVALID_CHECKSUM",
        ),
        (
            vec![("upload-offset", "0"), ("content-type", PART), ("upload-checksum", "sha1 AAAA")],
            400,
            "INVALID_CHECKSUM",
        ),
    ] {
        assert_eq!(
            code(tus(&migration, "PATCH", &upload, &said, "12345").await).await,
            (status, problem.into()),
            "{said:?}"
        );
    }
    // Uploads of another source and of another migration are not found.
    let elsewhere = upload.replace("/client/", "/loan/");
    assert_eq!(shared().get(&elsewhere).await.problem(), (404, "NO_SUCH_UPLOAD".into()));
    let other = self::migration(shared()).await;
    assert_eq!(shared().get(&upload.replace(&migration.id, &other.id)).await.problem(), (404, "NO_SUCH_UPLOAD".into()));
    assert_eq!(tus(&migration, "DELETE", &upload, &[], "").await.status().as_u16(), 204);
    assert_eq!(shared().get(&upload).await.problem(), (404, "NO_SUCH_UPLOAD".into()));
}

/// A repeated request with its key creates nothing new.
#[tokio::test(flavor = "multi_thread")]
async fn recognises_a_repeated_creation() {
    let migration = migration(shared()).await;
    let path = migration.path("/sources/client/uploads");
    let key = uuid::Uuid::new_v4().to_string();
    let metadata = lines();
    let post = async |length: &str| {
        let said = [("upload-length", length), ("upload-metadata", &*metadata), ("idempotency-key", &*key)];
        tus(&migration, "POST", &path, &said, "").await
    };
    let (one, two) = (post("5").await, post("5").await);
    assert_eq!((field(&one, "location"), field(&two, "idempotent-replayed")), (field(&two, "location"), "true".into()));
    assert_eq!(post("6").await.status().as_u16(), 422);
}
