//! The rules of ARCHITECTURE.md, held against the source.

use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

/// Every Rust file below a folder, by its path from there.
fn sources(dir: &Path) -> Vec<(String, String)> {
    let mut found = vec![];
    let mut open = vec![dir.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(dir).unwrap().to_str().unwrap().to_owned();
                found.push((name, std::fs::read_to_string(&path).unwrap()));
            }
        }
    }
    assert!(!found.is_empty(), "nothing in {}", dir.display());
    found
}

/// A source without its comments: what it says in words is not what it does.
fn code(source: &str) -> String {
    source.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

/// What may be named only there. `plugin/engine.rs` keeps compiled code in a directory of the host's.
const ONLY_IN: &[(&str, &[&str])] = &[
    ("axum", &["http/"]),
    ("wasmtime", &["plugin/"]),
    ("aws_lc_rs", &["keys/"]),
    ("cap_std", &["staging/", "app.rs", "plugin/engine.rs", "plugin/library.rs"]),
    ("rusqlite", &["target/", "store/", "sql.rs", "sql/", "platform/"]),
    ("clap", &["cli/", "main.rs"]),
    ("reqwest", &["cli/", "access/external.rs", "platform/caller.rs"]),
    ("jsonwebtoken", &["access/"]),
    ("unsafe {", &["plugin/engine.rs"]),
    // The doors by which text becomes a word, a sentence or a report: see "Privacy".
    ("::declared(", &["model/", "plugin/", "pipeline/recount.rs"]),
    ("::kept(", &["model/", "store/", "platform/ledger.rs", "pipeline/counts.rs", "pipeline/provenance.rs"]),
    ("Detail::told", &["model/"]),
    // And the one by which a plugin's own words get out of memory.
    ("for_quarantine", &["plugin/", "pipeline/quarantine.rs"]),
    // What is done wrong on purpose, in a server that is built for that.
    ("Defect", &["defects.rs", "staging/journal.rs", "target/load.rs"]),
    // It hands them to the author, on the author's own machine.
    ("rehearse(", &["plugin/", "cli/plugin_test.rs"]),
];

#[test]
fn what_may_be_named_where() {
    for (file, source) in sources(&root().join("host/src")) {
        for (name, places) in ONLY_IN {
            let named = code(&source).contains(name);
            assert!(!named || places.iter().any(|place| file.starts_with(place)), "{file} names {name}");
        }
    }
}

/// What each part may import, directly: what is downstream is never imported by what is upstream.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("config", &[]),
    ("keys", &["model"]),
    ("audit", &["keys", "model"]),
    ("framing", &[]),
    ("metrics", &["model"]),
    ("access", &["config", "keys", "model", "store"]),
    ("defects", &[]),
    ("staging", &["defects", "framing", "keys"]),
    ("plugin", &["config", "model"]),
    ("sql", &[]),
    ("target", &["config", "defects", "framing", "model", "plugin", "sql"]),
    ("store", &["audit", "keys", "model", "sql"]),
    ("platform", &["config", "framing", "model", "plugin", "sql", "target"]),
    ("pipeline", &["audit", "config", "framing", "keys", "model", "platform", "plugin", "staging", "store", "target"]),
    ("jobs", &["audit", "keys", "metrics", "model", "pipeline", "staging", "store"]),
    (
        "app",
        &[
            "access", "audit", "config", "http", "jobs", "keys", "metrics", "model", "pipeline", "platform", "plugin",
            "sql", "staging", "store", "target",
        ],
    ),
    (
        "http",
        &[
            "access", "app", "audit", "config", "framing", "jobs", "keys", "model", "pipeline", "platform", "plugin",
            "staging", "store", "target",
        ],
    ),
    ("backup", &["app", "audit", "keys", "model", "platform", "sql", "staging", "store", "target"]),
    ("demo", &[]),
    ("cli", &["access", "app", "audit", "backup", "config", "demo", "keys", "model", "pipeline", "plugin", "store"]),
];

#[test]
fn one_direction() {
    for (file, source) in sources(&root().join("host/src")) {
        let part = file.split(['/', '.']).next().unwrap();
        if part == "lib" || part == "main" {
            continue;
        }
        let (_, allowed) = MAY_IMPORT.iter().find(|(name, _)| *name == part).unwrap_or_else(|| panic!("{part} is new"));
        // The command imports the library by its name.
        for import in code(&source).replace("sluice::", "crate::").split("crate::").skip(1) {
            let imported = import.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap();
            assert!(imported == part || allowed.contains(&imported), "{file} imports {imported}");
        }
    }
}

/// The fuzz targets are built of some parts, by their paths: those may import no other, or `make fuzz` does not build.
#[test]
fn what_is_fuzzed_stands_alone() {
    let targets = std::fs::read_to_string(root().join("fuzz/src/lib.rs")).unwrap();
    let included =
        |part: &str| targets.contains(&format!("mod {part};")) || targets.contains(&format!("mod {part} {{"));
    for (part, allowed) in MAY_IMPORT.iter().filter(|(part, _)| targets.contains(&format!("host/src/{part}"))) {
        for imported in *allowed {
            assert!(included(imported), "{part} imports {imported}, which fuzz/src/lib.rs does not include");
        }
    }
}

/// Folders of Rust in the workspace that people read.
const FOLDERS: &[&str] = &["host", "plugins", "tests", "fuzz/src", "fuzz/targets"];

/// Lines beyond which a file is asking to be two.
const MOST_LINES: usize = 400;

#[test]
fn every_file_is_one_sentence_and_not_too_long() {
    for folder in FOLDERS {
        for (file, source) in sources(&root().join(folder)) {
            assert!(source.starts_with("//!"), "{folder}/{file} does not say what it is");
            let lines = source.lines().count();
            assert!(lines <= MOST_LINES, "{folder}/{file} has {lines} lines");
        }
    }
}

#[test]
fn nothing_is_ignored_or_left_unfinished() {
    // Put together here, so that this file does not find itself.
    let marks = [["#[ig", "nore"], ["to", "do!("], ["unimple", "mented!("], ["FIX", "ME"], ["thread::sl", "eep"]];
    for folder in FOLDERS {
        for (file, source) in sources(&root().join(folder)) {
            for mark in &marks {
                let mark = mark.concat();
                // The engine's clock is the one thing that has to tick.
                let clock = file == "src/plugin/engine.rs" && mark.starts_with("thread");
                assert!(clock || !code(&source).contains(&mark), "{folder}/{file} has {mark}");
            }
        }
    }
}
