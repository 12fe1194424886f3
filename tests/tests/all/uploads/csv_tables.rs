//! Tables (CSV) as old systems write them: each row is a source record with a line, an outcome and a provenance.

use std::process::Command;

use serde_json::{Value, json};

use crate::harness::recorded_server::command;
use crate::harness::server::{Answer, Migration, shared};
use crate::harness::tools;

async fn migration() -> Migration {
    shared().register(Some("berka"), &["Counterparties"]).await
}

/// Returns query parameters as they stand in a URL.
pub fn query_text(query: &[(&str, &str)]) -> String {
    let encoded = |text: &str| text.bytes().map(|byte| format!("%{byte:02x}")).collect::<String>();
    query.iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect::<Vec<_>>().join("&")
}

async fn put(
    migration: &Migration,
    media_type: &str,
    query: &[(&str, &str)],
    body: impl Into<reqwest::Body>,
) -> Answer {
    let path = migration.path(&format!("/sources/client?{}", query_text(query)));
    migration.put_as(&path, media_type, body).await
}

async fn source_records(migration: &Migration, query: &str) -> Answer {
    shared().get(&migration.path(&format!("/sources/client/records{query}"))).await
}

/// Returns the line and the outcome or first error of each result.
fn lines_and_codes(answer: &Answer) -> Vec<(u64, String)> {
    let lines = answer.lines().into_iter();
    lines
        .map(|line| {
            let error = line["errors"][0]["code"].as_str();
            let code = error.or(line["outcome"].as_str()).or(line["code"].as_str()).unwrap_or_default().to_owned();
            (line["line"].as_u64().unwrap_or_default(), code)
        })
        .collect()
}

/// A table gives the same records as JSON Lines with the same clients.
#[tokio::test(flavor = "multi_thread")]
async fn reads_rows_as_records() {
    let lines: String =
        (1..=2_500).map(|id| json!({"client_id": id, "birth_number": "706213"}).to_string() + "\n").collect();
    let rows = (1..=2_500).map(|id| format!("706213,{id}\r\n")).collect::<String>();
    let table = format!("birth_number,client_id\r\n{rows}");
    let (one, other) = (migration().await, migration().await);
    let of_lines = one.source("client", lines).await;
    let of_rows = put(&other, "text/csv", &[], table).await;
    let expected: Vec<(u64, String)> = (2..=2_501).map(|line| (line, "mapped".into())).collect();
    assert_eq!(lines_and_codes(&of_rows), expected);
    assert_eq!(of_lines.lines().len(), 2_500);
    let staged = async |migration: &Migration| {
        let staged = migration.staged("counterparty-management", "counterparties").await;
        let plain = |mut record: Value| {
            record["referenceId"] = Value::Null;
            record
        };
        staged.into_iter().map(plain).collect::<Vec<_>>()
    };
    assert_eq!(staged(&one).await, staged(&other).await);
    let record = source_records(&other, "").await.body.lines().next().unwrap().to_owned();
    assert_eq!(record, r#"{"birth_number":"706213","client_id":"1"}"#, "the mapper reads this record");
    // The provenance has the line in the table, and no byte range, because the record is not in the file as JSON.
    let made = of_rows.lines()[6]["records"][0]["referenceId"].as_str().unwrap().to_owned();
    let story = other.get(&format!("/records/counterparties/{made}/provenance")).await;
    assert_eq!((&story["madeFrom"]["line"], &story["madeFrom"]["bytes"]), (&json!(8), &Value::Null), "{story}");
    let replayed = other.get(&format!("/records/counterparties/{made}/replay")).await;
    assert_eq!(replayed["same"], true, "{replayed}");
    // The same table again changes nothing.
    let before = other.get("").await;
    let again = put(&other, "text/csv", &[], format!("birth_number,client_id\r\n{rows}")).await;
    assert_eq!(lines_and_codes(&again), expected);
    assert_eq!(other.get("").await, before);
}

/// Media type, query, bytes, and the expected lines and outcomes.
type Table = (&'static str, &'static [(&'static str, &'static str)], Vec<u8>, &'static [(u64, &'static str)]);

