//! Streaming uploads: results during the upload, back-pressure, and interrupted bodies.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::harness::raw_http::{Length, RawRequest};
use crate::harness::server::{Migration, shared};

/// A kind of upload: its path, a record for it, and the path of the results.
struct Way {
    path: fn(&Migration) -> String,
    record: fn(u64) -> String,
}

const DIRECT: Way = Way {
    path: |migration| migration.staging("counterparty-management", "counterparties"),
    record: |number| {
        let id = Uuid::from_u128(u128::from(number));
        json!({"referenceId": id, "type": "organisation", "name": number.to_string()}).to_string() + "\n"
    },
};

const SOURCE: Way = Way {
    path: |migration| migration.path("/sources/client"),
    record: |number| json!({"client_id": number, "birth_number": "706213"}).to_string() + "\n",
};

async fn migration() -> Migration {
    shared().register(Some("berka"), &["Counterparties"]).await
}

async fn begin(migration: &Migration, way: &Way, length: Length) -> RawRequest {
    RawRequest::put(shared(), &(way.path)(migration), "application/jsonl", length).await
}

async fn staged(migration: &Migration) -> usize {
    migration.staged("counterparty-management", "counterparties").await.len()
}

/// A client waits for each result before it sends the next record.
#[tokio::test(flavor = "multi_thread")]
async fn sends_results_during_the_upload() {
    for way in [&DIRECT, &SOURCE] {
        let migration = migration().await;
        let mut upload = begin(&migration, way, Length::Chunked).await;
        for number in 1..=5 {
            upload.send((way.record)(number)).await;
            let result = upload.line().await.expect("the record has a result");
            assert_eq!(result["isSuccessful"], true, "{result}");
            // A record with a result is staged, even if the upload fails later.
            assert_eq!(staged(&migration).await as u64, number);
        }
        upload.end().await;
        assert_eq!(upload.line().await, None);
    }
}

/// A record is accepted once it is complete, in any number of pieces.
#[tokio::test(flavor = "multi_thread")]
async fn accepts_a_record_in_many_pieces() {
    for way in [&DIRECT, &SOURCE] {
        let migration = migration().await;
        let mut upload = begin(&migration, way, Length::Chunked).await;
        let blank_start = ["\u{feff}".as_bytes(), b"\r\n", b" \n"].concat();
        for byte in [blank_start, (way.record)(1).into_bytes(), (way.record)(2).into_bytes()].concat() {
            upload.send([byte]).await;
        }
        upload.send(b"no record").await;
        upload.end().await;
        for _ in 1..=2 {
            let result = upload.line().await.expect("the record has a result");
            assert_eq!(result["isSuccessful"], true, "{result}");
        }
        let result = upload.line().await.expect("the record has a result");
        assert_eq!(
            (&result["isSuccessful"], &result["line"]),
            (&json!(false), &json!(5)),
            "blank lines count: {result}"
        );
        assert_eq!(upload.line().await, None);
    }
}

/// A client sends everything before it reads a byte.
#[tokio::test(flavor = "multi_thread")]
async fn waits_for_a_client_that_does_not_read() {
    const RECORDS: u64 = 200_000;
    let (client_of, migration) = (SOURCE.record, migration().await);
    let body: String = (1..=RECORDS).map(client_of).collect();
    let mut upload = begin(&migration, &SOURCE, Length::Declared(body.len())).await;
    upload.send(body).await;
    for number in 1..=RECORDS {
        let result = upload.line().await.expect("the record has a result");
        assert!(result["line"] == number && result["outcome"] == "mapped", "{number}: {result}");
    }
    assert_eq!(upload.line().await, None);
}

/// A line of 100 MB is rejected. The lines before and after it are accepted.
#[tokio::test(flavor = "multi_thread")]
async fn rejects_a_line_of_a_hundred_megabytes() {
    let megabyte = vec![b'x'; 1 << 20];
    for way in [&DIRECT, &SOURCE] {
        let migration = migration().await;
        let mut upload = begin(&migration, way, Length::Chunked).await;
        upload.send((way.record)(1)).await;
        upload.send("{\"surname\":\"").await;
        for _ in 0..100 {
            upload.send(&megabyte).await;
        }
        upload.send("\"}\n").await;
        upload.send((way.record)(2)).await;
        upload.end().await;
        let results = [upload.line().await, upload.line().await, upload.line().await].map(Option::unwrap);
        let successful: Vec<&Value> = results.iter().map(|result| &result["isSuccessful"]).collect();
        assert_eq!(successful, [true, false, true], "{results:?}");
        let (errors, line) = (results[1]["errors"].as_array().unwrap(), &results[1]["line"]);
        assert_eq!(
            (errors.len(), &errors[0]["code"], &errors[0]["field"]),
            (1, &json!("RECORD_TOO_LARGE"), &json!(""))
        );
        let message = sluice_codes::find("RECORD_TOO_LARGE").unwrap().meaning.as_str();
        assert_eq!((&errors[0]["message"], line), (&json!(message), &json!(2)));
        assert_eq!((upload.line().await, staged(&migration).await), (None, 2));
    }
}

/// Interruptions of a body, and its framing.
const CUTS: &[(&str, Length)] =
    &[("less than was declared", Length::Declared(1_000_000)), ("no last chunk", Length::Chunked)];

/// Complete records are staged, the incomplete one is not, and the migration accepts the next upload.
#[tokio::test(flavor = "multi_thread")]
async fn keeps_complete_records_of_an_interrupted_body() {
    for way in [&DIRECT, &SOURCE] {
        for (name, length) in CUTS {
            let migration = migration().await;
            let mut upload = begin(&migration, way, *length).await;
            upload.send((way.record)(1) + &(way.record)(2)).await;
            // The third record lacks only its line end, so the server cannot know that it is complete.
            upload.send((way.record)(3).trim_end()).await;
            upload.cut().await;
            let entry = loop {
                let log = migration.get("/logs").await;
                if let Some(last) = log["items"].as_array().unwrap().iter().find(|e| e["severity"] == "warning") {
                    break last.clone();
                }
            };
            assert_eq!(entry["code"], "UPLOAD_BROKEN_OFF", "{name}: {entry}");
            assert_eq!(entry["figures"]["records"], 2, "{name}: {entry}");
            assert_eq!(staged(&migration).await, 2, "{name}");
            let path = (way.path)(&migration);
            let again = (1..=3).map(way.record).collect::<String>();
            let results = migration.put_as(&path, "application/jsonl", again).await.lines();
            assert!(results.len() == 3 && results.iter().all(|r| r["isSuccessful"] == true), "{name}: {results:?}");
            assert_eq!(staged(&migration).await, 3, "{name}");
        }
    }
}
