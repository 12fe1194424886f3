//! Plugins as authors make them: the tutorial's commands in each language, from an empty folder to a component with the
//! expected output for the whole client table, and components of unmodified toolchains.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use uuid::Uuid;

use crate::documents::commands::tutorial;
use crate::harness::recorded_server::command;
use crate::harness::tools;

/// Runs a script with the folder of `sluice` in the search path.
fn bash(dir: &Path, script: &str) -> Output {
    let path = std::env::var("PATH").unwrap();
    let path = format!("{}:{path}", command().parent().unwrap().display());
    Command::new("bash").args(["-euc", script]).current_dir(dir).env("PATH", path).output().unwrap()
}

/// Runs a script that must succeed, and returns standard output and standard error.
fn run_script(dir: &Path, script: &str) -> (String, String) {
    let done = bash(dir, script);
    let (out, err) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success(), "{script}\n{out}\n{err}");
    (out.into_owned(), err.into_owned())
}

/// Returns the client table of the Berka bank, or two sample records on a machine without it.
fn clients() -> String {
    let tables = tools::berka_tables("plugins::authoring, in part: two sample records replace the client table");
    tables.map_or_else(
        || {
            "{\"client_id\":1,\"birth_number\":\"706213\",\"district_id\":18}\n\
         {\"client_id\":2,\"birth_number\":\"450204\",\"district_id\":1}\n"
                .into()
        },
        |folder| std::fs::read_to_string(folder.join("client.jsonl")).unwrap(),
    )
}

/// Returns the expected output, computed without the SDKs.
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

/// Runs the tutorial's commands for a language, and returns the project's folder. The output for the whole table must
/// agree byte for byte, natively and in the sandbox.
fn follow_tutorial(dir: &Path, language: &str) -> PathBuf {
    let printed = tutorial();
    assert!(printed.contains("--lang python"), "{printed}");
    let (out, err) = run_script(dir, &printed.replace("--lang python", &format!("--lang {language}")));
    assert_eq!(out.matches("{\"entityType\":\"counterparties\",").count(), 20, "{out}{err}");
    for said in ["client.broken: as expected", "µs a record", "MiB of memory"] {
        assert!(err.contains(said), "{said} is not in:\n{err}");
    }
    let project = dir.join("first");
    let case = project.join("cases/client.whole");
    std::fs::create_dir(&case).unwrap();
    std::fs::write(case.join("input.jsonl"), clients()).unwrap();
    std::fs::write(case.join("expected.jsonl"), counterparties(&clients(), "first")).unwrap();
    let (_, err) = run_script(&project, "sluice plugin test");
    assert!(err.contains("client.whole: as expected"), "{err}");
    project
}

/// Replaces a text that occurs once in a file.
fn replace(file: &Path, from: &str, to: &str) {
    let text = std::fs::read_to_string(file).unwrap();
    assert_eq!(text.matches(from).count(), 1, "{from} in {}", file.display());
    std::fs::write(file, text.replace(from, to)).unwrap();
}

/// Returns the number of the line of a file that has this text.
fn line_of(file: &Path, text: &str) -> usize {
    let source = std::fs::read_to_string(file).unwrap();
    1 + source.lines().position(|line| line.contains(text)).unwrap()
}

/// Builds the project, and asserts that a dry run of `broken.jsonl` and a case show the author's exception in its first
/// record.
fn shows_exception(project: &Path, said: &[&str]) {
    let case = project.join("cases/client.thrown");
    std::fs::create_dir(&case).unwrap();
    std::fs::copy(project.join("broken.jsonl"), case.join("input.jsonl")).unwrap();
    std::fs::write(case.join("expected.jsonl"), "").unwrap();
    let run = format!("sluice plugin build && {RUN}").replace("data/client", "broken");
    for (script, first) in [
        (run.as_str(), "client, line 1: PLUGIN_PANICKED"),
        ("sluice plugin test", "line 1 of input.jsonl: PLUGIN_PANICKED"),
    ] {
        let done = bash(project, script);
        let err = String::from_utf8_lossy(&done.stderr);
        assert_eq!(done.status.code(), Some(2), "{script}: {err}");
        for said in said.iter().chain(&[first]) {
            assert!(err.contains(said), "{script}: {said} is not in:\n{err}");
        }
    }
    std::fs::remove_dir_all(case).unwrap();
}

const RUN: &str = "sluice plugin run dist/first.wasm --source client=data/client.jsonl";

