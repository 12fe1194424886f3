//! Evidence of a migration: its content, its signature, and counting the target again with it.

use std::path::Path;

use serde_json::{Value, json};
use sluice_audit::{verify, verify_evidence};
use sluice_keys::{PublicKey, Signer};
use sluice_model::Digest;
use sluice_pipeline::{EvidenceBundle, verify_counts};

use crate::audit::trail::{export, key};
use crate::harness::lender::{Lender, put};
use crate::harness::server::{ALL, Migration, shared};

/// Moves a small lender through all five steps, and returns its evidence as the server sends it.
async fn evidence() -> (Migration, Vec<u8>, PublicKey) {
    let migration = shared().register(Some("berka"), ALL).await;
    let answer = shared().get(&migration.path("/evidence")).await;
    assert_eq!(answer.problem(), (409, "NOT_COUNTED".into()));
    migration.source("client", SOURCE).await;
    Lender::of(&migration).stage(&migration).await;
    for kind in ["validate", "import", "counts"] {
        assert_eq!(migration.job(kind).await["state"], "succeeded", "{kind}");
    }
    let answer = shared().get(&migration.path("/evidence")).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    (migration, answer.body.into_bytes(), key(shared()).await)
}

const SOURCE: &str = "{\"client_id\":1,\"birth_number\":\"706213\"}\nno client\n";