#[tokio::test(flavor = "multi_thread")]
async fn reads_every_dialect() {
    let wide = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
    let tables: Vec<Table> = vec![
        ("text/csv; charset=utf-8; header=present", &[], b"client_id,birth_number\n1,706213\n".into(), &[(2, "mapped")]),
        ("TEXT/CSV;charset=\"UTF-8\"", &[], b"\xef\xbb\xbfclient_id,birth_number\n1,706213".into(), &[(2, "mapped")]),
        (
            "text/csv",
            &[("separator", ";"), ("quote", "'")],
            b"'client_id';birth_number;note\n1;'706213';'a;''b\n'\n2;'706213';\n".into(),
            &[(2, "mapped"), (4, "mapped")],
        ),
        ("text/csv", &[("separator", "tab"), ("quote", "none")], b"client_id\tbirth_number\n1\t\"706213\n2\t706213\n".into(), &[(2, "INVALID_FORMAT"), (3, "mapped")]),
        ("text/csv; header=absent", &[("columns", "client_id, birth_number")], b"1,706213\n2,706213\n".into(), &[(1, "mapped"), (2, "mapped")]),
        ("text/csv; charset=windows-1250", &[], b"client_id,birth_number,m\xecsto\n1,706213,Plze\xf2\n".into(), &[(2, "mapped")]),
        ("text/csv; charset=utf-16le", &[], wide("\u{feff}client_id,birth_number\r\n1,706213\r\n"), &[(2, "mapped")]),
        (
            "text/csv",
            &[],
            b"client_id,birth_number\n1,706213\n2\n3,706213,x\n4\",706213\n\xff,706213\n,706213\n5,706213\n1,706214\n6,\"70".into(),
            &[
                (2, "mapped"),
                (3, "WRONG_FIELD_COUNT"),
                (4, "WRONG_FIELD_COUNT"),
                (5, "INVALID_QUOTES"),
                (6, "INVALID_ENCODING"),
                (7, "MISSING_KEY"),
                (8, "mapped"),
                (9, "DUPLICATE_KEY"),
                (10, "INVALID_QUOTES"),
            ],
        ),
        ("text/csv", &[], b"client_id,birth_number\n".into(), &[(0, "NO_RECORDS")]),
    ];
    for (media_type, query, body, expected) in tables {
        let migration = migration().await;
        let what = format!("{media_type} {query:?} {:?}", String::from_utf8_lossy(&body));
        let answer = put(&migration, media_type, query, body).await;
        assert_eq!(answer.status, 200, "{what}: {}", answer.body);
        let expected: Vec<(u64, String)> = expected.iter().map(|(line, code)| (*line, code.to_string())).collect();
        assert_eq!(lines_and_codes(&answer), expected, "{what}: {}", answer.body);
    }
}

/// A row has the same size limit as a line. Rows after one that is too long are accepted. A quoted field that does not end
/// within the limit is refused with all its lines.
#[tokio::test(flavor = "multi_thread")]
async fn skips_a_row_beyond_the_limit() {
    let migration = migration().await;
    let long = "x\n".repeat(200_000);
    let table = format!("client_id,birth_number,note\n1,706213,{}\n2,706213,\n", "x".repeat(300_000));
    let answer = put(&migration, "text/csv", &[], table).await;
    assert_eq!(lines_and_codes(&answer), [(2, "RECORD_TOO_LARGE".into()), (3, "mapped".into())]);
    let table = format!("client_id,birth_number,note\n1,706213,\"{long}\"\n2,706213,\n");
    let results = put(&migration, "text/csv", &[], table).await.lines();
    let last = results.last().unwrap();
    assert_eq!((&last["line"], &last["outcome"]), (&json!(200_003), &json!("mapped")));
    // The span is longer than a record may be, so it has two parts.
    let mut next = 2;
    for refused in &results[..results.len() - 1] {
        assert_eq!((&refused["line"], &refused["quote"]), (&json!(next), &json!({"line": 2, "column": 3})));
        next = refused["lastLine"].as_u64().unwrap() + 1;
    }
    assert_eq!((next, results.len()), (200_003, 3));
}

