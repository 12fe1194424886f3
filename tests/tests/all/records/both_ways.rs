//! One set of rules for both ways in: without a mapper and through one. The table of docs/api/uploads.md has the rules.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::harness::server::{Answer, Migration, shared};

const PATH: &str = "counterparty-management";
const TYPE: &str = "counterparties";

/// A record of an upload.
#[derive(Clone, Copy, Debug)]
enum Sent {
    /// A valid record with this key, in one of two versions.
    Valid(u8, char),
    /// An invalid record with this key.
    Invalid(u8),
    /// A line that is no record.
    Garbage,
}

/// Result of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Accepted,
    /// Refused for what is in it.
    Refused,
    /// Refused, because the record on this line of the same upload has its key.
    Duplicate(u64),
}

use Outcome::{Accepted, Duplicate, Refused};
use Sent::{Garbage, Invalid, Valid};

/// A way in.
#[derive(Clone, Copy, Debug)]
enum Way {
    Direct,
    Mapped,
}

/// Uploads with the expected outcomes.
type Uploads = &'static [(&'static [Sent], &'static [Outcome])];

/// A case: a rule, uploads with the expected outcomes, the keys and versions that are staged afterwards, the number of
/// issues that count then, and true if the last upload changed something.
type Case = (&'static str, Uploads, &'static [(u8, char)], u64, bool);

const CASES: &[Case] = &[
    ("records are staged", &[(&[Valid(1, 'a'), Valid(2, 'a')], &[Accepted, Accepted])], &[(1, 'a'), (2, 'a')], 0, true),
    (
        "the second of one upload is refused",
        &[(&[Valid(1, 'a'), Valid(2, 'a'), Valid(1, 'b')], &[Accepted, Accepted, Duplicate(1)])],
        &[(1, 'a'), (2, 'a')],
        1,
        true,
    ),
    (
        "also if it is equal",
        &[(&[Valid(1, 'a'), Valid(1, 'a'), Valid(1, 'a')], &[Accepted, Duplicate(1), Duplicate(1)])],
        &[(1, 'a')],
        2,
        true,
    ),
    (
        "a later upload replaces",
        &[(&[Valid(1, 'a'), Valid(2, 'a')], &[Accepted, Accepted]), (&[Valid(1, 'b')], &[Accepted])],
        &[(2, 'a'), (1, 'b')],
        0,
        true,
    ),
    (
        "an equal record changes nothing",
        &[(&[Valid(1, 'a')], &[Accepted]), (&[Valid(1, 'a')], &[Accepted])],
        &[(1, 'a')],
        0,
        false,
    ),
    (
        "an equal record is the first of its upload",
        &[
            (&[Valid(1, 'a'), Valid(2, 'a')], &[Accepted, Accepted]),
            (&[Valid(3, 'a'), Valid(1, 'a'), Valid(1, 'b')], &[Accepted, Accepted, Duplicate(2)]),
        ],
        &[(1, 'a'), (2, 'a'), (3, 'a')],
        1,
        true,
    ),
    (
        "the same upload again has the same results",
        &[
            (&[Valid(1, 'a'), Valid(1, 'b'), Invalid(2), Garbage], &[Accepted, Duplicate(1), Refused, Refused]),
            (&[Valid(1, 'a'), Valid(1, 'b'), Invalid(2), Garbage], &[Accepted, Duplicate(1), Refused, Refused]),
        ],
        &[(1, 'a')],
        3,
        false,
    ),
    (
        "the first one counts if it is invalid",
        &[(&[Invalid(1), Valid(1, 'a')], &[Refused, Duplicate(1)])],
        &[],
        2,
        true,
    ),
    (
        "the first one counts if the second is invalid",
        &[(&[Valid(1, 'a'), Invalid(1), Invalid(1)], &[Accepted, Refused, Refused])],
        &[(1, 'a')],
        2,
        true,
    ),
    (
        "a later invalid record replaces as well",
        &[(&[Valid(1, 'a')], &[Accepted]), (&[Invalid(1)], &[Refused])],
        &[],
        1,
        true,
    ),
    (
        "issues of a corrected record no longer count",
        &[(&[Invalid(1), Valid(2, 'a')], &[Refused, Accepted]), (&[Valid(1, 'b')], &[Accepted])],
        &[(2, 'a'), (1, 'b')],
        0,
        true,
    ),
    (
        "equal lines that are no records count each",
        &[(&[Garbage, Valid(1, 'a'), Garbage, Garbage], &[Refused, Accepted, Refused, Refused])],
        &[(1, 'a')],
        3,
        true,
    ),
    (
        "and once for all uploads",
        &[(&[Garbage, Garbage], &[Refused, Refused]), (&[Garbage, Garbage, Garbage], &[Refused, Refused, Refused])],
        &[],
        3,
        true,
    ),
];

impl Way {
    fn record(self, sent: Sent, namespace: &Uuid) -> String {
        let id = |key: u8| Uuid::new_v5(namespace, &[key]);
        match (self, sent) {
            (_, Garbage) => "no record".into(),
            (Way::Direct, Valid(key, version)) => {
                json!({"referenceId": id(key), "type": "organisation", "name": version}).to_string()
            }
            (Way::Direct, Invalid(key)) => json!({"referenceId": id(key), "type": "organisation"}).to_string(),
            (Way::Mapped, Valid(key, version)) => {
                let birth_number = if version == 'a' { "706213" } else { "706214" };
                json!({"client_id": key, "birth_number": birth_number}).to_string()
            }
            (Way::Mapped, Invalid(key)) => json!({"client_id": key, "birth_number": "709913"}).to_string(),
        }
    }

