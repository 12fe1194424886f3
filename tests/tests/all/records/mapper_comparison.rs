//! Comparing mappers: the report has exactly the effects of the rule in which the mappers differ.

use std::process::Command;

use serde_json::{Value, json};
use sluice_config::Config;
use sluice_data_dir::ADMIN_FILE;
use sluice_model::Digest;
use sluice_server::app::Options;

use crate::harness::recorded_server::command;
use crate::harness::server::{ALL, Migration, shared};
use crate::harness::tools::berka_tables;
use crate::records::trial::bank;
use crate::server::restart::{ServerRun, begin_with};

/// The guest that differs from the sample mapper in one rule: it closes a loan that has ended unpaid (B).
const VARIANT: &str = "berka-b-closed";

/// Starts a server with both mappers, which have the same name, and returns their digests.
async fn begin(dir: &std::path::Path) -> (ServerRun, [String; 2]) {
    let file = dir.join("variant.wasm");
    std::fs::write(&file, sluice_tests::guest(VARIANT)).unwrap();
    let options = Options {
        data_dir: dir.join("data"),
        config: Config::default(),
        mappers: vec![file],
        worker: crate::harness::worker(),
    };
    let life = begin_with(options);
    let mappers = shared().get("/migration-assistance/mappers").await.json();
    let embedded = mappers["items"].as_array().unwrap().iter().find(|mapper| mapper["name"] == "berka").unwrap();
    let digests = [embedded["digest"].as_str().unwrap().into(), Digest::of(sluice_tests::guest(VARIANT)).to_string()];
    (life, digests)
}

async fn differences(migration: &Migration, job: &Value) -> Vec<Value> {
    let path = migration.path(&format!("/jobs/{}/differences", job["jobId"].as_str().unwrap()));
    let answer = migration.server.get(&path).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.lines()
}

/// Returns an amount in hundredths, from a number or from its digits.
fn hundredths(amount: &Value) -> i64 {
    let digits = amount.as_str().map_or_else(|| amount.to_string(), str::to_owned);
    (digits.parse::<f64>().unwrap() * 100.0).round() as i64
}

