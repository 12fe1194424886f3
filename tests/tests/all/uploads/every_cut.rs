//! Bodies of every media type, encoding and compression, cut at every byte, and bodies of random bytes: the server
//! answers each, and never fails.

use async_compression::tokio::write::{GzipEncoder, ZstdEncoder};
use futures_util::{StreamExt, stream};
use sluice_test_seeds::Random;
use tokio::io::{AsyncWrite, AsyncWriteExt};

use crate::harness::server::{Migration, shared};

/// Number of requests at the same time. Each has a migration of its own.
const PARALLEL: usize = 8;

async fn compressed(mut encoder: impl AsyncWrite + Unpin, bytes: &[u8]) {
    encoder.write_all(bytes).await.unwrap();
    encoder.shutdown().await.unwrap();
}

/// Sends a body, and checks that the answer is complete and that the server did not fail.
async fn check(migration: &Migration, path: &str, (media_type, coding): (&str, &str), body: Vec<u8>) {
    let what = format!("{path} {media_type} {coding} {body:02x?}");
    let request = shared().request(reqwest::Method::PUT, path).header("content-type", media_type);
    let response = request.header("content-encoding", coding).body(body).send().await;
    let response = response.unwrap_or_else(|error| panic!("{what}: {error}"));
    let status = response.status().as_u16();
    let text = response.text().await.unwrap_or_else(|error| panic!("{what}: the answer breaks off: {error}"));
    assert!(status < 500, "{what}: {status} {text}");
    assert!(!text.contains("HOST_PANICKED") && !text.contains("LINES_NOT_ACCOUNTED_FOR"), "{what}: {text}");
    assert!(!text.is_empty(), "{what}: every answer says something");
    // The upload has ended, so it blocks no other.
    assert_ne!(migration.get("").await["stagingStatus"], "Validating", "{what}");
}

/// Path below the migration, media type with parameters, and body.
fn bodies() -> Vec<(&'static str, &'static str, Vec<u8>)> {
    let wide = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
    let big = |text: &str| text.encode_utf16().flat_map(u16::to_be_bytes).collect::<Vec<u8>>();
    let table = "sep=;\r\nclient_id;birth_number;\r\n\"1\";706213;\r\n;;\r\n2;\"a\nb\";\r\n";
    let client = "/sources/client";
    vec![
        (client, "application/jsonl", "\u{feff}{\"client_id\":1,\"birth_number\":\"706213\"}\r\n\n{\"é".into()),
        (client, "application/json-seq", "\u{1e}{\"client_id\":1,\"birth_number\":\"706213\"}\n\u{1e}{}\n".into()),
        (client, "text/csv", format!("\u{feff}{table}").into()),
        (client, "text/csv", "client_id,birth_number".into()),
        (client, "text/csv; header=absent", "1,\"x\n2,y\n".into()),
        (client, "text/csv; charset=utf-16le", wide(&format!("\u{feff}{table}"))),
        (client, "text/csv; charset=utf-16be", big(table)),
        (client, "text/csv; charset=windows-1250", b"client_id,birth_number\n1,m\xecsto\n\0\0\x1a".into()),
        ("staging", "application/jsonl", "{\"referenceId\":\"x\"}\n[{\n".into()),
        ("delete", "application/json-seq", "\u{1e}\"x\"\n".into()),
    ]
}

async fn path_of(migration: &Migration, path: &str) -> String {
    match path {
        "staging" => migration.staging("counterparty-management", "counterparties"),
        "delete" => migration.staging("counterparty-management", "counterparties/delete"),
        path => migration.path(path),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_end_of_a_body_is_answered() {
    let mut requests = vec![];
    for (path, media_type, body) in bodies() {
        let (mut gzip, mut zstd) = (vec![], vec![]);
        compressed(GzipEncoder::new(&mut gzip), &body).await;
        compressed(ZstdEncoder::new(&mut zstd), &body).await;
        for (coding, whole) in [("identity", body), ("gzip", gzip), ("zstd", zstd)] {
            requests.extend((0..=whole.len()).map(|end| (path, media_type, coding, whole[..end].to_vec())));
        }
    }
    run(requests).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn any_bytes_are_answered() {
    let mut random = Random::new(7);
    let pieces: &[&[u8]] = &[
        b"\"",
        b",",
        b";",
        b"\n",
        b"\r",
        b"\0",
        b"\xff",
        b"\xef\xbb\xbf",
        b"\xff\xfe",
        b"\x1e",
        b"\x1a",
        b"{",
        b"}",
        b"[",
        b"client_id",
        b"birth_number",
        b"1",
        b"706213",
        b"sep=;",
        b"\x1f\x8b",
        b"\x28\xb5\x2f\xfd",
        b"PK\x03\x04",
        b"<?xml",
    ];
    let kinds = bodies();
    let requests = (0..400).map(|_| {
        let (path, media_type, _) = kinds[random.below(kinds.len())];
        let coding = ["identity", "identity", "gzip", "zstd"][random.below(4)];
        let body = (0..random.below(30)).flat_map(|_| pieces[random.below(pieces.len())].to_vec()).collect();
        (path, media_type, coding, body)
    });
    run(requests.collect()).await;
}

async fn run(requests: Vec<(&'static str, &'static str, &'static str, Vec<u8>)>) {
    let parts: Vec<Vec<_>> = (0..PARALLEL).map(|part| requests.iter().skip(part).step_by(PARALLEL).collect()).collect();
    let work = parts.into_iter().map(async |part| {
        let migration = shared().register(Some("berka"), &["Counterparties"]).await;
        for (path, media_type, coding, body) in part {
            check(&migration, &path_of(&migration, path).await, (media_type, coding), body.clone()).await;
        }
    });
    stream::iter(work).buffer_unordered(PARALLEL).collect::<()>().await;
}
