//! Concurrent migrations: none sees another's records, and only conflicting requests are refused.

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::lender::{Lender, TYPES, put, set_mapper};
use crate::harness::raw_http::{Length, RawRequest};
use crate::harness::server::{ALL, Migration, shared};

const PATH: &str = "counterparty-management";
const TYPE: &str = "counterparties";

/// Two migrations with the same reference ids have separate records.
#[tokio::test(flavor = "multi_thread")]
async fn separates_migrations_with_the_same_ids() {
    let (one, two) = (shared().register(None, ALL).await, shared().register(None, ALL).await);
    let lender = Lender::of(&one);
    let record = |number: u32, name: &str| {
        let mut record = lender.record(TYPE, number * 3);
        record["name"] = json!(name);
        record
    };
    let (ours, theirs) = (vec![record(1, "one"), record(2, "one")], vec![record(1, "two")]);
    put(&one, PATH, TYPE, &ours).await;
    put(&two, PATH, TYPE, &theirs).await;
    assert_eq!(one.staged(PATH, TYPE).await, ours);
    assert_eq!(two.staged(PATH, TYPE).await, theirs);
    let path = |of: &Migration, record: &Value| {
        of.staging(PATH, &format!("{TYPE}/{}", record["referenceId"].as_str().unwrap()))
    };
    assert_eq!(shared().get(&path(&two, &ours[0])).await.json()["name"], "two");
    assert_eq!(shared().get(&path(&two, &ours[1])).await.problem(), (404, "NO_SUCH_RECORD".into()));
    let id = ours[1]["referenceId"].as_str().unwrap();
    let deleted = two.stage(PATH, "counterparties/delete", format!("\"{id}\"\n")).await.lines();
    assert_eq!(deleted[0]["errors"][0]["code"], "UNKNOWN_REFERENCE");

    // A reference to a record of the other migration is unknown until that record is in the target.
    let mut referring = record(4, "two");
    referring["associatedParties"] = json!([id]);
    put(&two, PATH, TYPE, &[referring]).await;
    assert_eq!(two.job("validate").await["state"], "failed");
    let mut issues = two.issues("validate").await;
    // Its organisations have the same names, which is a warning.
    issues.retain(|issue| issue["severity"] == "error");
    assert_eq!((issues.len(), &issues[0]["code"]), (1, &json!("UNKNOWN_REFERENCE")), "{issues:?}");
    for kind in ["validate", "import"] {
        assert_eq!(one.job(kind).await["state"], "succeeded");
    }
    assert_eq!(two.job("validate").await["state"], "succeeded");

    // Records that the first has imported belong to it: the second skips them, reports it, and is incomplete.
    for _ in 0..2 {
        let import = two.job("import").await;
        assert_eq!((&import["state"], &import["result"]["leftOut"]), (&json!("failed"), &json!(1)), "{import}");
        let issues = two.issues("import").await;
        assert_eq!((issues.len(), &issues[0]["code"]), (1, &json!("REFERENCE_ID_IN_USE")), "{issues:?}");
        assert_eq!(issues[0]["referenceId"], theirs[0]["referenceId"]);
        assert_eq!(two.get("").await["importStatus"], "Incomplete");
    }
    assert_eq!(two.job("counts").await["state"], "failed");
    assert_eq!(one.job("counts").await["state"], "succeeded");
    assert_eq!(one.get("").await["importStatus"], "Imported");

    // Without that record, the second is complete.
    let id = theirs[0]["referenceId"].as_str().unwrap();
    two.stage(PATH, "counterparties/delete", format!("\"{id}\"\n")).await;
    for kind in ["validate", "import", "counts"] {
        assert_eq!(two.job(kind).await["state"], "succeeded", "{kind}");
    }
    assert_eq!(two.get("").await["importStatus"], "Imported");
}

/// During an open upload, conflicting requests are refused and all others succeed.
#[tokio::test(flavor = "multi_thread")]
async fn refuses_conflicting_requests_during_an_upload() {
    let migration = shared().register(Some("berka"), ALL).await;
    let other = shared().register(Some("berka"), ALL).await;
    let client = |id: u32| json!({"client_id": id, "birth_number": "706213"}).to_string() + "\n";
    let mut open =
        RawRequest::put(shared(), &migration.path("/sources/client"), "application/jsonl", Length::Chunked).await;
    open.send(client(1)).await;
    assert_eq!(open.line().await.unwrap()["outcome"], "mapped");

    let running = (409, "UPLOAD_RUNNING".to_owned());
    for kind in ["validate", "counts"] {
        assert_eq!(migration.start(kind).await.problem(), running, "{kind}");
    }
    assert_eq!(migration.start("import").await.status, 409);
    assert_eq!(migration.source("client", client(2)).await.problem(), running);
    let purge = shared().request(Method::DELETE, &migration.path(""));
    assert_eq!(shared().send(purge).await.problem(), running);

    // Allowed: another stream of the same migration, reading, and another migration.
    let disp = "{\"disp_id\":1,\"client_id\":1,\"account_id\":1,\"type\":\"OWNER\"}\n";
    assert_eq!(migration.source("disp", disp).await.lines()[0]["isSuccessful"], true);
    assert_eq!(migration.staged(PATH, TYPE).await.len(), 1);
    assert_eq!(other.source("client", client(2)).await.lines()[0]["outcome"], "mapped");
    for kind in ["validate", "import", "counts"] {
        assert_eq!(other.job(kind).await["state"], "succeeded", "{kind}");
    }

    open.send(client(3)).await;
    open.end().await;
    assert_eq!(open.line().await.unwrap()["outcome"], "mapped");
    assert_eq!(open.line().await, None);
    for kind in ["validate", "import", "counts"] {
        assert_eq!(migration.job(kind).await["state"], "succeeded", "{kind}");
    }
}

