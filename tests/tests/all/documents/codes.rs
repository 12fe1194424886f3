//! Codes: the command, the server and the API's description have every definition of the table.
//!
//! `host/codes/tests/source.rs` checks that no code of the source is without a definition.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;
use std::sync::LazyLock;

use reqwest::Method;
use serde_json::Value;
use sluice_codes::{CodePlace, all};

use crate::harness::recorded_server::command;
use crate::harness::server::{Answer, shared};

/// Path of the command. It is checked once that the command is built from this source.
static SLUICE: LazyLock<PathBuf> = LazyLock::new(command);

/// Runs `sluice explain`. Returns its exit code, standard output and standard error.
fn explain(args: &[&str]) -> (i32, String, String) {
    let run = Command::new(&*SLUICE).arg("explain").args(args).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (run.status.code().unwrap(), text(run.stdout), text(run.stderr))
}

#[test]
fn the_command_explains_every_code() {
    let (exit, list, _) = explain(&[]);
    assert_eq!((exit, list.lines().count()), (0, all().len()));
    for (definition, line) in all().iter().zip(list.lines()) {
        let (exit, text, errors) = explain(&[&definition.code]);
        assert_eq!((exit, errors.as_str()), (0, ""), "{}", definition.code);
        assert_eq!(text, definition.to_text());
        assert!(line.starts_with(&definition.code) && line.ends_with(&definition.meaning), "{line}");
    }
}

#[test]
fn the_command_prints_definitions_as_json() {
    let printed = |args: &[&str]| serde_json::from_str::<Value>(&explain(args).1).unwrap();
    assert_eq!(printed(&["--json"]), serde_json::to_value(all()).unwrap());
    let definition = sluice_codes::find("WRONG_FIELD_COUNT").unwrap();
    assert_eq!(printed(&["wrong-field-count", "--json"]), serde_json::to_value(definition).unwrap());
}

/// Names that are no codes, and a part of the message about each.
const UNKNOWN: &[(&str, &str)] = &[
    ("WRONG_FIELDCOUNT", "Similar codes: WRONG_FIELD_COUNT"),
    ("BERKA_NOT_MIGRATED", "`sluice plugin inspect FILE` lists them"),
    ("DISBURSED_MORE_THAN_FACILITY", "Target record reference"),
    ("QQQQQQ", "`sluice explain` lists all codes"),
];

#[test]
fn the_command_names_similar_codes() {
    for (name, expected) in UNKNOWN {
        let (exit, text, errors) = explain(&[name]);
        assert_eq!((exit, text.as_str()), (1, ""), "{name}");
        assert!(errors.contains(expected), "{name}: {errors}");
    }
}

/// Requests a definition, without a token.
async fn get(code: &str, accept: &str) -> Answer {
    let request = shared().anonymous(Method::GET, &format!("/problems/{code}"));
    shared().send(request.header("accept", accept)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_explains_every_code() {
    for definition in all() {
        let answer = get(&definition.code, "application/json").await;
        assert_eq!(answer.status, 200, "{}: {}", definition.code, answer.body);
        assert_eq!(answer.json(), serde_json::to_value(definition).unwrap());
        let page = get(&definition.code, "text/html").await;
        assert_eq!(page.status, 200, "{}", definition.code);
        assert!(
            page.body.contains(&format!("<h1>{}</h1><p>{}</p>", definition.code, definition.meaning)),
            "{}",
            page.body
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_refuses_unknown_codes() {
    for (code, accept, status, problem, detail) in [
        ("NOT_VALID", "*/*", 404, "NO_SUCH_CODE", "Similar codes: NOT_VALIDATED"),
        ("QQQQQQ", "text/html", 404, "NO_SUCH_CODE", "A plugin declares codes of its own"),
        ("NOT_VALIDATED", "text/xml", 406, "NOT_ACCEPTABLE", "application/json"),
    ] {
        let answer = get(code, accept).await;
        assert_eq!(answer.problem(), (status, problem.to_owned()), "{code}: {}", answer.body);
        assert!(answer.json()["detail"].as_str().unwrap().contains(detail), "{code}: {}", answer.body);
        assert!(!answer.body.contains("QQQQQQ"), "the answer repeats the client's text: {}", answer.body);
    }
}

/// The `type` of a problem is the path of its definition.
#[tokio::test(flavor = "multi_thread")]
async fn the_type_of_a_problem_leads_to_its_definition() {
    for (path, token) in [
        ("/nowhere", false),
        ("/migration-assistance/migrations", false),
        ("/migration-assistance/migrations?limit=0", true),
    ] {
        let request = if token { shared().request(Method::GET, path) } else { shared().anonymous(Method::GET, path) };
        let problem = shared().send(request).await.json();
        let definition = shared().send(shared().anonymous(Method::GET, problem["type"].as_str().unwrap())).await.json();
        assert_eq!(definition["code"], problem["code"], "{path}");
        assert!(definition["status"].as_array().unwrap().contains(&problem["status"]), "{path}: {definition}");
    }
}

/// The description of a problem has every code that a problem can have, and no other.
#[tokio::test(flavor = "multi_thread")]
async fn the_description_lists_the_codes_of_problems() {
    let api = shared().get("/openapi.json").await.json();
    let listed = api["components"]["schemas"]["Problem"]["properties"]["code"]["enum"].as_array().unwrap().clone();
    let listed: BTreeSet<String> = listed.iter().map(|code| code.as_str().unwrap().to_owned()).collect();
    let places = [CodePlace::Problem, CodePlace::Job, CodePlace::Upload];
    let of_problems = all().iter().filter(|definition| places.iter().any(|place| definition.places.contains(place)));
    assert_eq!(listed, of_problems.map(|definition| definition.code.clone()).collect());
}
