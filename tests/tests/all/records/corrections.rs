//! Refused records come back as they were uploaded: bytes, header, encoding, line ends and media type. Corrected and
//! uploaded again they replace theirs.

use reqwest::Method;
use reqwest::header::HeaderMap;
use serde_json::{Value, json};

use crate::harness::server::{ALL, Migration, shared};

/// Returns status, header fields and bytes of the records of a source.
async fn records(migration: &Migration, source: &str, query: &str) -> (u16, HeaderMap, Vec<u8>) {
    let path = migration.path(&format!("/sources/{source}/records?form=uploaded&{query}"));
    let response = shared().request(Method::GET, &path).send().await.unwrap();
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    (status, headers, response.bytes().await.unwrap().to_vec())
}

async fn upload(migration: &Migration, source: &str, media_type: &str, query: &str, body: Vec<u8>) -> Vec<Value> {
    let path = migration.path(&format!("/sources/{source}?{query}"));
    let answer = migration.put_as(&path, media_type, body).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.lines()
}

/// Returns the number of records of each outcome of a source.
async fn outcomes(migration: &Migration, source: &str) -> Vec<(String, u64)> {
    let sources = migration.get("/sources").await["items"].clone();
    let of = sources.as_array().unwrap().iter().find(|item| item["source"] == source).unwrap()["outcomes"].clone();
    let mut outcomes: Vec<(String, u64)> = of
        .as_array()
        .unwrap()
        .iter()
        .map(|outcome| (outcome["outcome"].as_str().unwrap().to_owned(), outcome["count"].as_u64().unwrap()))
        .collect();
    outcomes.sort();
    outcomes
}

/// A table in windows-1250, of which each row is refused for another reason.
#[tokio::test(flavor = "multi_thread")]
async fn a_table_comes_back_as_it_was_and_its_correction_replaces_it() {
    let table = include_bytes!("../../../cases/35-1250.csv");
    let migration = shared().register(Some("berka"), &["Counterparties"]).await;
    let media_type = "text/csv; charset=windows-1250";
    let results = upload(&migration, "client", media_type, "separator=;", table.to_vec()).await;
    assert!(results.iter().all(|result| result["outcome"] == "rejected"), "{results:?}");

    let (status, headers, refused) = records(&migration, "client", "outcome=rejected").await;
    assert_eq!(status, 200);
    assert_eq!(headers["content-type"], "text/csv; charset=windows-1250; header=present");
    let query = headers["sluice-upload-query"].to_str().unwrap();
    assert_eq!(query, "separator=%3B");
    let trimmed = |bytes: &[u8]| bytes.trim_ascii_end().to_vec();
    assert_eq!(trimmed(&refused), trimmed(table));

    let corrected = b"client_id;birth_number\r\n1;706213\r\n2;706213\r\n3;706213\r\n".to_vec();
    let results =
        upload(&migration, "client", headers["content-type"].to_str().unwrap(), query, corrected.clone()).await;
    assert!(results.iter().all(|result| result["outcome"] == "mapped"), "{results:?}");
    // The line after the open quote has the header's number of fields. So it was a record of its own, which nobody
    // corrected. It goes with its upload.
    assert_eq!(outcomes(&migration, "client").await, [("mapped".to_owned(), 3), ("rejected".to_owned(), 1)]);
    let withdrawn = shared().send(shared().request(Method::DELETE, &migration.path("/uploads/1"))).await;
    assert_eq!(withdrawn.status, 200, "{}", withdrawn.body);
    assert_eq!(outcomes(&migration, "client").await, [("mapped".to_owned(), 3)]);
    assert_eq!(migration.get("/issues/counts?phase=load").await["items"], json!([]));
    let (_, _, all) = records(&migration, "client", "").await;
    assert_eq!(all, corrected);
}

