//! Folders of cases: the input of a mapper and its expected output. `sluice plugin test` reads the same folders.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::{fs, io};

use serde_json::{Map, Value, json};

use super::{Harness, Mapped};
use crate::bindings::types::Severity;
use crate::{Mapper, batch, mapper};

/// Maps every case in `folder` natively and compares the output with the expected output.
///
/// A case is a folder `SOURCE` or `SOURCE.NAME`. Its files are:
///
/// - `input.jsonl`: records of the source.
/// - `expected.jsonl`: the expected records.
/// - `issues.json`: the expected issues and skips, if there are any.
/// - `loaded/OTHER.jsonl`: records of another source that the mapper looks up.
///
/// # Panics
///
/// If a case has another output, or a file cannot be read.
pub fn check_folders<M: Mapper>(folder: impl AsRef<Path>) {
    let folder = folder.as_ref();
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut cases: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
    cases.sort();
    let differences: String = cases.iter().map(|case| difference::<M>(case)).collect();
    assert!(differences.is_empty(), "{differences}");
}

/// Maps a case. Returns a readable description of the difference from the expected output, empty if there is none.
fn difference<M: Mapper>(case: &Path) -> String {
    let name = case.file_name().unwrap_or_default().to_string_lossy();
    let harness = Harness::new();
    for entry in fs::read_dir(case.join("loaded")).into_iter().flatten().flatten() {
        let path = entry.path();
        harness.load(&path.file_stem().unwrap_or_default().to_string_lossy(), &read(&path));
    }
    let input = read(&case.join("input.jsonl"));
    let numbered = input.split('\n').zip(1..).filter(|(line, _)| !line.trim().is_empty());
    let (records, numbers): (Vec<&[u8]>, Vec<u64>) = numbered.map(|(line, number)| (line.as_bytes(), number)).unzip();
    let source = name.split('.').next().unwrap_or_default();
    let mapped = harness.map_records::<M>(source, &records);
    let listed = match read(&case.join("issues.json")) {
        text if text.is_empty() => vec![],
        text => serde_json::from_str(&text).unwrap_or_else(|error| panic!("{name}/issues.json: {error}")),
    };
    let expected: Vec<String> = read(&case.join("expected.jsonl")).lines().map(str::to_owned).collect();
    compare(&format!("{name}: records"), &expected, &lines::<M>(&mapped))
        + &compare(&format!("{name}: issues"), &listed, &issues(&mapped, &numbers))
}

/// Returns the text of a file, empty if the file does not exist.
fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| match error.kind() {
        io::ErrorKind::NotFound => String::new(),
        _ => panic!("{}: {error}", path.display()),
    })
}

/// Returns a readable description of the first difference, empty if there is none.
fn compare<T: PartialEq + std::fmt::Display>(what: &str, expected: &[T], made: &[T]) -> String {
    let common = expected.iter().zip(made).take_while(|(expected, made)| expected == made).count();
    let mut text = String::new();
    if common < expected.len().max(made.len()) {
        let _ = writeln!(
            text,
            "\n{what}: {} are expected, {} were made. The first that differs:",
            expected.len(),
            made.len()
        );
        for (sign, item) in [('-', expected.get(common)), ('+', made.get(common))] {
            let _ = item.map(|item| writeln!(text, "{sign} {item}"));
        }
    }
    text
}

/// Returns the records as lines, grouped by entity type in the order of the description.
fn lines<M: Mapper>(mapped: &Mapped) -> Vec<String> {
    let mut lines = vec![];
    for entity_type in &mapper::driver::describe::<M>().entity_types {
        for produced in mapped.made.produced.iter().filter(|produced| produced.entity_type == *entity_type) {
            let bodies = batch::unpack(&produced.records).map(String::from_utf8_lossy);
            lines.extend(bodies.map(|body| format!("{{\"entityType\":\"{entity_type}\",\"record\":{body}}}")));
        }
    }
    lines
}

/// Returns issues and skips, in the order of the input lines.
fn issues(mapped: &Mapped, numbers: &[u64]) -> Vec<Value> {
    let line = |position: u32| numbers[position as usize];
    let mut entries: Vec<(u64, Value)> = vec![];
    for issue in &mapped.made.issues {
        let severity = match issue.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        let mut object = Map::new();
        object.insert("line".into(), line(issue.position).into());
        object.insert("severity".into(), severity.into());
        object.insert("code".into(), issue.code.clone().into());
        if !issue.field.is_empty() {
            object.insert("field".into(), issue.field.clone().into());
        }
        issue.rule.iter().for_each(|rule| drop(object.insert("rule".into(), rule.clone().into())));
        entries.push((line(issue.position), object.into()));
    }
    for skipped in &mapped.made.skipped {
        let skips = skipped.positions.iter().map(|&position| line(position));
        entries.extend(skips.map(|line| (line, json!({"line": line, "skipped": skipped.code}))));
    }
    let unaccounted = mapped.unaccounted().into_iter().map(line);
    entries.extend(
        unaccounted.map(|line| (line, json!({"line": line, "severity": "error", "code": "NOT_ACCOUNTED_FOR"}))),
    );
    entries.sort_by_key(|(line, _)| *line);
    entries.into_iter().map(|(_, issue)| issue).collect()
}
