//! Test cases of a mapper: a folder with input and expectation, and the result of a run in the sandbox.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::{fs, io};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::value::RawValue;
use sluice_config::UploadLimits;
use sluice_contract::{Context, LookupAnswer, LookupRefusal, MapperDescription, SourceLookup};
use sluice_model::Severity;
use sluice_plugin_host::{AuthorRun, MapperPlugin, run_for_author};

use crate::plugin::difference;

/// A test case.
pub struct TestCase {
    /// Name of its folder.
    pub name: String,
    source: String,
    /// Source records with their line numbers.
    input: Vec<(u64, String)>,
    /// Expected records, as lines.
    expected: Vec<String>,
    /// Expected issues and skips, as lines.
    expected_issues: Vec<String>,
    /// Records that can be looked up, by source.
    loaded: BTreeMap<String, Vec<String>>,
}

impl TestCase {
    /// Reads the case in a folder.
    pub fn read(folder: &Path) -> Result<Self> {
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let source = name.split('.').next().unwrap_or_default().to_owned();
        let input = text(&folder.join("input.jsonl"))?;
        let input: Vec<(u64, String)> = numbered(&input).collect();
        ensure!(!input.is_empty(), "{} has no records in input.jsonl", folder.display());
        let expected = text(&folder.join("expected.jsonl"))?.lines().map(str::to_owned).collect();
        let issues = text(&folder.join("issues.json"))?;
        let issues: Vec<ExpectedIssue> = match issues.trim() {
            "" => vec![],
            text => serde_json::from_str(text)
                .with_context(|| format!("{} is not a list of issues", folder.join("issues.json").display()))?,
        };
        let mut loaded = BTreeMap::new();
        for entry in fs::read_dir(folder.join("loaded")).into_iter().flatten().flatten() {
            let path = entry.path();
            let source = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            loaded.insert(source, numbered(&text(&path)?).map(|(_, line)| line).collect());
        }
        let expected_issues = issues.iter().map(ExpectedIssue::line).collect();
        Ok(Self { name, source, input, expected, expected_issues, loaded })
    }

    /// Maps the case's source records in the sandbox.
    pub fn run(&self, plugin: &Arc<MapperPlugin>, limits: &UploadLimits) -> Result<CaseResult> {
        let known: Vec<&str> = plugin.description.sources.iter().map(|source| &*source.name).collect();
        if !known.contains(&self.source.as_str()) {
            bail!(
                "the name of the case {} does not begin with a source of the mapper: name its folder SOURCE or \
                 SOURCE.NAME. The mapper has: {}",
                self.name,
                known.join(", ")
            );
        }
        let context = Context { migration: b"sluice-test-case".to_vec(), registered_on: "2026-01-31".into() };
        let records: Vec<&[u8]> = self.input.iter().map(|(_, line)| line.as_bytes()).collect();
        let lookup = Arc::new(CaseLookup { tables: self.loaded.clone(), mapper: plugin.description.clone() });
        let rehearsed = run_for_author(plugin, context, &self.source, &records, limits.batch_records, lookup)?;
        Ok(self.result(&plugin.description, rehearsed))
    }

    /// Returns the line number of the record at a position.
    fn line(&self, position: u32) -> u64 {
        self.input[position as usize].0
    }

    fn result(&self, mapper: &MapperDescription, found: AuthorRun) -> CaseResult {
        let mut has_outcome = vec![false; self.input.len()];
        let mut issues = vec![];
        for (position, issue) in &found.issues {
            let is_error = matches!(issue.severity, Severity::Error);
            has_outcome[*position as usize] |= is_error;
            issues.push(ExpectedIssue {
                line: self.line(*position),
                severity: Some(if is_error { "error" } else { "warning" }.into()),
                code: Some(issue.code.to_string()),
                field: Some(issue.field.to_string()).filter(|field| !field.is_empty()),
                rule: issue.rule.as_ref().map(ToString::to_string),
                skipped: None,
            });
        }
        for (position, code) in &found.skipped {
            has_outcome[*position as usize] = true;
            issues.push(ExpectedIssue::skip(self.line(*position), code.to_string()));
        }
        for position in found.records.iter().map(|(_, position, _)| position) {
            has_outcome[*position as usize] = true;
        }
        for position in found.messages.iter().filter_map(|(position, ..)| *position) {
            has_outcome[position as usize] = true;
        }
        let lost = has_outcome.iter().zip(&self.input).filter(|(has_outcome, _)| !**has_outcome);
        issues.extend(lost.map(|(_, (line, _))| ExpectedIssue::lost(*line)));
        issues.sort_by_key(|issue| issue.line);
        let mut records = vec![];
        for entity_type in &mapper.entity_types {
            for (_, position, body) in found.records.iter().filter(|(made, ..)| made == entity_type) {
                let body = String::from_utf8_lossy(body);
                let record = format!("{{\"entityType\":\"{entity_type}\",\"record\":{body}}}");
                records.push((self.line(*position), record));
            }
        }
        let messages = found.messages.into_iter();
        let messages =
            messages.map(|(position, code, text)| (position.map(|position| self.line(position)), code, text));
        CaseResult { records, issues: issues.iter().map(ExpectedIssue::line).collect(), messages: messages.collect() }
    }
}