#[test]
fn tutorial_in_rust() {
    let dir = tempfile::tempdir().unwrap();
    let project = follow_tutorial(dir.path(), "rust");
    // A difference is shown with its record, natively and in the sandbox.
    replace(&project.join("src/lib.rs"), "initials: \"C.\"", "initials: \"D.\"");
    let done = bash(&project, "sluice plugin test");
    let (out, err) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert_eq!(done.status.code(), Some(2), "{out}{err}");
    assert!(out.contains("client: records: 2 are expected, 2 were made"), "{out}");
    for said in ["made from line 1 of input.jsonl", "- \"initials\": \"C.\"", "+ \"initials\": \"D.\"", "and 5359 more"]
    {
        assert!(err.contains(said) || clients().lines().count() == 2, "{said} is not in:\n{err}");
    }
    run_script(&project, "sluice plugin test --bless");
    // A panic of the author's code.
    let date = "let number: u32 =";
    let thrown = format!("assert!(birth_number != \"620313\", \"no such day\");\n    {date}");
    let broken = "{\"client_id\":1,\"birth_number\":\"620313\"}\n{\"client_id\":2,\"birth_number\":\"450204\"}\n";
    std::fs::write(project.join("broken.jsonl"), broken).unwrap();
    replace(&project.join("src/lib.rs"), date, &thrown);
    let line = line_of(&project.join("src/lib.rs"), "no such day");
    let place = format!("panicked at src/lib.rs:{line}:");
    shows_exception(&project, &["no such day", &place]);
    let kept = std::fs::read_to_string(project.join("cases/client.broken/expected.jsonl")).unwrap();
    assert!(kept.contains("\"initials\":\"D.\""), "{kept}");
}

#[test]
fn tutorial_in_javascript_and_a_plugin_with_all_features() {
    let check =
        format!("node --version && npm view {} @bytecodealliance/componentize-js@0.23.0 version", tools::NPM_FETCH);
    let test = "plugins::authoring::tutorial_in_javascript_and_a_plugin_with_all_features";
    if !tools::available(&tools::NPM, test, &check) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let project = follow_tutorial(dir.path(), "javascript");
    // An exception of the author's code quarantines its record, and the message names the place in the source.
    let date = "const number = Number(birthNumber);";
    let thrown = format!("{date}\n  if (birthNumber === '620313') throw new Error('no such day');");
    let broken = "{\"client_id\":1,\"birth_number\":\"620313\"}\n{\"client_id\":2,\"birth_number\":\"450204\"}\n";
    std::fs::write(project.join("broken.jsonl"), broken).unwrap();
    replace(&project.join("mapper.js"), date, &thrown);
    let line = line_of(&project.join("mapper.js"), "no such day");
    let place = format!("mapper.js:{line}:");
    shows_exception(&project, &["Error: no such day", "dayOfBirth@", &place]);
    // With the toolchain's default features it imports the network: it is refused, and the message has the remedy.
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
fn tutorial_in_python_and_a_plugin_with_wasi() {
    let dir = tempfile::tempdir().unwrap();
    let download = "python3 -m pip --timeout 20 --retries 1 download --no-deps -q componentize-py==0.25.1 -d";
    let test = "plugins::authoring::tutorial_in_python_and_a_plugin_with_wasi";
    if !tools::available(&tools::PYTHON, test, &format!("{download} {}", dir.path().join("wheels").display())) {
        return;
    }
    let project = follow_tutorial(dir.path(), "python");
    // An exception of the author's code, in a component without files. What the author prints is dropped.
    let date = "number = int(birth_number)";
    let thrown = format!(
        "{date}\n    print(number)\n    if birth_number == \"620313\":\n        raise RuntimeError(\"no such day\")"
    );
    let broken = "{\"client_id\":1,\"birth_number\":\"620313\"}\n{\"client_id\":2,\"birth_number\":\"450204\"}\n";
    std::fs::write(project.join("broken.jsonl"), broken).unwrap();
    replace(&project.join("mapper.py"), date, &thrown);
    let line = line_of(&project.join("mapper.py"), "no such day");
    let place = format!("mapper.py\", line {line}, in day_of_birth");
    shows_exception(&project, &["RuntimeError: no such day", &place]);
    replace(&project.join("build.py"), "\"--stub-wasi\", ", "");
    // It imports all of WASI, sockets included, and runs. The host denies all access.
    let (out, err) =
        run_script(&project, &format!("sluice plugin build && {RUN} && sluice plugin inspect dist/first.wasm"));
    assert_eq!(out.matches("{\"entityType\":\"counterparties\",").count(), 20, "{out}{err}");
    for said in ["wasi:sockets/", "nothing: every connection is refused", "nothing: there is no file"] {
        assert!(out.contains(said), "{said} is not in:\n{out}");
    }
    let done = bash(&project, &RUN.replace("data/client", "broken"));
    let err = String::from_utf8_lossy(&done.stderr);
    assert_eq!(done.status.code(), Some(2), "{err}");
    for said in ["client, line 1: PLUGIN_PANICKED", "RuntimeError: no such day", &place] {
        assert!(err.contains(said), "{said} is not in:\n{err}");
    }
}