/// Requests in an order that no state allows.
#[tokio::test(flavor = "multi_thread")]
async fn refuses_requests_out_of_order() {
    let migration = shared().register(Some("berka"), ALL).await;
    let nothing = (409, "NOTHING_STAGED".to_owned());
    assert_eq!(migration.start("validate").await.problem(), nothing);
    assert_eq!(migration.start("import").await.problem(), nothing);
    assert_eq!(migration.start("migrate").await.problem(), (404, "NO_SUCH_JOB".into()));
    let cancel = |job: &str| shared().request(Method::PUT, &migration.path(&format!("/jobs/{job}/cancel")));
    assert_eq!(shared().send(cancel("1")).await.problem(), (404, "NO_SUCH_JOB".into()));
    Lender::of(&migration).stage(&migration).await;
    assert_eq!(migration.start("import").await.problem(), (409, "NOT_VALIDATED".into()));
    let job = migration.job("validate").await;
    let ended = job["jobId"].as_str().unwrap();
    assert_eq!(shared().send(cancel(ended)).await.problem(), (409, "JOB_ENDED".into()));
    let other = shared().register(None, ALL).await;
    assert_eq!(
        shared().get(&other.path(&format!("/jobs/{ended}"))).await.status,
        404,
        "the job belongs to another migration"
    );
    assert_eq!(set_mapper(&migration, "silent").await, 200);
    assert_eq!(migration.job("import").await["state"], "succeeded");
}

const MANY: u32 = 20_000;

/// Stages enough records to make a job take a while.
pub async fn stage_many(migration: &Migration) {
    let lender = Lender::of(migration);
    for (domain, entity_type) in &TYPES[..2] {
        let records: Vec<Value> = (1..=MANY / 2).map(|number| lender.record(entity_type, number)).collect();
        put(migration, domain, entity_type, &records).await;
    }
}

/// A job is cancelled, or ends before: in both cases the migration continues.
#[tokio::test(flavor = "multi_thread")]
async fn continues_after_a_cancelled_job() {
    let migration = shared().register(None, ALL).await;
    stage_many(&migration).await;
    let mut inserted = 0;
    for kind in ["validate", "import", "counts"] {
        let started = migration.start(kind).await.json();
        let path = migration.path(&format!("/jobs/{}", started.as_str().unwrap()));
        // A running job refuses conflicting requests; an ended one does not.
        let disturbing = migration.start("validate").await;
        let cancel = shared().send(shared().request(Method::PUT, &format!("{path}/cancel"))).await;
        assert!(matches!(cancel.status, 202 | 409), "{}", cancel.body);
        let request = shared().request(Method::GET, &path).header("prefer", "wait=60");
        let job = shared().send(request).await.json();
        assert!(matches!(job["state"].as_str().unwrap(), "cancelled" | "succeeded"), "{job}");
        match kind {
            "validate" => assert_eq!(disturbing.problem(), (409, "VALIDATION_RUNNING".into())),
            "import" => assert_eq!(disturbing.problem(), (409, "IMPORT_RUNNING".into())),
            _ => {
                let job = migration.path(&format!("/jobs/{}", disturbing.json().as_str().unwrap()));
                let request = shared().request(Method::GET, &job).header("prefer", "wait=60");
                assert_eq!(
                    shared().send(request).await.json()["state"],
                    "succeeded",
                    "counting conflicts with no request"
                );
            }
        }
        inserted += job["result"]["inserted"].as_u64().unwrap_or(0);
        if job["state"] == "cancelled" {
            let shown = migration.get("").await;
            let status = (shown["stagingStatus"].as_str().unwrap(), shown["importStatus"].as_str().unwrap());
            let left = [("validate", ("Staged", "Pending")), ("import", ("Validated", "Incomplete"))];
            if let Some((_, expected)) = left.iter().find(|(of, _)| *of == kind) {
                assert_eq!(status, *expected, "{kind}");
            }
            inserted = shown["numberOfImportedEntities"].as_u64().unwrap();
            let again = migration.job(kind).await;
            assert_eq!(again["state"], "succeeded", "{again}");
            inserted += again["result"]["inserted"].as_u64().unwrap_or(0);
        }
    }
    // The import generates a payment administration for each agreement.
    let shown = migration.get("").await;
    assert_eq!(shown["numberOfImportedEntities"], MANY + MANY / 2);
    assert!(inserted >= u64::from(MANY), "{inserted}");
    assert_eq!(migration.job("counts").await["state"], "succeeded");
}