/// Rows of every kind come back byte by byte. A table and JSON Lines of one source come back one upload at a time.
#[tokio::test(flavor = "multi_thread")]
async fn rows_come_back_byte_by_byte() {
    let bom = "\u{feff}";
    let tables: [(&str, &str, Vec<u8>); 5] = [
        ("text/csv", "", format!("{bom}client_id,birth_number\r\n1,706213\r\n\"2\",\"70,\"\"6\"\r\n3,č\r\n").into()),
        (
            "text/csv; charset=windows-1250",
            "separator=;",
            b"client_id;birth_number\n\x9a;\x8e\n\"2\";\"\xe8\"\n".to_vec(),
        ),
        ("text/csv; header=absent", "columns=client_id,birth_number&separator=tab", b"1\t706213\n2\tx\n".to_vec()),
        ("text/csv", "quote=none", b"client_id,birth_number\n\"1\",7\"\n".to_vec()),
        ("application/jsonl", "", b"{\"client_id\":1, \"birth_number\":\"706213\"}\r\nno record\r\n".to_vec()),
    ];
    for (media_type, query, body) in tables {
        let migration = shared().register(Some("berka"), &["Counterparties"]).await;
        upload(&migration, "client", media_type, query, body.clone()).await;
        let (status, headers, all) = records(&migration, "client", "").await;
        assert_eq!((status, all), (200, body.clone()), "{media_type} {query}");
        // The same upload again has the same results, and its records still come back.
        let query = headers.get("sluice-upload-query").map_or("", |query| query.to_str().unwrap());
        let sent = headers["content-type"].to_str().unwrap();
        let changed = upload(&migration, "client", sent, query, body.clone()).await;
        let (_, _, again) = records(&migration, "client", "upload=1").await;
        assert_eq!(again, body, "{media_type}: {changed:?}");
        assert_eq!(records(&migration, "client", "upload=2").await.2, b"", "{media_type}");
    }
    let migration = shared().register(Some("berka"), &["Counterparties"]).await;
    upload(&migration, "client", "text/csv", "", b"client_id,birth_number\n1,x\n".to_vec()).await;
    upload(&migration, "client", "application/jsonl", "", b"{\"client_id\":2,\"birth_number\":\"x\"}\n".to_vec()).await;
    let (status, _, problem) = records(&migration, "client", "").await;
    let problem: Value = serde_json::from_slice(&problem).unwrap();
    assert_eq!((status, &problem["code"]), (409, &json!("SEVERAL_FORMATS")), "{problem}");
    assert_eq!(records(&migration, "client", "upload=1").await.2, b"client_id,birth_number\n1,x\n");
    let invalid = shared().get(&migration.path("/sources/client/records?form=xml")).await;
    assert_eq!(invalid.problem(), (400, "INVALID_PARAMETER".into()));
}

/// Records that only the validation refused come back by the code of the issue, as lines of their source. Corrected, they
/// replace theirs.
#[tokio::test(flavor = "multi_thread")]
async fn records_come_back_by_the_issue_of_a_validation() {
    let migration = shared().register(Some("berka"), ALL).await;
    migration.source("client", "{\"client_id\":1,\"birth_number\":\"706213\"}\n").await;
    migration.source("disp", "{\"disp_id\":1,\"client_id\":1,\"account_id\":1,\"type\":\"OWNER\"}\n").await;
    let header = "order_id,account_id,amount,k_symbol\r\n";
    let rows = ["1,1,10.50,UVER\r\n", "2,1,10.50,SIPO\r\n"];
    let table = format!("{header}{}", rows.concat()).into_bytes();
    let results = upload(&migration, "order", "text/csv", "", table).await;
    assert_eq!(results[0]["outcome"], "mapped", "{results:?}");
    assert_eq!(migration.job("validate").await["state"], "failed");
    let (_, _, refused) = records(&migration, "order", "issue=UNKNOWN_REFERENCE").await;
    assert_eq!(String::from_utf8(refused).unwrap(), format!("{header}{}", rows[0]));
    assert_eq!(records(&migration, "client", "issue=UNKNOWN_REFERENCE").await.2, b"");
    assert_eq!(records(&migration, "order", "issue=INVALID_FORMAT").await.2, b"");

    let corrected = format!("{header}{}", rows[0].replace("UVER", "SIPO"));
    upload(&migration, "order", "text/csv", "", corrected.into_bytes()).await;
    assert_eq!(outcomes(&migration, "order").await, [("skipped".to_owned(), 2)]);
    assert_eq!(migration.job("validate").await["state"], "succeeded");
    assert_eq!(records(&migration, "order", "issue=UNKNOWN_REFERENCE").await.2, b"");

    // An issue of the upload.
    migration.source("client", "{\"client_id\":2,\"birth_number\":\"709913\"}\nno record\n").await;
    let (_, _, found) = records(&migration, "client", "issue=INVALID_FORMAT").await;
    assert_eq!(found, b"{\"client_id\":2,\"birth_number\":\"709913\"}\n");
}