    async fn send(self, migration: &Migration, body: String) -> Answer {
        match self {
            Way::Direct => migration.stage(PATH, TYPE, body).await,
            Way::Mapped => migration.source("client", body).await,
        }
    }

    /// Returns the key and the version of each staged record.
    fn staged(self, record: &Value, namespace: &Uuid) -> (u8, char) {
        match self {
            Way::Direct => {
                let id = |key: &u8| record["referenceId"] == Uuid::new_v5(namespace, &[*key]).to_string();
                ((1..=9).find(id).unwrap(), record["name"].as_str().unwrap().chars().next().unwrap())
            }
            Way::Mapped => {
                let version = if record["birthDate"] == "1970-12-13" { 'a' } else { 'b' };
                (record["surname"].as_str().unwrap().parse().unwrap(), version)
            }
        }
    }

    fn duplicate(self) -> &'static str {
        match self {
            Way::Direct => "DUPLICATE_REFERENCE_ID",
            Way::Mapped => "DUPLICATE_KEY",
        }
    }
}

fn outcome(way: Way, result: &Value) -> Outcome {
    let last = result["errors"].as_array().and_then(|errors| errors.last());
    match last {
        None => {
            assert_eq!(result["isSuccessful"], true, "{result}");
            Accepted
        }
        Some(error) if error["code"] == way.duplicate() => Duplicate(error["firstLine"].as_u64().unwrap_or(0)),
        Some(_) => {
            assert_eq!(result["isSuccessful"], false, "{result}");
            Refused
        }
    }
}

/// Returns the number of issues of the uploads that count.
async fn issues(migration: &Migration) -> u64 {
    let counts = migration.get("/issues/counts?phase=load").await;
    counts["items"].as_array().unwrap().iter().map(|count| count["count"].as_u64().unwrap()).sum()
}

async fn check(way: Way, (rule, uploads, staged, issues_after, changed): Case) {
    let mapper = if matches!(way, Way::Mapped) { Some("berka") } else { None };
    let migration = shared().register(mapper, &["Counterparties"]).await;
    let namespace: Uuid = migration.id.parse().unwrap();
    for (number, (sent, expected)) in uploads.iter().enumerate() {
        if number > 0 && number + 1 == uploads.len() {
            // Without staged records there is nothing to validate.
            let started = migration.start("validate").await;
            if started.status == 200 {
                migration.ended(started).await;
            }
        }
        let body: Vec<String> = sent.iter().map(|sent| way.record(*sent, &namespace)).collect();
        let results = way.send(&migration, body.join("\n")).await.lines();
        let outcomes: Vec<Outcome> = results.iter().map(|result| outcome(way, result)).collect();
        assert_eq!(outcomes, *expected, "{way:?}: {rule}, upload {}: {results:?}", number + 1);
    }
    let records = migration.staged(PATH, TYPE).await;
    let found: Vec<(u8, char)> = records.iter().map(|record| way.staged(record, &namespace)).collect();
    assert_eq!(found, staged, "{way:?}: {rule}");
    assert_eq!(issues(&migration).await, issues_after, "{way:?}: {rule}");
    assert_eq!(migration.issues("load").await.len() as u64, issues_after, "{way:?}: {rule}");
    let status = migration.get("").await["stagingStatus"].clone();
    assert_eq!(status, if changed { "Staged" } else { "Validated" }, "{way:?}: {rule}");
}

/// Both ways follow the same rules.
#[tokio::test(flavor = "multi_thread")]
async fn both_ways_follow_one_set_of_rules() {
    for case in CASES {
        for way in [Way::Direct, Way::Mapped] {
            check(way, *case).await;
        }
    }
}

/// A file in which two records have one reference id: the second one is refused and names the line of the first.
#[tokio::test(flavor = "multi_thread")]
async fn refuses_a_second_record_under_one_id() {
    let body = include_str!("../../../cases/19-staged-twice.jsonl");
    let migration = shared().register(None, &["Counterparties"]).await;
    for _ in 0..2 {
        let results = migration.stage(PATH, TYPE, body).await.lines();
        let errors: Vec<Value> = results.iter().map(|result| result["errors"][0].clone()).collect();
        assert_eq!(errors[0], Value::Null);
        let duplicate = json!({"field": "", "code": "DUPLICATE_REFERENCE_ID", "firstLine": 1});
        assert_eq!((&errors[1]["code"], &errors[1]["firstLine"]), (&duplicate["code"], &duplicate["firstLine"]));
        assert_eq!(results[1]["isSuccessful"], false);
        assert_eq!(errors[2]["field"], "initials");
        assert_eq!(errors[3]["code"], "INVALID_JSON");
        let staged = migration.staged(PATH, TYPE).await;
        assert_eq!(staged.iter().map(|record| &record["name"]).collect::<Vec<_>>(), ["first"]);
        let listed = migration.issues("load").await;
        let duplicate = listed.iter().find(|issue| issue["code"] == "DUPLICATE_REFERENCE_ID").unwrap();
        assert_eq!((&duplicate["line"], &duplicate["firstLine"]), (&json!(2), &json!(1)), "{duplicate}");
    }
}
