//! `sluice plugin run`: maps a file with a mapper, without a server.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::harness::recorded_server::command;

/// A mapper, lines of `client`, the exit code, the surnames of the output, and words of the messages.
type Case = (&'static str, &'static [(u64, bool)], i32, &'static [&'static str], &'static [&'static str]);
const CASES: &[Case] = &[
    ("panics", &[(1, false), (2, false)], 0, &["1", "2"], &["client", "mapped"]),
    (
        "panics",
        &[(1, false), (2, true), (3, false)],
        2,
        &["1", "3"],
        &["quarantined", "client, line 2: PLUGIN_PANICKED", "cannot map client 2", "panics/src/lib.rs:3"],
    ),
    ("unoffered-import", &[(1, false)], 1, &[], &["error: ", "import"]),
];

#[test]
fn prints_records_and_failures_for_the_author() {
    for (guest, clients, code, surnames, said) in CASES {
        let dir = tempfile::tempdir().unwrap();
        let (mapper, file) = (dir.path().join("mapper.wasm"), dir.path().join("client.jsonl"));
        std::fs::write(&mapper, sluice_tests::guest(guest)).unwrap();
        let line = |(id, poison): &(u64, bool)| json!({"client_id": id, "poison": poison}).to_string() + "\n";
        std::fs::write(&file, clients.iter().map(line).collect::<String>()).unwrap();
        let mut run = Command::new(command());
        run.args(["plugin", "run"]).arg(&mapper).arg("--source").arg(format!("client={}", file.display()));
        // Intermediate files are in this folder, and are deleted when the command ends.
        let run = run.env("TMPDIR", dir.path()).output().unwrap();
        let (out, err) = (String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
        assert_eq!(run.status.code(), Some(*code), "{guest}: {out}{err}");
        let made: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let found: Vec<&str> = made.iter().map(|made| made["record"]["surname"].as_str().unwrap()).collect();
        assert_eq!(found, *surnames, "{guest}: {out}{err}");
        for text in *said {
            assert!(err.contains(text), "{guest}: {text} is not in:\n{err}");
        }
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2, "{guest}: the command leaves files");
    }
}

#[test]
fn maps_a_changed_file_again() {
    let dir = tempfile::tempdir().unwrap();
    let (mapper, file) = (dir.path().join("mapper.wasm"), dir.path().join("client.jsonl"));
    std::fs::write(&mapper, sluice_tests::guest("panics")).unwrap();
    std::fs::write(&file, "{\"client_id\":1}\n").unwrap();
    let mut run = Command::new(command());
    run.args(["plugin", "run", "--watch", "--quiet"]).arg(&mapper).arg("--source");
    run.arg(format!("client={}", file.display())).env("TMPDIR", dir.path()).stderr(Stdio::piped());
    let mut running = run.spawn().unwrap();
    let mut lines = BufReader::new(running.stderr.take().unwrap()).lines();
    let mut until = |mark: &str| {
        let mut said = String::new();
        while !said.contains(mark) {
            said += &lines.next().unwrap_or_else(|| panic!("the command ended: {said}")).unwrap();
            said.push('\n');
        }
        said
    };
    let said = until("Waiting for a change of 2 files");
    assert!(said.contains("µs a record, and at most") && said.contains("MiB of memory"), "{said}");
    std::fs::write(&file, "{\"client_id\":1}\n{\"client_id\":2,\"poison\":true}\n").unwrap();
    let said = until("Waiting for a change of 2 files");
    assert!(said.contains("cannot map client 2"), "{said}");
    running.kill().unwrap();
    running.wait().unwrap();
}
