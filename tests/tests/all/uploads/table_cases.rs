//! Tables as people have them (`tests/cases/tables`), over every way in: with and without compression, resumable.

use std::path::Path;

use async_compression::tokio::write::{GzipEncoder, ZstdEncoder};
use rusqlite::Connection;
use serde_json::{Value, json};
use tokio::io::{AsyncWrite, AsyncWriteExt};

use crate::harness::server::{ALL, Answer, Migration, shared};
use crate::uploads::csv_tables::query_text;
use crate::uploads::tus_requests::{begin_source, ended, metadata, part};

fn case(name: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("cases/tables").join(name)).unwrap()
}

async fn compressed(mut encoder: impl AsyncWrite + Unpin, bytes: &[u8]) {
    encoder.write_all(bytes).await.unwrap();
    encoder.shutdown().await.unwrap();
}

/// A way in: uncompressed, compressed, or resumable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Plain,
    Gzip,
    Zstd,
    Resumable,
}

const WAYS: [Way; 4] = [Way::Plain, Way::Gzip, Way::Zstd, Way::Resumable];

/// A table to be sent.
#[derive(Clone, Copy, Debug)]
struct SentTable<'a> {
    source: &'a str,
    media_type: &'a str,
    coding: &'a str,
    query: &'a [(&'a str, &'a str)],
    body: &'a [u8],
}

/// Sends a table, and returns the answer. A resumable upload that was refused answers with its problem.
async fn send(migration: &Migration, table: SentTable<'_>, way: Way) -> Answer {
    let SentTable { source, media_type, coding, query, body } = table;
    let (coding, body) = match way {
        Way::Gzip if coding.is_empty() => {
            let mut out = vec![];
            compressed(GzipEncoder::new(&mut out), body).await;
            ("gzip", out)
        }
        Way::Zstd if coding.is_empty() => {
            let mut out = vec![];
            compressed(ZstdEncoder::new(&mut out), body).await;
            ("zstd", out)
        }
        _ => (coding, body.to_vec()),
    };
    if way != Way::Resumable {
        let path = migration.path(&format!("/sources/{source}?{}", query_text(query)));
        let request = shared().request(reqwest::Method::PUT, &path).header("content-type", media_type);
        let coding = if coding.is_empty() { "identity" } else { coding };
        return shared().send(request.header("content-encoding", coding).body(body)).await;
    }
    let pairs = [&[("content-type", media_type), ("content-encoding", coding)], query].concat();
    let upload = begin_source(migration, source, body.len(), &metadata(&pairs)).await;
    assert_eq!(part(migration, &upload, 0, body, &[]).await.status().as_u16(), 204);
    let shown = ended(migration, &upload).await;
    match shown["problem"]["status"].as_u64() {
        Some(status) => Answer { status: status.try_into().unwrap(), body: shown["problem"].to_string() },
        None => shared().get(&format!("{upload}/results")).await,
    }
}

/// Returns first and last line and the outcome or code of each result.
fn results(answer: &Answer) -> Vec<(u64, u64, String)> {
    let result = |line: Value| {
        let first = line["line"].as_u64().unwrap_or_default();
        let last = line["lastLine"].as_u64().unwrap_or(first);
        let error = line["errors"][0]["code"].as_str().or(line["code"].as_str());
        (first, last, error.or(line["outcome"].as_str()).unwrap_or_default().to_owned())
    };
    answer.lines().into_iter().map(result).collect()
}

