//! Faulty guests: each is contained and named as the cause, and a migration beside it is not disturbed.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::harness::neighbour;
use crate::harness::server::{Migration, shared};

/// The expected result for the poisoned records.
enum PoisonResult {
    /// The plugin failed on them: a code, and words of the message.
    Quarantined(&'static str, &'static str),
    /// The host rejects the plugin's output: a code and a field.
    Rejected(&'static str, &'static str),
}

struct Case {
    guest: &'static str,
    /// Value that makes the guest fail, as JSON.
    poison: &'static str,
    clients: u64,
    poisoned: &'static [u64],
    fate: PoisonResult,
}

const fn case(guest: &'static str, poison: &'static str, fate: PoisonResult) -> Case {
    Case { guest, poison, clients: 200, poisoned: &[70], fate }
}

use PoisonResult::{Quarantined, Rejected};

const TIME: &[Case] = &[case("endless-loop", "true", Quarantined("PLUGIN_TIMED_OUT", "took more than"))];

const SPACE: &[Case] = &[
    case("memory-bomb", "true", Quarantined("PLUGIN_OUT_OF_MEMORY", "")),
    case("floods-log", "true", Quarantined("PLUGIN_TOO_MANY_CALLS", "more than 10000 times")),
    case("deep-recursion", "true", Quarantined("PLUGIN_STACK_OVERFLOW", "recurse")),
];

const ONE_IN_TEN_THOUSAND: &[Case] = &[Case {
    guest: "panics",
    poison: "true",
    clients: 20_000,
    poisoned: &[4_321, 20_000],
    fate: Quarantined("PLUGIN_PANICKED", "panics/src/lib.rs:3:49:\ncannot map client "),
}];