/// Media type, query, body, and the problem.
type Refusal = (&'static str, &'static [(&'static str, &'static str)], &'static [u8], u16, &'static str);

const REFUSED: &[Refusal] = &[
    ("text/csv", &[], b"client_id,birth_number,client_id\n1,706213,1\n", 422, "INVALID_HEADER"),
    ("text/csv", &[], b"client_id,,birth_number\n1,2,706213\n", 422, "INVALID_HEADER"),
    ("text/csv", &[], b"client_id,b\xff\n1,706213\n", 422, "INVALID_HEADER"),
    ("text/csv", &[], b"\xff\xfec\0,\0b\0\n\0", 422, "INVALID_HEADER"),
    ("text/csv", &[], b"client_id,b\"\n1,706213\n", 422, "INVALID_HEADER"),
    ("text/csv", &[], b"", 400, "EMPTY_BODY"),
    ("text/csv", &[], b"\r\n\r\n", 400, "EMPTY_BODY"),
    ("text/csv; header=absent", &[], b"1,706213\n", 422, "MISSING_KEY_COLUMN"),
    ("text/csv; header=absent", &[("columns", "id,birth")], b"1,706213\n", 422, "MISSING_KEY_COLUMN"),
    ("text/csv", &[], b"1,706213\n2,706213\n", 422, "MISSING_KEY_COLUMN"),
    ("text/csv; charset=utf-8", &[], b"c\0l\0,\0b\0\n\x001\0,\0", 422, "INVALID_HEADER"),
    ("text/csv", &[], b"PK\x03\x04\x14\0[Content_Types].xml", 422, "WRONG_BODY_FORMAT"),
    ("text/csv", &[], b"{\"a\": 1}\n", 422, "WRONG_BODY_FORMAT"),
    ("text/csv", &[], b"\x1f\x8b\x08\0\0\0\0\0", 422, "WRONG_BODY_FORMAT"),
    ("text/csv; charset=shift_jis", &[], b"a\n1\n", 415, "UNSUPPORTED_CHARSET"),
    ("text/csv; charset=nonsense", &[], b"a\n1\n", 415, "UNSUPPORTED_CHARSET"),
    ("text/csv; header=maybe", &[], b"a\n1\n", 415, "UNSUPPORTED_MEDIA_TYPE"),
    ("text/csv", &[("separator", "ab")], b"a\n1\n", 400, "INVALID_PARAMETER"),
    ("text/csv", &[("separator", "a")], b"a\n1\n", 400, "INVALID_PARAMETER"),
    ("text/csv", &[("separator", "\n")], b"a\n1\n", 400, "INVALID_PARAMETER"),
    ("text/csv", &[("quote", ",")], b"a\n1\n", 400, "INVALID_PARAMETER"),
    ("text/csv", &[("columns", "a")], b"a\n1\n", 400, "INVALID_PARAMETER"),
    ("text/csv; header=absent", &[("columns", "a,a")], b"a\n1\n", 400, "INVALID_PARAMETER"),
    ("text/csv", &[("seperator", ";")], b"a\n1\n", 400, "UNKNOWN_PARAMETER"),
    ("text/csv", &[("quote", "'"), ("quote", "'")], b"a\n1\n", 400, "REPEATED_PARAMETER"),
];