/// Result of a test case in the sandbox.
pub struct CaseResult {
    /// Records as lines, each with the line number of its source record.
    records: Vec<(u64, String)>,
    issues: Vec<String>,
    /// Messages about records that the mapper failed on, or with an undeclared code: line number, code and text.
    messages: Vec<(Option<u64>, String, String)>,
}

impl CaseResult {
    /// Returns the differences from the expectation as text, empty if there are none.
    pub fn differences(&self, case: &TestCase) -> String {
        let Self { records, issues, .. } = self;
        difference::records(&case.expected, records)
            + &difference::issues(&case.expected_issues, issues)
            + &self.message_lines()
    }

    fn message_lines(&self) -> String {
        let place = |line: &Option<u64>| line.map(|line| format!("line {line} of input.jsonl: ")).unwrap_or_default();
        let messages = self.messages.iter();
        messages
            .map(|(line, code, text)| format!("\n    {}{code}\n      {}", place(line), text.replace('\n', "\n      ")))
            .collect()
    }

    /// Fails if the mapper failed on a record: a failure is never an expectation.
    pub fn check_no_failure(&self, case: &TestCase) -> Result<()> {
        ensure!(
            self.messages.is_empty(),
            "the result of the case {} cannot become its expectation:{}",
            case.name,
            self.message_lines()
        );
        Ok(())
    }

    /// Writes the result to the case's folder as its expectation.
    pub fn write_expectation(&self, folder: &Path) -> Result<()> {
        let lines: String = self.records.iter().map(|(_, record)| format!("{record}\n")).collect();
        fs::write(folder.join("expected.jsonl"), lines)?;
        let file = folder.join("issues.json");
        if self.issues.is_empty() {
            return match fs::remove_file(&file) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.into()),
                _ => Ok(()),
            };
        }
        fs::write(file, format!("[\n  {}\n]\n", self.issues.join(",\n  ")))?;
        Ok(())
    }
}

/// An expected issue or skip in `issues.json`.
#[derive(serde::Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields)]
struct ExpectedIssue {
    line: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    severity: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    code: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    field: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rule: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    skipped: Option<String>,
}

impl ExpectedIssue {
    fn skip(line: u64, code: String) -> Self {
        Self { line, severity: None, code: None, field: None, rule: None, skipped: Some(code) }
    }

    fn lost(line: u64) -> Self {
        let (severity, code) = (Some("error".into()), Some("NOT_ACCOUNTED_FOR".into()));
        Self { line, severity, code, field: None, rule: None, skipped: None }
    }

    fn line(&self) -> String {
        serde_json::to_string(self).expect("strings can be written as JSON")
    }
}

/// Reads the text of a file. A missing file counts as empty.
fn text(path: &Path) -> Result<String> {
    match fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        read => read.with_context(|| format!("cannot read {}", path.display())),
    }
}

/// Returns the lines that are not empty, with their numbers.
fn numbered(text: &str) -> impl Iterator<Item = (u64, String)> {
    let lines = (1..).zip(text.split('\n')).filter(|(_, line)| !line.trim().is_empty());
    lines.map(|(number, line)| (number, line.to_owned()))
}

/// Lookups in the loaded records of a case.
struct CaseLookup {
    tables: BTreeMap<String, Vec<String>>,
    mapper: MapperDescription,
}

impl SourceLookup for CaseLookup {
    fn find(&self, source: &str, field: &str, keys: &[&[u8]], max_bytes: usize) -> Result<LookupAnswer, LookupRefusal> {
        let described = self.mapper.sources.iter().find(|known| *known.name == *source);
        let described = described.ok_or(LookupRefusal::UnknownName)?;
        if described.key.join("+") != field && !described.lookups.iter().any(|known| known == field) {
            return Err(LookupRefusal::UnknownField);
        }
        let lines = self.tables.get(source).map_or(&[][..], Vec::as_slice);
        let loaded: Vec<(String, &String)> =
            lines.iter().filter_map(|line| Some((key_of(line, field)?, line))).collect();
        let mut found = LookupAnswer::default();
        for (index, key) in (0..).zip(keys) {
            let answers = loaded.iter().filter(|(known, _)| known.as_bytes() == *key);
            answers.for_each(|(_, line)| found.push(index, line.as_bytes()));
        }
        if found.bytes.len() > max_bytes { Err(LookupRefusal::TooLarge) } else { Ok(found) }
    }
}

/// Returns the text of a field's value. For several fields, joined by `+`, returns their texts joined by U+001F.
fn key_of(line: &str, field: &str) -> Option<String> {
    let record: BTreeMap<String, Box<RawValue>> = serde_json::from_str(line).ok()?;
    let text = |name: &str| {
        let raw = record.get(name)?.get();
        Some(serde_json::from_str::<String>(raw).unwrap_or_else(|_| raw.to_owned()))
    };
    let parts: Option<Vec<String>> = field.split('+').map(text).collect();
    Some(parts?.join("\u{1f}"))
}