/// Records without a mapper that were refused come back unchanged, and their corrections replace them.
#[tokio::test(flavor = "multi_thread")]
async fn refused_records_without_a_mapper_come_back() {
    let migration = shared().register(None, &["Counterparties"]).await;
    let (path, id) = ("counterparty-management", "00000000-0000-4000-8000-0000000000c1");
    let invalid = format!("{{\"referenceId\":\"{id}\", \"type\":\"organisation\"}}");
    migration.stage(path, "counterparties", format!("{invalid}\nno record\n")).await;
    let refused = async || shared().get(&migration.staging(path, "counterparties/refused")).await.body;
    assert_eq!(refused().await, format!("{invalid}\nno record\n"));
    let corrected = invalid.replace('}', ",\"name\":\"n\"}");
    let results = migration.stage(path, "counterparties", corrected).await.lines();
    assert_eq!(results[0]["isSuccessful"], true, "{results:?}");
    assert_eq!(refused().await, "no record\n");
    // A refused record can be deleted by its id.
    migration.stage(path, "counterparties", invalid).await;
    assert_eq!(migration.staged(path, "counterparties").await.len(), 0);
    let deleted = migration.stage(path, "counterparties/delete", format!("\"{id}\"\n")).await.lines();
    assert_eq!(deleted[0]["isSuccessful"], true, "{deleted:?}");
    assert_eq!(refused().await, "no record\n");
}

/// The command writes the refused records of each source into files, and withdraws an upload.
#[tokio::test(flavor = "multi_thread")]
async fn the_command_writes_files_and_withdraws() {
    let migration = shared().register(Some("berka"), ALL).await;
    let table = b"client_id;birth_number\r\n1;x\r\n2;706213\r\n".to_vec();
    upload(&migration, "client", "text/csv", "separator=;", table).await;
    migration.source("loan", "no record\n").await;
    let sluice = |args: &[&str]| {
        let mut run = std::process::Command::new(crate::harness::recorded_server::command());
        run.args(args).arg(&migration.id).args(["--server", &shared().url]);
        run.arg("--client-file").arg(shared().data_dir.join(sluice_data_dir::ADMIN_FILE));
        let done = run.output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        (done.status.code(), text(&done.stdout), text(&done.stderr))
    };
    let (code, out, _) = sluice(&["records", "--source", "client", "--outcome", "rejected"]);
    assert_eq!((code, &*out), (Some(0), "client_id;birth_number\r\n1;x\r\n"));
    let (code, _, said) = sluice(&["records", "--outcome", "rejected"]);
    assert!(code == Some(1) && said.contains("--source"), "{said}");
    let dir = tempfile::tempdir().unwrap();
    let (code, _, said) = sluice(&["records", "--outcome", "rejected", "--out", dir.path().to_str().unwrap()]);
    assert!(code == Some(0) && said.contains("separator=%3B"), "{said}");
    let read = |name: &str| std::fs::read_to_string(dir.path().join(name)).unwrap();
    assert_eq!(read("client.csv"), "client_id;birth_number\r\n1;x\r\n");
    assert_eq!(read("loan.jsonl"), "no record\n");
    let (code, out, _) = sluice(&["records", "--issue", "INVALID_FORMAT"]);
    assert_eq!((code, &*out), (Some(0), "client_id;birth_number\r\n1;x\r\n"));

    let (code, out, said) = sluice(&["uploads", "list"]);
    assert!(code == Some(0) && out.contains("client") && out.contains("loan"), "{out}{said}");
    let mut run = std::process::Command::new(crate::harness::recorded_server::command());
    run.args(["uploads", "withdraw", &migration.id, "1", "--server", &shared().url]);
    run.arg("--client-file").arg(shared().data_dir.join(sluice_data_dir::ADMIN_FILE));
    let done = run.output().unwrap();
    let said = String::from_utf8(done.stdout).unwrap();
    assert!(done.status.success() && said.contains("2 records of it"), "{said}");
    assert_eq!(migration.staged("counterparty-management", "counterparties").await.len(), 0);
}