#[tokio::test(flavor = "multi_thread")]
async fn refuses_invalid_tables() {
    let migration = migration().await;
    for (media_type, query, body, status, code) in REFUSED {
        let what = format!("{media_type} {query:?} {:?}", String::from_utf8_lossy(body));
        let answer = put(&migration, media_type, query, *body).await;
        assert_eq!(answer.problem(), (*status, code.to_string()), "{what}: {}", answer.body);
        // The mapper declares the name of the key, and no other part of the header is shown.
        let quoted =
            answer.body.contains("client_id") && *code != "MISSING_KEY_COLUMN" || answer.body.contains("706213");
        assert!(!quoted, "the answer quotes the header, which may be a record: {}", answer.body);
    }
    // An endless header is refused.
    let answer = put(&migration, "text/csv", &[], "a,".repeat(1 << 20)).await;
    assert_eq!(answer.problem(), (422, "INVALID_HEADER".into()));
    // Uploads without a mapper accept no CSV.
    let path = migration.staging("counterparty-management", "counterparties");
    let answer = migration.put_as(&path, "text/csv", "a\n1\n").await;
    assert_eq!(answer.problem(), (415, "UNSUPPORTED_MEDIA_TYPE".into()));
    assert_eq!(migration.get("").await["stagingStatus"], "Pending");
}

/// `sluice migrate` accepts tables and compressed files.
#[tokio::test(flavor = "multi_thread")]
async fn command_reads_every_kind_of_file() {
    let rows = "client_id;birth_number;city\n1;706213;Plze\u{148}\n2;706213;\u{17d}\u{10f}\u{e1}r\n";
    let lines = "{\"client_id\":1,\"birth_number\":\"706213\"}\n{\"client_id\":2,\"birth_number\":\"706213\"}\n";
    let dir = tempfile::tempdir().unwrap();
    let credentials = shared().data_dir.join(sluice_data_dir::ADMIN_FILE);
    let migrate = |more: &[&str]| {
        let mut migrate = Command::new(command());
        migrate.args(["migrate", "--server", &shared().url, "--mapper", "berka", "--components", "Counterparties"]);
        migrate.arg("--client-file").arg(&credentials).args(more).arg(dir.path());
        let done = migrate.output().unwrap();
        format!(
            "{:?} {}{}",
            done.status.code(),
            String::from_utf8_lossy(&done.stdout),
            String::from_utf8_lossy(&done.stderr)
        )
    };
    for (name, body, tool, more) in [
        ("client.csv", rows, None, &["--separator", ";"][..]),
        ("client.csv", rows, Some("gzip"), &["--separator", ";", "--charset", "utf-8"]),
        (
            "client.csv",
            rows.split_once('\n').unwrap().1,
            Some("zstd"),
            &["--separator", ";", "--columns", "client_id,birth_number,city"],
        ),
        ("client.jsonl", lines, Some("gzip"), &[]),
    ] {
        let file = dir.path().join(name);
        std::fs::write(&file, body).unwrap();
        if let Some(tool) = tool {
            let quiet: &[&str] = if tool == "zstd" { &["-q", "--rm"] } else { &[] };
            if !tools::available(
                &tools::COMPRESSORS,
                "uploads::csv_tables::command_reads_every_kind_of_file",
                &format!("{tool} --version"),
            ) {
                std::fs::remove_file(&file).unwrap();
                continue;
            }
            assert!(Command::new(tool).args(quiet).arg(&file).status().unwrap().success());
        }
        let said = migrate(more);
        assert!(said.starts_with("Some(0)") && said.contains("2 mapped"), "{name} {tool:?}: {said}");
        for left in std::fs::read_dir(dir.path()).unwrap() {
            std::fs::remove_file(left.unwrap().path()).unwrap();
        }
    }
    for name in ["client.csv", "client.jsonl.gz"] {
        std::fs::write(dir.path().join(name), rows).unwrap();
    }
    let said = migrate(&[]);
    assert!(said.starts_with("Some(1)") && said.contains("are both files of the source client"), "{said}");
}
