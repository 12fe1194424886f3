//! The table of codes against the source of `host/`: every code has a definition, and every definition is used.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::Deserialize;

/// Exceptions of the search. `scripts/docs/codes.py` reads them as well.
#[derive(Deserialize)]
struct ScanExceptions {
    words: Vec<String>,
    files: Vec<String>,
}

fn host() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

/// Returns the path of every Rust file below a folder.
fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let (folders, files): (Vec<_>, Vec<_>) = entries.partition(|path| path.is_dir());
    let rust = files.into_iter().filter(|file| file.extension().is_some_and(|extension| extension == "rs"));
    rust.chain(folders.iter().flat_map(|folder| rust_files(folder))).collect()
}

/// Returns the quoted words in capitals of the source, without comments and unit tests.
fn words(exceptions: &ScanExceptions) -> BTreeSet<String> {
    let mut words = BTreeSet::new();
    for file in rust_files(&host()) {
        let name = format!("/{}", file.strip_prefix(host()).unwrap().display());
        if exceptions.files.iter().any(|part| name.contains(part.as_str())) {
            continue;
        }
        let text = std::fs::read_to_string(&file).unwrap();
        let source = text.split("#[cfg(test)]\nmod tests").next().unwrap();
        let lines = source.lines().filter(|line| !line.trim_start().starts_with("//"));
        words.extend(lines.flat_map(|line| line.split('"')).filter(|word| in_capitals(word)).map(str::to_owned));
    }
    words
}

fn in_capitals(word: &str) -> bool {
    let capitals =
        |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
    word.starts_with(|first: char| first.is_ascii_uppercase()) && word.split('_').all(capitals)
}

fn exceptions() -> ScanExceptions {
    toml::from_str(include_str!("../scan.toml")).unwrap()
}

#[test]
fn every_code_of_the_source_has_a_definition() {
    let exceptions = exceptions();
    let is_no_code = |word: &str| {
        exceptions.words.iter().any(|name| match name.strip_suffix('*') {
            Some(beginning) => word.starts_with(beginning),
            None => word == name,
        })
    };
    let words = words(&exceptions);
    let codes = words.iter().filter(|word| word.contains('_') && !is_no_code(word));
    let missing: Vec<&String> = codes.filter(|code| sluice_codes::find(code).is_none()).collect();
    assert!(missing.is_empty(), "add a definition to host/codes/table/ for each of {missing:?}");
}

#[test]
fn every_definition_is_used() {
    let words = words(&exceptions());
    let listed = include_str!("../../../wit/codes.txt").lines().filter_map(|line| line.split_whitespace().next());
    let listed: BTreeSet<&str> = listed.collect();
    let is_used = |code: &str| words.contains(code) || listed.contains(code);
    let unused = sluice_codes::all().iter().map(|definition| definition.code.as_str()).filter(|code| !is_used(code));
    let unused: Vec<&str> = unused.collect();
    assert!(unused.is_empty(), "nothing uses these codes: remove them from host/codes/table/: {unused:?}");
}
