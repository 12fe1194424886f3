//! Plugins as their authors make them: the tutorial's commands in each language, from an empty folder to a component
//! that maps the whole client table to the same bytes; and components that nobody shaped for this host.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use uuid::Uuid;

use crate::readme::tutorial;
use crate::witness::command;

/// Runs a script where the command is in the path.
fn bash(dir: &Path, script: &str) -> Output {
    let path = std::env::var("PATH").unwrap();
    let path = format!("{}:{path}", command().parent().unwrap().display());
    Command::new("bash").args(["-euc", script]).current_dir(dir).env("PATH", path).output().unwrap()
}

/// What a script that has to succeed says, on standard output and standard error.
fn typed(dir: &Path, script: &str) -> (String, String) {
    let done = bash(dir, script);
    let (out, err) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success(), "{script}\n{out}\n{err}");
    (out.into_owned(), err.into_owned())
}

/// Whether a command succeeds here.
fn works(command: &str) -> bool {
    let mut bash = Command::new("bash");
    bash.args(["-c", command]).stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

/// The bank's clients where they are on this machine, or a few like them.
fn clients() -> String {
    let beside = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/berka/client.jsonl");
    std::fs::read_to_string(beside).unwrap_or_else(|_| {
        println!("the Berka client table is not on this machine: two sample records stand for it");
        "{\"client_id\":1,\"birth_number\":\"706213\",\"district_id\":18}\n\
         {\"client_id\":2,\"birth_number\":\"450204\",\"district_id\":1}\n"
            .into()
    })
}

/// What has to become of them, worked out here and by nobody's SDK.
fn counterparties(clients: &str, system: &str) -> String {
    let migration = Uuid::from_slice(b"sluice-test-case").unwrap();
    let mut lines = String::new();
    for line in clients.lines() {
        let client: serde_json::Value = serde_json::from_str(line).unwrap();
        let (number, born) = (client["client_id"].to_string(), client["birth_number"].as_str().unwrap());
        let month: u32 = born[2..4].parse().unwrap();
        let month = if month > 50 { month - 50 } else { month };
        let id = Uuid::new_v5(&migration, format!("counterparties:{number}").as_bytes());
        writeln!(
            lines,
            "{{\"entityType\":\"counterparties\",\"record\":{{\"referenceId\":\"{id}\",\"type\":\"person\",\"initials\":\"C.\",\
             \"surname\":\"{number}\",\"birthDate\":\"19{}-{month:02}-{}\",\"externalReferences\":[{{\"system\":\"{system}\",\
             \"value\":\"{number}\"}}]}}}}",
            &born[..2],
            &born[4..]
        )
        .unwrap();
    }
    lines
}

/// Types the commands of the tutorial for a language, and returns the project's folder. Then the whole table has to come
/// out byte for byte, natively and in the sandbox.
fn walk(dir: &Path, language: &str) -> PathBuf {
    let printed = tutorial();
    assert!(printed.contains("--lang python"), "{printed}");
    let (out, err) = typed(dir, &printed.replace("--lang python", &format!("--lang {language}")));
    assert_eq!(out.matches("{\"entityType\":\"counterparties\",").count(), 20, "{out}{err}");
    for said in ["client.broken: as expected", "µs a record", "MiB of memory"] {
        assert!(err.contains(said), "{said} is not in:\n{err}");
    }
    let project = dir.join("first");
    let case = project.join("cases/client.whole");
    std::fs::create_dir(&case).unwrap();
    std::fs::write(case.join("input.jsonl"), clients()).unwrap();
    std::fs::write(case.join("expected.jsonl"), counterparties(&clients(), "first")).unwrap();
    let (_, err) = typed(&project, "sluice plugin test");
    assert!(err.contains("client.whole: as expected"), "{err}");
    project
}

/// Changes a file of the project, once.
fn replace(file: &Path, from: &str, to: &str) {
    let text = std::fs::read_to_string(file).unwrap();
    assert_eq!(text.matches(from).count(), 1, "{from} in {}", file.display());
    std::fs::write(file, text.replace(from, to)).unwrap();
}

const RUN: &str = "sluice plugin run dist/first.wasm --source client=data/client.jsonl";

#[test]
fn a_first_plugin_in_rust() {
    let dir = tempfile::tempdir().unwrap();
    let project = walk(dir.path(), "rust");
    // What is not as expected is shown with its record, natively and in the sandbox.
    replace(&project.join("src/lib.rs"), "initials: \"C.\"", "initials: \"D.\"");
    let done = bash(&project, "sluice plugin test");
    let (out, err) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert_eq!(done.status.code(), Some(2), "{out}{err}");
    assert!(out.contains("client: records: 2 are expected, 2 were made"), "{out}");
    for said in ["made from line 1 of input.jsonl", "- \"initials\": \"C.\"", "+ \"initials\": \"D.\"", "and 5359 more"]
    {
        assert!(err.contains(said) || clients().lines().count() == 2, "{said} is not in:\n{err}");
    }
    typed(&project, "sluice plugin test --bless");
    let kept = std::fs::read_to_string(project.join("cases/client.broken/expected.jsonl")).unwrap();
    assert!(kept.contains("\"initials\":\"D.\""), "{kept}");
}

#[test]
fn a_first_plugin_in_javascript_and_one_with_all_features() {
    if !works("npm view --fetch-timeout=5000 --fetch-retries=0 @bytecodealliance/componentize-js@0.23.0 version") {
        println!("skipped: npm is not here, or does not reach its registry");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let project = walk(dir.path(), "javascript");
    // An exception of the author's loses its record, and is told with its place.
    let date = "const number = Number(birthNumber);";
    let thrown = format!("{date}\n  if (birthNumber === '620313') throw new Error('no such day');");
    let broken = "{\"client_id\":1,\"birth_number\":\"620313\"}\n{\"client_id\":2,\"birth_number\":\"450204\"}\n";
    std::fs::write(project.join("broken.jsonl"), broken).unwrap();
    replace(&project.join("mapper.js"), date, &thrown);
    let done = bash(&project, &format!("sluice plugin build && {RUN}").replace("data/client", "broken"));
    let err = String::from_utf8_lossy(&done.stderr);
    assert_eq!(done.status.code(), Some(2), "{err}");
    for said in ["client, line 1: PLUGIN_PANICKED", "Error: no such day", "dayOfBirth@"] {
        assert!(err.contains(said), "{said} is not in:\n{err}");
    }
    // With what the toolchain adds by itself it wants the network: refused, with the way out.
    let features = "  disableFeatures: ['random', 'stdio', 'clocks', 'http', 'fetch-event'],\n";
    replace(&project.join("build.js"), features, "");
    let done = bash(&project, &format!("sluice plugin build && {RUN}"));
    let err = String::from_utf8_lossy(&done.stderr);
    assert_eq!(done.status.code(), Some(1), "{err}");
    for said in ["it imports wasi:http/", "which this host does not offer", "disableFeatures: ['random', "] {
        assert!(err.contains(said), "{said} is not in:\n{err}");
    }
}

#[test]
fn a_first_plugin_in_python_and_one_that_keeps_wasi() {
    if !works("python3 -m pip --timeout 5 --retries 0 download --no-deps -q -d $(mktemp -d) componentize-py==0.25.1") {
        println!("skipped: Python or pip is not here, or does not reach its index");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let project = walk(dir.path(), "python");
    replace(&project.join("build.py"), "\"--stub-wasi\", ", "");
    let date = "number = int(birth_number)";
    let thrown = format!("{date}\n    if birth_number == \"620313\":\n        raise RuntimeError(\"no such day\")");
    let broken = "{\"client_id\":1,\"birth_number\":\"620313\"}\n{\"client_id\":2,\"birth_number\":\"450204\"}\n";
    std::fs::write(project.join("broken.jsonl"), broken).unwrap();
    replace(&project.join("mapper.py"), date, &thrown);
    // It imports all of WASI, sockets too, and runs: everything is denied.
    let (out, err) = typed(&project, &format!("sluice plugin build && {RUN} && sluice plugin inspect dist/first.wasm"));
    assert_eq!(out.matches("{\"entityType\":\"counterparties\",").count(), 20, "{out}{err}");
    for said in ["wasi:sockets/", "nothing: every connection is refused", "nothing: there is no file"] {
        assert!(out.contains(said), "{said} is not in:\n{out}");
    }
    let done = bash(&project, &RUN.replace("data/client", "broken"));
    let err = String::from_utf8_lossy(&done.stderr);
    assert_eq!(done.status.code(), Some(2), "{err}");
    for said in ["client, line 1: PLUGIN_PANICKED", "RuntimeError: no such day", "mapper.py\", line"] {
        assert!(err.contains(said), "{said} is not in:\n{err}");
    }
}
