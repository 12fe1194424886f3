//! Rules of the architecture that the compiler cannot check, checked in the source.

use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

/// Returns every Rust file below a folder: its path from there, and its text.
fn sources(dir: &Path) -> Vec<(String, String)> {
    let mut files = vec![];
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(dir).unwrap().to_str().unwrap().to_owned();
                files.push((name, std::fs::read_to_string(&path).unwrap()));
            }
        }
    }
    assert!(!files.is_empty(), "no source in {}", dir.display());
    files
}

/// Returns a source without its comments.
fn code(source: &str) -> String {
    source.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

/// Texts, and the only places of `host/` that may contain them. Manifests say which crate may use which library. These
/// rules are about modules in a crate and about single functions.
const ONLY_IN: &[(&str, &[&str])] = &[
    ("axum", &["server/src/http/", "server/src/ingest/"]),
    ("clap", &["cli/"]),
    ("jsonwebtoken", &["server/src/access/"]),
    ("reqwest", &["cli/", "client/", "connector/", "server/src/access/external_issuer.rs"]),
    ("unsafe {", &["plugin-worker/src/component/mod.rs", "plugin-worker/src/walls/"]),
    // The functions that turn text into a word, a sentence or a report: see "Privacy".
    (
        "::from_description(",
        &[
            "model/",
            "contract/",
            "plugin-host/",
            "pipeline/src/import/stages.rs",
            "pipeline/src/reporting/evidence_verify.rs",
        ],
    ),
    (
        "::from_storage(",
        &[
            "model/",
            "catalog/",
            "connector/src/ledger.rs",
            "connector/src/bulk_decision.rs",
            "pipeline/src/load/issue_notes.rs",
            "pipeline/src/reporting/",
            "pipeline/src/validate/mod.rs",
            "server/src/http/uploads/",
        ],
    ),
    ("Message::from_format", &["model/"]),
    // The one function that releases a plugin's own words.
    ("for_quarantine", &["contract/", "plugin-host/", "pipeline/src/quarantine.rs"]),
    ("Defect", &["defects/", "staging/src/journal/", "target/src/load.rs"]),
    // Releases a plugin's own words to its author, on the author's machine.
    ("run_for_author(", &["plugin-host/", "cli/src/plugin/case.rs"]),
];

#[test]
fn guarded_names_occur_only_in_their_modules() {
    for (file, source) in sources(&root().join("host")) {
        for (name, places) in ONLY_IN {
            let named = code(&source).contains(name);
            assert!(!named || places.iter().any(|place| file.starts_with(place)), "{file} names {name}");
        }
    }
}

/// Modules of one crate that may not use a module above them.
const NOT_ABOVE: &[(&str, &[&str])] = &[
    ("server/src/app", &["crate::http", "crate::start"]),
    ("server/src/access", &["crate::http", "crate::start", "crate::app"]),
    ("server/src/http", &["crate::start"]),
];

#[test]
fn modules_do_not_use_modules_above_them() {
    for (file, source) in sources(&root().join("host")) {
        for (below, above) in NOT_ABOVE.iter().filter(|(below, _)| file.starts_with(below)) {
            for module in *above {
                assert!(!code(&source).contains(module), "{file} is below {module} ({below}) and uses it");
            }
        }
    }
}

/// Folders with Rust source of this repository.
const FOLDERS: &[&str] = &["host", "plugins", "tests", "fuzz/targets"];

#[test]
fn every_file_begins_with_its_purpose() {
    for folder in FOLDERS {
        for (file, source) in sources(&root().join(folder)) {
            // The generator writes its own first line; the module above says what the files are for.
            let generated = folder == &"plugins" && file.starts_with("sdk/src/bindings/");
            assert!(generated || source.starts_with("//!"), "{folder}/{file} has no module documentation");
        }
    }
}

#[test]
fn no_test_is_ignored_and_no_work_is_left_open() {
    // The words are in two parts, so that this file does not match.
    let marks = [["#[ig", "nore"], ["to", "do!("], ["unimple", "mented!("], ["FIX", "ME"], ["thread::sl", "eep"]];
    for folder in FOLDERS {
        for (file, source) in sources(&root().join(folder)) {
            for mark in &marks {
                let mark = mark.concat();
                // A unit test that is a plugin worker: others start it.
                let workers = ["server/src/app/test_worker.rs", "plugin-worker/src/walls/drill.rs"];
                let worker = workers.contains(&file.as_str()) && mark.starts_with("#[ig");
                assert!(worker || !code(&source).contains(&mark), "{folder}/{file} has {mark}");
            }
        }
    }
}
