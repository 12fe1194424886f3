//! Compressed uploads: the same records, in time and within limits, and errors for damaged bodies.

use async_compression::Level;
use async_compression::tokio::write::{GzipEncoder, ZstdEncoder};
use serde_json::{Value, json};
use sluice_config::Config;
use sluice_server::app::Options;
use tokio::io::{AsyncWrite, AsyncWriteExt};

use crate::harness::raw_http::{Length, RawRequest};
use crate::harness::server::{Answer, Migration, Server, shared, start};

const JSONL: &str = "application/jsonl";

fn client(number: u64) -> String {
    json!({"client_id": number, "birth_number": "706213"}).to_string() + "\n"
}

fn counterparty(number: u64) -> String {
    let id = uuid::Uuid::from_u128(u128::from(number));
    json!({"referenceId": id, "type": "organisation", "name": number.to_string()}).to_string() + "\n"
}

/// A kind of upload: its path, and a record for it.
type Way = (fn(&Migration) -> String, fn(u64) -> String);

const WAYS: &[Way] = &[
    (|migration| migration.staging("counterparty-management", "counterparties"), counterparty),
    (|migration| migration.path("/sources/client"), client),
];

async fn migration(server: &'static Server) -> Migration {
    server.register(Some("berka"), &["Counterparties"]).await
}

async fn finished(mut encoder: impl AsyncWrite + Unpin, pieces: &[&[u8]]) {
    for piece in pieces {
        encoder.write_all(piece).await.unwrap();
        encoder.flush().await.unwrap();
    }
    encoder.shutdown().await.unwrap();
}

async fn gzip(text: &[u8]) -> Vec<u8> {
    let mut out = vec![];
    finished(GzipEncoder::new(&mut out), &[text]).await;
    out
}

async fn zstd(text: &[u8]) -> Vec<u8> {
    let mut out = vec![];
    finished(ZstdEncoder::new(&mut out), &[text]).await;
    out
}

async fn put(migration: &Migration, path: &str, coding: &str, body: Vec<u8>) -> Answer {
    let request = migration.server.request(reqwest::Method::PUT, path).header("content-type", JSONL);
    migration.server.send(request.header("content-encoding", coding).body(body)).await
}

async fn staged(migration: &Migration) -> Vec<Value> {
    migration.staged("counterparty-management", "counterparties").await
}

/// Returns size and digest of the last upload's compressed body.
async fn received(migration: &Migration) -> (Value, Value) {
    let request = migration.server.request(reqwest::Method::GET, &migration.path("/audit"));
    let trail = migration.server.send(request.header("accept", JSONL)).await.lines();
    let last = trail.into_iter().rfind(|entry| entry["action"] == "UPLOAD_ENDED").unwrap();
    assert!(last["figures"]["bytes"].is_u64() && last["body"].is_string(), "{last}");
    (last["figures"]["bytes"].clone(), last["body"].clone())
}