/// File, source, media type, content coding, query, and the lines and outcomes.
type Accepted = (
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    &'static [(&'static str, &'static str)],
    Vec<(u64, u64, &'static str)>,
);

fn mapped(lines: std::ops::RangeInclusive<u64>) -> Vec<(u64, u64, &'static str)> {
    lines.map(|line| (line, line, "mapped")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn accepts_tables_as_people_have_them() {
    const CSV: &str = "text/csv";
    const SEMICOLONS: &[(&str, &str)] = &[("separator", ";")];
    let but_line_4 = [mapped(2..=3), vec![(4, 4, "INVALID_QUOTES")], mapped(5..=11)].concat();
    let cases: Vec<Accepted> = vec![
        ("01b-bom-quoted.csv", "client", CSV, "", &[], mapped(2..=2)),
        (
            "01c-utf16-bom-quoted.csv",
            "client",
            "text/csv; charset=utf-16le",
            "",
            &[("separator", "tab")],
            mapped(2..=2),
        ),
        ("02-sep-line.csv", "client", CSV, "", &[], mapped(3..=3)),
        ("03-trailing-delim.csv", "client", CSV, "", SEMICOLONS, mapped(2..=3)),
        (
            "08-blank-rows.csv",
            "client",
            CSV,
            "",
            &[],
            [mapped(2..=2), (3..=5).map(|line| (line, line, "BLANK_ROW")).collect(), mapped(6..=6)].concat(),
        ),
        ("21-open-quote.csv", "property", CSV, "", &[], but_line_4.clone()),
        ("21c-open-quote-quoted-table.csv", "property", CSV, "", &[], but_line_4),
        ("22b-nul-pad.csv", "property", CSV, "", &[], mapped(2..=2)),
        ("30b-trailing-zeros.jsonl.gz", "client", "Application/JSONL", "gzip", &[], mapped(1..=2)),
        ("33-header-only-no-newline.csv", "client", CSV, "", &[], vec![(0, 0, "NO_RECORDS")]),
        ("37-semicolon.csv", "client", CSV, "", SEMICOLONS, mapped(2..=3)),
    ];
    for (file, source, media_type, coding, query, expected) in cases {
        let body = case(file);
        for way in WAYS {
            let migration = shared().register(Some("berka"), ALL).await;
            let answer = send(&migration, SentTable { source, media_type, coding, query, body: &body }, way).await;
            assert_eq!(answer.status, 200, "{file} {way:?}: {}", answer.body);
            let expected: Vec<(u64, u64, String)> =
                expected.iter().map(|(first, last, code)| (*first, *last, (*code).to_owned())).collect();
            assert_eq!(results(&answer), expected, "{file} {way:?}: {}", answer.body);
            let lines = Migration::rows(&migration.job("counts").await, "TotalLines", "stagedRows");
            let read = match coding {
                "" if media_type.contains("utf-16") => 2,
                "" => body.split_inclusive(|byte| *byte == b'\n').count(),
                _ => 2,
            };
            assert_eq!(lines, [[source.to_owned(), read.to_string()]], "{file} {way:?}");
        }
    }
}

/// The place of the quote, the warning about a column without a name, and the figures of skipped rows.
#[tokio::test(flavor = "multi_thread")]
async fn says_what_it_found() {
    let migration = shared().register(Some("berka"), ALL).await;
    let send_table = async |migration: &Migration, source: &str, query: &[(&str, &str)], file: &str| {
        let (media_type, coding, body) = ("text/csv", "", case(file));
        send(migration, SentTable { source, media_type, coding, query, body: &body }, Way::Plain).await
    };
    let answer = send_table(&migration, "property", &[], "21-open-quote.csv").await;
    assert_eq!(answer.lines()[2]["quote"], json!({"line": 4, "column": 5}), "{}", answer.body);

    let query = &[("separator", ";")];
    let answer = send_table(&migration, "client", query, "03-trailing-delim.csv").await;
    let warnings: Vec<Value> = answer.lines().iter().map(|line| line["warnings"][0]["code"].clone()).collect();
    assert_eq!(warnings, [json!("NAMELESS_COLUMN"), Value::Null]);

    let migration = shared().register(Some("berka"), ALL).await;
    send_table(&migration, "client", &[], "08-blank-rows.csv").await;
    let sources = migration.get("/sources").await.to_string();
    assert!(sources.contains("BLANK_ROW"), "{sources}");
    // Rows that were skipped for being blank are not mapped again.
    let again = migration.job("remap").await;
    assert_eq!((&again["state"], &again["result"]["changed"]), (&json!("succeeded"), &json!(0)), "{again}");
}

/// Name, body, media type, content coding, status and code, and parts of the detail.
type Refused = (&'static str, Vec<u8>, &'static str, &'static str, u16, &'static str, &'static [&'static str]);

/// A table that cannot be right is refused once, before any record.
#[tokio::test(flavor = "multi_thread")]
async fn refuses_a_whole_table_once() {
    const CSV: &str = "text/csv";
    const JSONL: &str = "application/jsonl";
    let wide = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
    let cases: Vec<Refused> = vec![
        (
            "a hidden character",
            case("05-nbsp-header.csv"),
            CSV,
            "",
            422,
            "MISSING_KEY_COLUMN",
            &["client_id", "u{a0}", "birth_number"],
        ),
        (
            "another separator",
            case("37-semicolon.csv"),
            CSV,
            "",
            422,
            "MISSING_KEY_COLUMN",
            &["separator ;", "client_id, birth_number"],
        ),
        (
            "a large window",
            case("31d-long27.jsonl.zst"),
            JSONL,
            "zstd",
            413,
            "WINDOW_TOO_LARGE",
            &["128 MiB", "upload.max_zstd_window"],
        ),
        ("gzip", case("30b-trailing-zeros.jsonl.gz"), JSONL, "", 422, "WRONG_BODY_FORMAT", &["Content-Encoding: gzip"]),
        (
            "gzip of a table",
            case("30b-trailing-zeros.jsonl.gz"),
            CSV,
            "",
            422,
            "WRONG_BODY_FORMAT",
            &["Content-Encoding: gzip"],
        ),
        ("UTF-16", wide("client_id,birth_number\r\n1,706213\r\n"), CSV, "", 422, "INVALID_HEADER", &["utf-16le"]),
        ("UTF-8", case("02-sep-line.csv"), "text/csv; charset=utf-16le", "", 422, "INVALID_HEADER", &["charset=utf-8"]),
        (
            "UTF-16 JSON",
            wide("{\"client_id\":1,\"birth_number\":\"706213\"}\n"),
            JSONL,
            "",
            422,
            "WRONG_BODY_FORMAT",
            &["iconv"],
        ),
        (
            "an array",
            b"[{\"client_id\":1,\"birth_number\":\"706213\"}]".into(),
            JSONL,
            "",
            422,
            "WRONG_BODY_FORMAT",
            &["jq -c '.[]'"],
        ),
        (
            "indented JSON",
            b"{\n  \"client_id\": 1,\n  \"birth_number\": \"706213\"\n}\n".into(),
            JSONL,
            "",
            422,
            "WRONG_BODY_FORMAT",
            &["jq -c ."],
        ),
        (
            "a workbook",
            b"PK\x03\x04\x14\0\x06\0[Content_Types].xml".into(),
            CSV,
            "",
            422,
            "WRONG_BODY_FORMAT",
            &["workbook", "CSV"],
        ),
        (
            "another charset",
            b"{}\n".into(),
            "application/jsonl; charset=windows-1250",
            "",
            415,
            "UNSUPPORTED_CHARSET",
            &["UTF-8"],
        ),
    ];
    for (name, body, media_type, coding, status, code, parts) in cases {
        for way in WAYS.into_iter().filter(|way| *way != Way::Resumable || status != 415) {
            // Compressed twice, a body is no compressed table.
            let coded = !coding.is_empty() || name.starts_with("gzip");
            if coded && matches!(way, Way::Gzip | Way::Zstd) {
                continue;
            }
            let migration = shared().register(Some("berka"), ALL).await;
            let table = SentTable { source: "client", media_type, coding, query: &[], body: &body };
            let answer = send(&migration, table, way).await;
            assert_eq!(answer.problem(), (status, code.to_owned()), "{name} {way:?}: {}", answer.body);
            let detail = answer.json()["detail"].as_str().unwrap().to_owned();
            assert!(parts.iter().all(|part| detail.contains(part)), "{name} {way:?}: {detail}");
            assert!(!detail.contains("706213"), "{name} {way:?} quotes a record: {detail}");
            let shown = migration.get("").await;
            assert_eq!(shown["stagingStatus"], "Pending", "{name} {way:?}");
        }
    }
    // The records of the platform have the same rules.
    let migration = shared().register(None, ALL).await;
    let path = migration.staging("counterparty-management", "counterparties");
    for body in [b"[{\"referenceId\":1}]".to_vec(), case("30b-trailing-zeros.jsonl.gz")] {
        assert_eq!(migration.put_as(&path, JSONL, body).await.problem(), (422, "WRONG_BODY_FORMAT".into()));
    }
}

/// A line that is not accounted for stops import and counts, until the table is uploaded again.
#[tokio::test(flavor = "multi_thread")]
async fn a_lost_line_stops_import_and_counts() {
    let migration = shared().register(Some("berka"), &["Counterparties"]).await;
    let table = "client_id,birth_number\n1,706213\n2,706213\n";
    let path = migration.path("/sources/client");
    assert_eq!(migration.put_as(&path, "text/csv", table).await.status, 200);
    assert_eq!(migration.job("validate").await["state"], "succeeded");
    let catalogue = Connection::open(shared().data_dir.join("catalogue.db")).unwrap();
    catalogue.busy_timeout(std::time::Duration::from_secs(30)).unwrap();
    let lose = "UPDATE upload_lines SET accepted = accepted - 1 WHERE migration = ?";
    assert_eq!(catalogue.execute(lose, [&migration.id]).unwrap(), 1);
    let refused = migration.start("import").await;
    assert_eq!(refused.problem(), (409, "LINES_NOT_ACCOUNTED_FOR".into()));
    assert!(refused.body.contains("client"), "{}", refused.body);
    let counts = migration.job("counts").await;
    assert_eq!(counts["state"], "failed", "{counts}");
    let rows = |side| Migration::rows(&counts, "TotalLines", side);
    assert_eq!((rows("stagedRows"), rows("importedRows")), (vec![row(3)], vec![row(2)]));

    // Uploaded again, every line is accounted for.
    assert_eq!(migration.put_as(&path, "text/csv", table).await.status, 200);
    assert_eq!(migration.job("import").await["state"], "succeeded");
    let counts = migration.job("counts").await;
    assert_eq!(counts["state"], "succeeded", "{counts}");
    let rows = |side| Migration::rows(&counts, "TotalLines", side);
    assert_eq!((rows("stagedRows"), rows("importedRows")), (vec![row(3)], vec![row(3)]));
}

fn row(lines: u64) -> Vec<String> {
    vec!["client".into(), lines.to_string()]
}

/// A table that broke off is missing lines, so its import waits until it is uploaded again.
#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_broke_off_is_not_imported() {
    let migration = shared().register(Some("berka"), &["Counterparties"]).await;
    let table: String =
        (0..5_000).map(|id: u64| format!("{id},{}\n", id.wrapping_mul(0x9e37_79b9) % 1_000_000)).collect();
    let table = format!("client_id,note,birth_number\n{}", table.replace('\n', ",706213\n"));
    let mut whole = vec![];
    compressed(GzipEncoder::new(&mut whole), table.as_bytes()).await;
    let put = async |body: &[u8]| {
        let request = shared().request(reqwest::Method::PUT, &migration.path("/sources/client"));
        let request = request.header("content-type", "text/csv").header("content-encoding", "gzip");
        shared().send(request.body(body.to_vec())).await
    };
    let cut = put(&whole[..whole.len() / 2]).await;
    assert_eq!(cut.lines().last().unwrap()["problem"]["code"], "INVALID_COMPRESSION");
    assert_eq!(migration.job("validate").await["state"], "succeeded");
    assert_eq!(migration.start("import").await.problem(), (409, "LINES_NOT_ACCOUNTED_FOR".into()));
    assert_eq!(migration.job("counts").await["state"], "failed");
    assert_eq!(put(&whole).await.lines().len(), 5_000);
    assert_eq!(migration.job("validate").await["state"], "succeeded");
    assert_eq!(migration.job("import").await["state"], "succeeded");
    assert_eq!(migration.job("counts").await["state"], "succeeded");
}