/// Compares both mappers on tables, and runs a trial of each.
async fn check(tables: Vec<(&'static str, Vec<u8>)>) {
    let dir = tempfile::tempdir().unwrap();
    let (life, [embedded, variant]) = begin(dir.path()).await;
    let migration = life.server.register(Some("berka"), ALL).await;
    let (mut unpaid, mut loans) = (0, 0);
    for (table, lines) in tables {
        if table == "loan" {
            let text = String::from_utf8_lossy(&lines);
            (unpaid, loans) = (text.matches(r#""status":"B""#).count(), text.lines().count());
        }
        assert_eq!(migration.source(table, lines).await.status, 200);
    }
    assert!(unpaid > 0, "no loan shows the difference");
    let staged = migration.staged("financing-solution", "agreements").await;

    let job = migration.job_with("compare", &json!({"from": embedded, "to": variant})).await;
    let result = &job["result"];
    assert_eq!(
        (&job["state"], &result["isSame"], &result["codes"]),
        (&json!("succeeded"), &json!(false), &json!([])),
        "{job}"
    );
    for of in result["entityTypes"].as_array().unwrap() {
        let agreements = of["entityType"] == "agreements";
        let changed = if agreements { unpaid } else { 0 };
        assert_eq!([&of["changed"]["count"], &of["added"]["count"], &of["removed"]["count"]], [changed, 0, 0], "{of}");
        if agreements {
            assert_eq!(of["unchanged"], loans - unpaid, "{of}");
            assert_eq!(of["fields"].as_array().unwrap().len(), 1, "{of}");
            assert_eq!((&of["fields"][0]["field"], &of["fields"][0]["count"]), (&json!("status"), &json!(unpaid)));
            assert_eq!(of["changed"]["referenceIds"].as_array().unwrap().len(), unpaid.min(20));
        }
        for sum in of["sums"].as_array().unwrap() {
            assert_eq!((&sum["from"], &sum["difference"]), (&sum["to"], &json!("0")), "{of}");
        }
    }
    // The report has the loans that changed from default to closed, and nothing else.
    let found = differences(&migration, &job).await;
    assert_eq!(found.len(), unpaid);
    for line in &found {
        assert_eq!((&line["entityType"], &line["change"]), (&json!("agreements"), &json!("changed")), "{line}");
        let (mut from, mut to) = (line["from"].clone(), line["to"].clone());
        assert_eq!((from["status"].take(), to["status"].take()), (json!("defaulted"), json!("closed")));
        assert_eq!(from, to);
        assert!(staged.iter().any(|staged| staged["referenceId"] == line["referenceId"]));
    }
    assert_eq!(
        migration.staged("financing-solution", "agreements").await,
        staged,
        "the comparison does not change staged records"
    );

    // A comparison of a mapper with itself finds nothing, and replaces the previous list.
    let same = migration.job_with("compare", &json!({"from": variant, "to": variant})).await;
    assert_eq!(same["result"]["isSame"], true, "{same}");
    assert!(differences(&migration, &same).await.is_empty());
    let path = migration.path(&format!("/jobs/{}/differences", job["jobId"].as_str().unwrap()));
    assert_eq!(migration.server.get(&path).await.problem(), (409, "DIFFERENCES_GONE".into()));

    // Both trials have the same records and sums, except for generated records: a closed loan owes nothing.
    let mut tried = vec![];
    for digest in [embedded, variant] {
        let trial = migration.job_with("trial", &json!({"mapper": digest})).await;
        assert_eq!(trial["result"]["mapper"]["digest"], digest);
        let mut arriving = trial["result"]["arriving"].clone();
        let generated =
            arriving.as_array_mut().unwrap().iter_mut().find(|of| of["entityType"] == "payment-administrations");
        let owed = hundredths(&generated.unwrap()["sums"][0]["amount"].take());
        tried.push((owed, arriving, ["sources", "issues", "leftOut"].map(|of| trial["result"][of].clone())));
    }
    assert_eq!((&tried[0].1, &tried[0].2), (&tried[1].1, &tried[1].2));
    assert_eq!(
        tried[0].1.as_array().unwrap().iter().find(|of| of["entityType"] == "agreements").unwrap()["records"],
        loans
    );
    let lent: i64 = found.iter().map(|line| hundredths(&line["from"]["facilities"][0]["amount"]["amount"])).sum();
    let of_closed =
        |repayment: &&Value| found.iter().any(|line| line["referenceId"] == repayment["agreementReferenceId"]);
    let repayments = migration.staged("financing-execution", "repayments").await;
    let repaid: i64 = repayments.iter().filter(of_closed).map(|of| hundredths(&of["amount"]["amount"])).sum();
    assert_eq!(tried[0].0 - tried[1].0, lent - repaid, "the difference is the amount owed");
    life.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reports_one_rule_on_a_synthetic_bank() {
    check(bank(400, None)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reports_one_rule_on_the_berka_bank() {
    let Some(dir) = berka_tables("records::mapper_comparison::reports_one_rule_on_the_berka_bank") else { return };
    let read = |table: &'static str| Some((table, std::fs::read(dir.join(format!("{table}.jsonl"))).ok()?));
    check(["client", "account", "disp", "loan", "order", "trans"].into_iter().filter_map(read).collect()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refuses_invalid_comparisons() {
    let migration = shared().register(Some("panics"), &["Counterparties"]).await;
    migration.source("client", json!({"client_id": 1}).to_string()).await;
    let known = Digest::of(sluice_tests::guest("panics")).to_string();
    for (message, expected) in [
        (json!({"from": known}), (400, "INVALID_BODY".into())),
        (json!({"from": known, "to": Digest::of(b"another").to_string()}), (422, "UNKNOWN_MAPPER".into())),
    ] {
        assert_eq!(migration.start_with("compare", &message).await.problem(), expected, "{message}");
    }
    let counts = migration.job("counts").await;
    let path = migration.path(&format!("/jobs/{}/differences", counts["jobId"].as_str().unwrap()));
    assert_eq!(shared().get(&path).await.problem(), (409, "NO_COMPARISON".into()));
}

/// Compares files on the author's machine, without a server.
#[test]
fn compares_without_a_server() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, bytes: &[u8]| {
        let path = dir.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    let client = |(id, poison): (u64, bool)| json!({"client_id": id, "poison": poison}).to_string() + "\n";
    let clients = file("client.jsonl", [(1, false), (2, true)].map(client).concat().as_bytes());
    let [panics, mended, stateful] =
        ["panics", "mended", "stateful"].map(|guest| file(&format!("{guest}.wasm"), sluice_tests::guest(guest)));
    for (from, to, code, said) in [
        (&mended, &mended, 0, &["the same records from 2 source records"][..]),
        (&panics, &mended, 2, &["PLUGIN_PANICKED", "added counterparties", "different records from 2"][..]),
        (&mended, &stateful, 0, &["the same records from 2"][..]),
    ] {
        let mut run = Command::new(command());
        run.args(["plugin", "compare"]).arg(from).arg(to).arg("--source").arg(format!("client={}", clients.display()));
        let run = run.env("TMPDIR", dir.path()).output().unwrap();
        let (out, err) = (String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
        assert_eq!(run.status.code(), Some(code), "{out}{err}");
        assert!(said.iter().all(|text| out.contains(text)), "{out}{err}");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 4, "the command leaves files");
    }
}

/// Runs the same commands on a server: a trial, failed records as a file, and mapping again.
#[tokio::test(flavor = "multi_thread")]
async fn compares_on_a_server() {
    let server = shared();
    let migration = server.register(Some("panics"), &["Counterparties"]).await;
    let client = |id: u64| json!({"client_id": id, "poison": id == 2}).to_string() + "\n";
    migration.source("client", (1..=3).map(client).collect::<String>()).await;
    let run = async |verb: &'static [&'static str]| {
        let mut run = Command::new(command());
        run.arg(verb[0]).arg(&migration.id).args(&verb[1..]).args(["--server", &server.url]);
        run.arg("--client-file").arg(server.data_dir.join(ADMIN_FILE));
        let run = tokio::task::spawn_blocking(move || run.output().unwrap()).await.unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (run.status.code(), text(&run.stdout), text(&run.stderr))
    };
    let (code, out, err) = run(&["trial", "--sample", "1000"]).await;
    assert_eq!(code, Some(2), "{out}{err}");
    for said in [
        "2 of 3 records would arrive: 1 quarantined",
        "Would arrive",
        "PLUGIN_PANICKED",
        "Validation would pass",
        "A sample of 3 of 3",
    ] {
        assert!(out.contains(said), "{said} is not in:\n{out}{err}");
    }
    let (code, out, err) = run(&["records", "--source", "client", "--outcome", "quarantined"]).await;
    assert_eq!((code, out), (Some(0), client(2)), "{err}");
    let body = json!({"mapper": "mended"}).to_string();
    assert_eq!(migration.put_as(&migration.path("/mapper"), "application/json", body).await.status, 200);
    let (code, out, err) = run(&["remap", "--only", "quarantined"]).await;
    assert!(code == Some(0) && out.contains("Mapped again"), "{out}{err}");
    assert_eq!(migration.staged("counterparty-management", "counterparties").await.len(), 3);
}