/// A table gives the same results, records and digest in every compression.
#[tokio::test(flavor = "multi_thread")]
async fn gives_the_same_records_in_every_compression() {
    for (path, record) in WAYS {
        let text = (1..=3_000).map(record).collect::<String>() + "no record\n";
        let (one, two) = text.split_at(text.len() / 3);
        let bytes = text.as_bytes();
        let plain = migration(shared()).await;
        let expected = plain.put_as(&path(&plain), JSONL, text.clone()).await;
        assert_eq!(expected.lines().len(), 3_001);
        let mut strong = vec![];
        finished(ZstdEncoder::with_quality(&mut strong, Level::Precise(19)), &[bytes]).await;
        for (coding, body) in [
            ("identity", bytes.to_vec()),
            ("gzip", gzip(bytes).await),
            ("GZIP", gzip(bytes).await),
            ("x-gzip", gzip(bytes).await),
            ("gzip", [gzip(one.as_bytes()).await, gzip(two.as_bytes()).await].concat()),
            ("zstd", zstd(bytes).await),
            ("zstd", strong),
            ("zstd", [zstd(one.as_bytes()).await, zstd(two.as_bytes()).await].concat()),
        ] {
            let migration = migration(shared()).await;
            let answer = put(&migration, &path(&migration), coding, body).await;
            let results = |answer: &Answer, of: &Migration| answer.body.replace(&of.id, "");
            assert_eq!(answer.status, 200);
            let shorn = |answer: &Answer| {
                let lines = answer.lines().into_iter();
                lines.map(|line| (line["isSuccessful"].clone(), line["line"].clone())).collect::<Vec<_>>()
            };
            assert_eq!(shorn(&answer), shorn(&expected), "{coding}: {}", results(&answer, &migration));
            assert_eq!(staged(&migration).await.len(), 3_000, "{coding}");
            assert_eq!(received(&migration).await, received(&plain).await, "{coding}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn refuses_other_encodings() {
    for (path, record) in WAYS {
        let migration = migration(shared()).await;
        for coding in ["br", "deflate", "gzip, zstd", "compress", "utf-8"] {
            let request = shared().request(reqwest::Method::PUT, &path(&migration)).header("content-type", JSONL);
            let response = request.header("content-encoding", coding).body(record(1)).send().await.unwrap();
            assert_eq!(response.status().as_u16(), 415, "{coding}");
            assert_eq!(response.headers()["accept-encoding"], "gzip, zstd", "{coding}");
            assert_eq!(response.json::<Value>().await.unwrap()["code"], "UNSUPPORTED_CONTENT_ENCODING", "{coding}");
        }
        assert!(staged(&migration).await.is_empty());
    }
}

/// Checks that complete records before the damage stay, and that the last line of the answer has the error.
async fn ends_with(migration: &Migration, answer: &Answer, code: &str, what: &str) -> usize {
    assert_eq!(answer.status, 200, "{what}: {}", answer.body);
    let mut results = answer.lines();
    let last = results.pop().unwrap();
    assert_eq!((&last["isSuccessful"], &last["problem"]["code"]), (&json!(false), &json!(code)), "{what}: {last}");
    let successful = results.iter().filter(|result| result["isSuccessful"] == true).count();
    // Both formats have their checksum at the end, so records after a damage can have any content.
    assert!(successful == results.len() || what.ends_with("changed"), "{what}");
    assert_eq!(staged(migration).await.len(), successful, "{what}");
    let log = migration.get("/logs?code=UPLOAD_BROKEN_OFF").await;
    assert_eq!(log["items"][0]["figures"]["records"], results.len(), "{what}: {log}");
    results.len()
}

#[tokio::test(flavor = "multi_thread")]
async fn reports_damaged_bodies() {
    // Records that compress badly, so that some come before the damage.
    let noisy = |record: &fn(u64) -> String| {
        (1..=20_000).map(|n: u64| record(n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 16)).collect::<String>()
    };
    for (path, record) in WAYS {
        let text = noisy(record);
        for (coding, whole) in [("gzip", gzip(text.as_bytes()).await), ("zstd", zstd(text.as_bytes()).await)] {
            let mut flipped = whole.clone();
            let place = whole.len() * 2 / 3;
            flipped[place..place + 40].iter_mut().for_each(|byte| *byte ^= 0x55);
            let more = [&whole[..], b"and more"].concat();
            for (what, body, least) in [
                ("cut", whole[..place].to_vec(), 8_000),
                ("without its end", whole[..whole.len() - 1].to_vec(), 15_000),
                ("changed", flipped, 1_000),
                ("more after its end", more, 15_000),
            ] {
                let migration = migration(shared()).await;
                let answer = put(&migration, &path(&migration), coding, body).await;
                let kept = ends_with(&migration, &answer, "INVALID_COMPRESSION", &format!("{coding} {what}")).await;
                assert!(kept >= least, "{coding} {what}: the server kept {kept} records");
            }
            // A body that is damaged from the start is refused as a whole.
            let migration = migration(shared()).await;
            let answer = put(&migration, &path(&migration), coding, record(1).into()).await;
            assert_eq!(answer.problem(), (400, "INVALID_COMPRESSION".into()), "{coding}");
            let empty = if coding == "gzip" { gzip(b"").await } else { zstd(b"").await };
            let answer = put(&migration, &path(&migration), coding, empty).await;
            assert_eq!(answer.problem(), (400, "EMPTY_BODY".into()), "{coding}");
        }
    }
}

/// Starts a server with narrow limits.
fn limited(dir: &std::path::Path) -> &'static Server {
    let mut config = Config::default();
    config.upload.max_bytes = 4 << 20;
    config.upload.max_expansion = 300;
    let options = Options { data_dir: dir.into(), config, mappers: vec![], worker: crate::harness::worker() };
    Box::leak(Box::new(start(options, std::future::pending()).0))
}

/// Limits apply to the decompressed size.
#[tokio::test(flavor = "multi_thread")]
async fn limits_the_decompressed_size() {
    let dir = tempfile::tempdir().unwrap();
    let server = limited(dir.path());
    for (path, record) in WAYS {
        let varied: String = (1..=100_000).map(record).collect();
        assert!(varied.len() > 4 << 20);
        let blanks = (1..=10).map(record).collect::<String>() + &" ".repeat(3 << 20);
        for (what, text, code) in
            [("long", varied, "BODY_TOO_LARGE"), ("of one letter", blanks, "BODY_EXPANDS_TOO_FAR")]
        {
            for (coding, body) in [("gzip", gzip(text.as_bytes()).await), ("zstd", zstd(text.as_bytes()).await)] {
                assert!(body.len() < 2 << 20, "{what}");
                let migration = migration(server).await;
                let answer = put(&migration, &path(&migration), coding, body).await;
                assert!(ends_with(&migration, &answer, code, &format!("{coding} {what}")).await >= 10);
            }
        }
        // A window of 128 MiB needs more memory than an upload may use. The second frame's header comes too late to be
        // named.
        let wide = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x88, 0x01, 0x00, 0x00];
        let migration = migration(server).await;
        let answer = put(&migration, &path(&migration), "zstd", wide.to_vec()).await;
        assert_eq!(answer.problem(), (413, "WINDOW_TOO_LARGE".into()));
        assert!(answer.body.contains("128 MiB") && answer.body.contains("upload.max_zstd_window"), "{}", answer.body);
        let second = [zstd(record(1).as_bytes()).await, wide.to_vec()].concat();
        let answer = put(&migration, &path(&migration), "zstd", second).await;
        assert_eq!(ends_with(&migration, &answer, "WINDOW_TOO_LARGE", "zstd of two frames").await, 1);
    }
}

/// A client waits for each result before it sends the next record, and flushes each record.
#[tokio::test(flavor = "multi_thread")]
async fn sends_results_during_the_upload() {
    let (ours, mut theirs) = tokio::io::duplex(1 << 20);
    let mut encoder = GzipEncoder::new(ours);
    let migration = migration(shared()).await;
    let path = migration.path("/sources/client");
    let headers = format!("{JSONL}\r\ncontent-encoding: gzip");
    let mut upload = RawRequest::put(shared(), &path, &headers, Length::Chunked).await;
    for number in 1..=5 {
        encoder.write_all(client(number).as_bytes()).await.unwrap();
        encoder.flush().await.unwrap();
        let mut piece = vec![0; 1 << 16];
        let bytes = tokio::io::AsyncReadExt::read(&mut theirs, &mut piece).await.unwrap();
        upload.send(&piece[..bytes]).await;
        let result = upload.line().await.expect("the record has a result");
        assert_eq!((&result["line"], &result["outcome"]), (&json!(number), &json!("mapped")));
    }
    encoder.shutdown().await.unwrap();
    drop(encoder);
    let mut rest = vec![];
    tokio::io::AsyncReadExt::read_to_end(&mut theirs, &mut rest).await.unwrap();
    upload.send(&rest).await;
    upload.end().await;
    assert_eq!(upload.line().await, None);
}
