//! Runs the commands that the documents print: a test types indented blocks, and no fenced blocks.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::harness::recorded_server::command;
use crate::harness::tools;

/// Guides whose indented blocks run in one shell, in this order: a later guide uses the variables of an earlier one.
const GUIDES: [&str; 11] = [
    "operate/install.md",
    "api/first-migration.md",
    "operate/monitor.md",
    "api/uploads.md",
    "api/jobs.md",
    "operate/access.md",
    "operate/backup.md",
    "operate/plugins.md",
    "api/records.md",
    "audit/trail.md",
    "audit/evidence.md",
];

/// The guide whose indented blocks `plugins/authoring.rs` runs for each language.
const TUTORIAL: &str = "plugins/tutorial.md";

/// The section of the README whose indented block is the beginning of the tutorial's.
const FIRST_PLUGIN: &str = "## A first plugin in five minutes";

/// Returns the folder of the repository.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Reads a page of the book.
fn page(name: &str) -> String {
    let path = root().join("docs").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Returns the lines of the indented blocks of a text, without what is fenced.
fn indented(text: &str) -> String {
    let mut fenced = false;
    let mut typed = String::new();
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if let Some(command) = line.strip_prefix("    ").filter(|_| !fenced) {
            typed.push_str(command);
            typed.push('\n');
        }
    }
    typed
}

/// Returns the commands of the README's section about a first plugin.
fn first_plugin() -> String {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    let (_, after) = readme.split_once(FIRST_PLUGIN).unwrap_or_else(|| panic!("the README has no {FIRST_PLUGIN}"));
    indented(after.split("\n## ").next().unwrap())
}

/// Returns the commands of the tutorial, which begin with the README's.
pub fn tutorial() -> String {
    let (typed, first) = (indented(&page(TUTORIAL)), first_plugin());
    assert!(!first.is_empty() && typed.starts_with(&first), "the tutorial does not begin with the README's:\n{first}");
    typed
}

#[test]
fn commands_of_the_guides_succeed() {
    if !tools::available(&tools::CURL, "documents::commands::commands_of_the_guides_succeed", "curl --version") {
        return;
    }
    let typed: String = GUIDES.iter().map(|guide| indented(&page(guide))).collect();
    // As in a clone, the command is in target/debug.
    let dir = tempfile::tempdir().unwrap();
    let commands = command();
    std::fs::create_dir(dir.path().join("target")).unwrap();
    std::os::unix::fs::symlink(commands.parent().unwrap(), dir.path().join("target/debug")).unwrap();
    // A free port: another process may use the printed one.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
    let script = format!("set -euo pipefail\ntrap 'kill $(jobs -p)' EXIT\n{}", typed.replace("8080", &port));
    let run = Command::new("bash").args(["-c", &script]).current_dir(dir.path()).output().unwrap();
    let (said, log) = (String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
    assert!(run.status.success(), "{said}\n{log}");
    for (expected, times) in [
        (r#""isSuccessful":true"#, 2),
        (r#""state":"succeeded""#, 3),
        ("sluice_jobs_total{kind=\"import\",state=\"succeeded\"} 1", 1),
        ("Its secret, shown this once", 2),
        ("event: log", 5),
        ("backups/monday is a whole backup of ./sluice-data", 1),
        ("backups/monday is whole", 1),
        ("restored is restored from backups/monday", 1),
        ("The keys here open everything", 3),
    ] {
        assert!(said.matches(expected).count() >= times, "{expected} {times} times in:\n{said}\n{log}");
    }
}

/// Every guide of the list has commands, and no other page has an indented block, which would not be tested.
#[test]
fn every_indented_block_is_in_a_tested_guide() {
    for guide in GUIDES.iter().chain(&[TUTORIAL]) {
        assert!(!indented(&page(guide)).is_empty(), "{guide} has no commands");
    }
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    assert_eq!(indented(&readme), first_plugin(), "the README has an indented block outside {FIRST_PLUGIN}");
    let mut folders = vec![root().join("docs")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let name = path.strip_prefix(root().join("docs")).unwrap().to_str().unwrap();
            if !name.ends_with(".md") || name == TUTORIAL || GUIDES.contains(&name) {
                continue;
            }
            let typed = indented(&std::fs::read_to_string(&path).unwrap());
            assert!(typed.is_empty(), "docs/{name} has commands that no test types:\n{typed}");
        }
    }
}