fn bundle(evidence: &[u8]) -> EvidenceBundle {
    EvidenceBundle::read(verify_evidence(evidence, None).unwrap().document).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn evidence_describes_the_migration() {
    let (migration, evidence, key) = evidence().await;
    let opened = verify_evidence(&evidence, Some(&key)).unwrap();
    let said: Value = serde_json::from_str(opened.document).unwrap();
    assert_eq!(said["migration"], migration.id);
    let upload = &said["uploads"][0];
    assert_eq!(upload["sha256"], Digest::of(SOURCE.as_bytes()).to_string());
    assert_eq!(
        (&upload["number"], &upload["stream"], &upload["bytes"], &upload["accepted"], &upload["rejected"]),
        (&json!(1), &json!("client"), &json!(SOURCE.len()), &json!(1), &json!(1))
    );
    assert_eq!(said["uploads"].as_array().unwrap().len(), 10);
    let plugins = said["plugins"].as_array().unwrap();
    assert!(plugins.iter().any(|plugin| plugin["world"] == "mapper" && plugin["digest"] == upload["mapper"]));
    assert_eq!(plugins.iter().filter(|plugin| plugin["world"] == "domain").count(), 5);
    // Plugins that the server starts with are approved by the server, for every tenant.
    let approvals = said["approvals"].as_array().unwrap();
    for (plugin, approval) in plugins.iter().zip(approvals) {
        assert_eq!((&approval["digest"], &approval["by"]), (&plugin["digest"], &json!("server")), "{approval}");
        assert_eq!((&approval["tenant"], &approval["revokedAt"]), (&Value::Null, &Value::Null), "{approval}");
    }
    assert_eq!(approvals.len(), plugins.len());
    let rejected = json!({"source": "client", "outcome": "rejected", "code": "INVALID_JSON", "count": 1});
    assert!(said["sources"].as_array().unwrap().contains(&rejected), "{}", said["sources"]);
    let issue = |issue: &Value| issue["phase"] == "load" && issue["code"] == "INVALID_JSON" && issue["count"] == 1;
    assert!(said["issues"].as_array().unwrap().iter().any(issue), "{}", said["issues"]);

    // Its statement about the trail agrees with an export of the trail, also after the trail has grown.
    migration.job("counts").await;
    let trail = verify(&export(shared(), &migration.path("/audit")).await, Some(&key)).unwrap();
    let bundle = bundle(&evidence);
    assert_eq!(trail.hashes[bundle.audit.last as usize - 1], bundle.audit.hash);
    assert!(trail.hashes.len() as u64 > bundle.audit.last);
    assert!(bundle.audit.is_signed_by(bundle.migration, &key));
    assert!(!bundle.audit.is_signed_by(bundle.migration, &Signer::new(&[9; 32]).public()));
}

#[tokio::test(flavor = "multi_thread")]
async fn detects_a_change_of_any_byte_of_evidence() {
    let (_, evidence, key) = evidence().await;
    assert!(verify_evidence(&evidence, Some(&Signer::new(&[9; 32]).public())).is_err(), "the pinned key is another");
    for at in 0..evidence.len() {
        let mut changed = evidence.clone();
        changed[at] ^= 1 << (at % 8);
        assert!(verify_evidence(&changed, Some(&key)).is_err(), "byte {at}");
        assert!(verify_evidence(&evidence[..at], Some(&key)).is_err(), "verification accepts the first {at} bytes");
    }
    assert!(
        verify_evidence(&[evidence.as_slice(), b"\n"].concat(), None).is_err(),
        "verification accepts an additional line"
    );
}

/// Changes to a copy of the target, and the figures that differ afterwards. `OURS` are the migration's rows.
const CHANGES: &[(&str, &[&str])] = &[
    ("SELECT 1", &[]),
    ("UPDATE counterparties SET surname = 'x' WHERE sluice_origin NOT IN OURS", &[]),
    ("DELETE FROM repayments WHERE sluice_origin NOT IN OURS", &[]),
    (
        "DELETE FROM repayments WHERE amount_amount = '100.1' AND sluice_origin IN OURS",
        &["TotalEntity repayments", "TotalUnaltered repayments", "TotalAmounts repayments EUR"],
    ),
    (
        "UPDATE repayments SET amount_amount = '100.2' WHERE amount_amount = '100.1' AND sluice_origin IN OURS",
        &["TotalUnaltered repayments", "TotalAmounts repayments EUR"],
    ),
    (
        "UPDATE repayments SET amount_currency = 'CZK' WHERE sluice_origin IN OURS",
        &["TotalUnaltered repayments", "TotalAmounts repayments EUR", "TotalAmounts repayments CZK"],
    ),
    (
        "UPDATE agreements SET facilities = replace(facilities, '100000.1', '100000.2') WHERE sluice_origin IN OURS",
        &["TotalUnaltered agreements", "TotalAmounts agreements EUR"],
    ),
    ("UPDATE counterparties SET surname = 'x' WHERE sluice_origin IN OURS", &["TotalUnaltered counterparties"]),
    ("UPDATE repayments SET sluice_position = 9 WHERE sluice_origin IN OURS", &["TotalUnaltered repayments"]),
    ("UPDATE repayments SET sluice_check = NULL", &[]),
    ("ALTER TABLE repayments DROP COLUMN sluice_check", &[]),
    ("ALTER TABLE repayments ADD COLUMN more TEXT", &[]),
    (
        "UPDATE counterparties SET type = 'person' WHERE type = 'organisation' AND sluice_origin IN OURS",
        &["TotalUnaltered counterparties", "TotalCounterparties organisation", "TotalCounterparties person"],
    ),
    (
        "CREATE TEMP TABLE more AS SELECT * FROM disbursements WHERE sluice_origin IN OURS LIMIT 1;
         UPDATE more SET reference_id = 'more'; INSERT INTO disbursements SELECT * FROM more",
        &["TotalEntity disbursements", "TotalAmounts disbursements EUR"],
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn counts_the_target_again() {
    let (migration, evidence, _) = evidence().await;
    let bundle = bundle(&evidence);
    let dir = tempfile::tempdir().unwrap();
    let original = dir.path().join("copy ?#%.db");
    let target = rusqlite::Connection::open(shared().data_dir.join(sluice_data_dir::TARGET_FILE)).unwrap();
    target.execute("VACUUM INTO ?", [original.to_str().unwrap()]).unwrap();
    for (change, expected) in CHANGES {
        let copy = dir.path().join("changed.db");
        std::fs::copy(&original, &copy).unwrap();
        let ours = format!("(SELECT number FROM sluice_origins WHERE migration = '{}')", migration.id);
        rusqlite::Connection::open(&copy).unwrap().execute_batch(&change.replace("OURS", &ours)).unwrap();
        assert_eq!(differing(&bundle, &copy), *expected, "{change}");
    }
    assert_eq!(differing(&bundle, &original), [""; 0], "the path of the target may contain special characters");
    let files = std::fs::read_dir(dir.path()).unwrap().count();
    assert_eq!(files, 2, "counting creates no file beside the target");
    // Counts a target that a server writes to.
    assert_eq!(differing(&bundle, &shared().data_dir.join(sluice_data_dir::TARGET_FILE)), [""; 0]);
    assert!(verify_counts(&bundle, &dir.path().join("nothing.db")).is_err());
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), files, "counting creates no target");
}

fn differing(bundle: &EvidenceBundle, target: &Path) -> Vec<String> {
    let compared = verify_counts(bundle, target).unwrap();
    assert!(compared.len() > 15, "{compared:?}");
    let differing = compared.iter().filter(|compared| !compared.agrees());
    differing.map(|compared| format!("{} {}", compared.count, compared.of)).collect()
}

/// Counts that do not agree are part of the evidence too.
#[tokio::test(flavor = "multi_thread")]
async fn includes_counts_that_differ() {
    let migration = shared().register(None, &["Counterparties"]).await;
    let record = Lender::of(&migration).record("counterparties", 3);
    put(&migration, "counterparty-management", "counterparties", &[record]).await;
    assert_eq!(migration.job("counts").await["state"], "failed");
    let answer = shared().get(&migration.path("/evidence")).await;
    let said: Value = serde_json::from_str(answer.body.lines().next().unwrap()).unwrap();
    assert_eq!(said["counts"]["state"], "failed");
    assert_eq!(said["counts"]["rows"][0]["importedRows"], json!([["counterparties", "0"]]));
}