/// Outputs that do not fit their batch. If the fault is in the first record, that record is the poisoned one.
const CONTRACT: &[Case] = &[
    case("mismatched", r#""ends""#, Quarantined(BROKE, "ends do not fit")),
    case("mismatched", r#""bytes""#, Quarantined(BROKE, "ends do not fit")),
    case("mismatched", r#""origins""#, Quarantined(BROKE, "came from beyond")),
    case("mismatched", r#""short-origins""#, Quarantined(BROKE, "1 records with 0 origins")),
    case("mismatched", r#""entity-type""#, Quarantined(BROKE, "does not describe")),
    case("mismatched", r#""positions""#, Quarantined(BROKE, "reported an issue")),
    case("mismatched", r#""skipped""#, Quarantined(BROKE, "skipped a record")),
    case("forger", r#""entity-type""#, Quarantined(BROKE, "does not describe")),
];

const LIES: &[Case] = &[
    Case { poisoned: &[1], ..case("mismatched", r#""not-json""#, Rejected("INVALID_ENCODING", "counterparties/")) },
    case("forger", r#""reference-id""#, Rejected("DUPLICATE_REFERENCE_ID", "")),
    case("silent", "true", Rejected("NOT_ACCOUNTED_FOR", "")),
];

const BROKE: &str = "PLUGIN_BROKE_CONTRACT";

#[tokio::test(flavor = "multi_thread")]
async fn contains_guests_that_use_all_their_time() {
    check(TIME).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn contains_guests_that_use_all_their_memory() {
    check(SPACE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn contains_a_panic_on_one_record_in_ten_thousand() {
    check(ONE_IN_TEN_THOUSAND).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn contains_output_that_does_not_fit_its_batch() {
    check(CONTRACT).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn contains_false_output() {
    check(LIES).await;
}

async fn check(cases: &[Case]) {
    for case in cases {
        tokio::join!(check_contained(case), neighbour::five_steps());
        assert_eq!(shared().get("/health/live").await.json()["status"], "ok", "{}", case.guest);
    }
}

/// Uploads the case's clients through its guest, and checks the result of each.
async fn check_contained(case: &Case) {
    let Case { guest, poison, clients, poisoned, fate } = case;
    let what = format!("{guest} {poison}");
    let migration = shared().register(Some(guest), &["Counterparties"]).await;
    let client = |id: u64| match poisoned.contains(&id) {
        true => format!("{{\"client_id\":{id},\"poison\":{poison}}}\n"),
        false => format!("{{\"client_id\":{id}}}\n"),
    };
    let body: String = (1..=*clients).map(client).collect();
    let answer = migration.source("client", body).await;
    let results = answer.lines();
    assert_eq!((answer.status, results.len() as u64), (200, *clients), "{what}: {:?}", results.last());

    let (mut staged, mut outcomes) = (BTreeMap::new(), BTreeMap::<&str, u64>::new());
    for (result, id) in results.iter().zip(1..) {
        assert_eq!(result["line"], id, "{what}");
        *outcomes.entry(result["outcome"].as_str().unwrap()).or_default() += 1;
        if poisoned.contains(&id) {
            check_result(&what, result, fate);
        } else {
            assert_eq!((&result["isSuccessful"], &result["outcome"]), (&true.into(), &"mapped".into()), "{what} {id}");
        }
        for record in result["records"].as_array().into_iter().flatten() {
            assert_eq!(record["entityType"], "counterparties", "{what}");
            staged.insert(record["referenceId"].as_str().unwrap().to_owned(), id.to_string());
        }
    }
    // Exactly the mapped records are staged, each with its own client's content.
    let found: BTreeMap<String, String> = migration
        .staged("counterparty-management", "counterparties")
        .await
        .iter()
        .map(|record| (text(record, "referenceId"), text(record, "surname")))
        .collect();
    assert!(found == staged, "{what}: {} staged, {} mapped", found.len(), staged.len());
    check_sources(&what, &migration, &outcomes).await;
    check_cause(&what, &migration, case, &answer.body).await;
}

fn text(record: &Value, field: &str) -> String {
    record[field].as_str().unwrap().to_owned()
}

fn check_result(what: &str, result: &Value, fate: &PoisonResult) {
    let (successful, outcome) = match fate {
        Quarantined(..) => (false, "quarantined"),
        Rejected(..) => (false, "rejected"),
    };
    assert_eq!(
        (&result["isSuccessful"], &result["outcome"]),
        (&successful.into(), &outcome.into()),
        "{what}: {result}"
    );
    match fate {
        Quarantined(code, _) => assert_eq!(result["code"], *code, "{what}"),
        Rejected(code, field) => {
            let error = &result["errors"][0];
            assert_eq!((&error["code"], &error["field"]), (&(*code).into(), &(*field).into()), "{what}: {result}");
        }
    }
}

/// Checks that the counts of the sources agree with the results.
async fn check_sources(what: &str, migration: &Migration, outcomes: &BTreeMap<&str, u64>) {
    let sources = migration.get("/sources").await;
    let counted: BTreeMap<&str, u64> = sources["items"][0]["outcomes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|outcome| (outcome["outcome"].as_str().unwrap(), outcome["count"].as_u64().unwrap()))
        .collect();
    assert_eq!(counted, *outcomes, "{what}");
}

/// Checks that the migration's directory, and nothing else, has the plugin's message.
async fn check_cause(what: &str, migration: &Migration, case: &Case, answer: &str) {
    let quarantine = migration.get("/quarantine").await;
    let entries = quarantine["items"].as_array().unwrap();
    let Quarantined(code, message) = case.fate else {
        assert!(entries.is_empty(), "{what}: the list has no failed record: {quarantine}");
        return;
    };
    assert_eq!((entries.len(), &quarantine["total"]), (case.poisoned.len(), &case.poisoned.len().into()), "{what}");
    let issues = migration.issues("load").await;
    let logs = migration.get("/logs?limit=100").await.to_string();
    let catalogue = shared().catalogue();
    for (entry, line) in entries.iter().zip(case.poisoned) {
        assert_eq!(entry["plugin"], format!("{} 0.1.0", case.guest), "{what}");
        assert_eq!((&entry["code"], &entry["line"]), (&code.into(), &(*line).into()), "{what}");
        assert_eq!((&entry["stream"], entry["digest"].as_str().unwrap().len()), (&"client".into(), 64), "{what}");
        let said = entry["message"].as_str().unwrap();
        assert!(!said.is_empty() && said.contains(message), "{what}: {said}");
        let elsewhere = [answer, &logs, &serde_json::to_string(&issues).unwrap()];
        assert!(elsewhere.iter().all(|text| !text.contains(said)), "{what}: an answer has the message");
        let kept_in = |bytes: &[u8]| bytes.windows(said.len()).any(|bytes| bytes == said.as_bytes());
        assert!(!kept_in(&catalogue), "{what}: the server keeps the message");
        let list = std::fs::read(migration.directory().join("quarantine.sealed")).unwrap();
        assert!(!kept_in(&list), "{what}: the message is not encrypted");
        let listed = issues.iter().filter(|issue| issue["line"] == *line).collect::<Vec<_>>();
        assert_eq!((listed.len(), &listed[0]["code"]), (1, &code.into()), "{what}");
    }
}
