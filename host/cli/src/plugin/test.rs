//! `sluice plugin test`: a project's cases, natively and in the sandbox.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fs, io};

use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;
use serde_json::value::RawValue;
use sluice_config::{Config, UploadLimits};
use sluice_contract::{Context, Found, LookupRefusal, MapperDescription, SourceLookup};
use sluice_model::{Digest, Severity};
use sluice_plugin_host::{Engine, MapperPlugin, Rehearsed, rehearse};

use crate::plugin::difference;
use crate::plugin::project::Project;
use crate::view::{View, counted};

/// What `sluice plugin test` is told.
#[derive(Args)]
pub struct Test {
    /// The plugin's project
    #[arg(default_value = ".")]
    dir: PathBuf,
    /// Take what comes out for what is expected: look at what that changes before you commit it
    #[arg(long)]
    bless: bool,
    /// Limits (TOML), as a server has them
    #[arg(long, value_name = "FILE", env = "SLUICE_CONFIG")]
    config: Option<PathBuf>,
}

/// Runs it; the exit code.
pub fn run(args: &Test) -> Result<u8> {
    let view = View::new(false);
    let project = Project::find(&args.dir)?;
    let cases = folders(&args.dir.join("cases"))?;
    let natively = || -> Result<bool> {
        view.line(&format!("{} in {}, natively:", counted(cases.len() as u64, "case"), project.language.name()));
        project.passes_natively()
    };
    let native = if args.bless { true } else { natively()? };
    if !project.is_built() {
        project.build()?;
    }
    let config = args.config.as_deref().map(Config::read).transpose()?.unwrap_or_default();
    let file = project.component();
    let bytes = fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
    let engine = Engine::new(config.plugin, None)?;
    let plugin = MapperPlugin::new(&engine, &file.display().to_string(), Digest::of(&bytes), &bytes)?;
    view.line(&format!("{} in the sandbox:", counted(cases.len() as u64, "case")));
    let mut wrong = 0;
    for folder in &cases {
        let case = Case::read(folder)?;
        let outcome = case.map(&plugin, &config.upload)?;
        if args.bless {
            outcome.check_sound(&case)?;
            outcome.keep(folder)?;
            view.line(&format!("  {}: kept", case.name));
            continue;
        }
        let different = outcome.compare(&case);
        wrong += u64::from(!different.is_empty());
        let said = if different.is_empty() { " as expected" } else { "" };
        view.line(&format!("  {}:{said}{different}", case.name));
    }
    let native = if args.bless { natively()? } else { native };
    if wrong > 0 {
        view.line(&format!("{} not as expected in the sandbox", counted(wrong, "case")));
    }
    if !native {
        view.line("natively not all is as expected: see above");
    }
    Ok(if native && wrong == 0 { 0 } else { 2 })
}

/// The folders of cases, by name.
fn folders(cases: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(cases).with_context(|| format!("cannot read {}", cases.display()))?;
    let mut folders = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    folders.retain(|path| path.is_dir());
    folders.sort();
    ensure!(!folders.is_empty(), "there is no case in {}: make a folder SOURCE.NAME with input.jsonl", cases.display());
    Ok(folders)
}

/// One folder of cases.
pub struct Case {
    pub name: String,
    source: String,
    /// Records with the numbers of their lines.
    input: Vec<(u64, String)>,
    /// Lines of records that have to be made.
    pub expected: Vec<String>,
    /// Issues and skips that have to be said, as lines.
    pub expected_issues: Vec<String>,
    /// Loaded records by source.
    loaded: BTreeMap<String, Vec<String>>,
}

impl Case {
    fn read(folder: &Path) -> Result<Self> {
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
                .with_context(|| format!("{} is no list of issues", folder.join("issues.json").display()))?,
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

    fn map(&self, plugin: &Arc<MapperPlugin>, limits: &UploadLimits) -> Result<Outcome> {
        let known: Vec<&str> = plugin.description.sources.iter().map(|source| &*source.name).collect();
        if !known.contains(&self.source.as_str()) {
            bail!(
                "the case {} begins with no source of the mapper's: name its folder SOURCE or SOURCE.SOMETHING. The mapper \
                 has: {}",
                self.name,
                known.join(", ")
            );
        }
        let context = Context { migration: b"sluice-test-case".to_vec(), registered_on: "2026-01-31".into() };
        let records: Vec<&[u8]> = self.input.iter().map(|(_, line)| line.as_bytes()).collect();
        let lookup = Arc::new(Loaded { tables: self.loaded.clone(), mapper: plugin.description.clone() });
        let rehearsed = rehearse(plugin, context, &self.source, &records, limits.batch_records, lookup)?;
        Ok(self.outcome(&plugin.description, rehearsed))
    }

    fn line(&self, position: u32) -> u64 {
        self.input[position as usize].0
    }

    fn outcome(&self, mapper: &MapperDescription, found: Rehearsed) -> Outcome {
        let mut accounted = vec![false; self.input.len()];
        let mut issues = vec![];
        for (position, issue) in &found.issues {
            let error = matches!(issue.severity, Severity::Error);
            accounted[*position as usize] |= error;
            issues.push(ExpectedIssue {
                line: self.line(*position),
                severity: Some(if error { "error" } else { "warning" }.into()),
                code: Some(issue.code.to_string()),
                field: Some(issue.field.to_string()).filter(|field| !field.is_empty()),
                rule: issue.rule.as_ref().map(ToString::to_string),
                skipped: None,
            });
        }
        for (position, code) in &found.skipped {
            accounted[*position as usize] = true;
            issues.push(ExpectedIssue::skip(self.line(*position), code.to_string()));
        }
        for position in found.made.iter().map(|(_, position, _)| position) {
            accounted[*position as usize] = true;
        }
        for position in found.said.iter().filter_map(|(position, ..)| *position) {
            accounted[position as usize] = true;
        }
        let lost = accounted.iter().zip(&self.input).filter(|(accounted, _)| !**accounted);
        issues.extend(lost.map(|(_, (line, _))| ExpectedIssue::lost(*line)));
        issues.sort_by_key(|issue| issue.line);
        let mut records = vec![];
        for entity_type in &mapper.entity_types {
            for (_, position, body) in found.made.iter().filter(|(made, ..)| made == entity_type) {
                let body = String::from_utf8_lossy(body);
                let record = format!("{{\"entityType\":\"{entity_type}\",\"record\":{body}}}");
                records.push((self.line(*position), record));
            }
        }
        let said = found.said.into_iter().map(|(at, code, words)| (at.map(|at| self.line(at)), code, words)).collect();
        Outcome { records, issues: issues.iter().map(ExpectedIssue::line).collect(), said }
    }
}

/// What became of a case in the sandbox.
struct Outcome {
    /// Lines, each with the line of the input that it was made from.
    records: Vec<(u64, String)>,
    issues: Vec<String>,
    /// What the mapper said of records that broke it, or without having declared it.
    said: Vec<(Option<u64>, String, String)>,
}

impl Outcome {
    /// What is not as expected, for reading; empty if nothing.
    fn compare(&self, case: &Case) -> String {
        let Self { records, issues, .. } = self;
        difference::records(&case.expected, records)
            + &difference::issues(&case.expected_issues, issues)
            + &self.said_lines()
    }

    fn said_lines(&self) -> String {
        let place = |line: &Option<u64>| line.map(|line| format!("line {line} of input.jsonl: ")).unwrap_or_default();
        let said = self.said.iter();
        said.map(|(line, code, words)| {
            format!("\n    {}{code}\n      {}", place(line), words.replace('\n', "\n      "))
        })
        .collect()
    }

    /// A mapper that breaks is not what anyone expects.
    fn check_sound(&self, case: &Case) -> Result<()> {
        ensure!(self.said.is_empty(), "the case {} cannot be kept as it is:{}", case.name, self.said_lines());
        Ok(())
    }

    /// Writes down what came out as what is expected.
    fn keep(&self, folder: &Path) -> Result<()> {
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

/// An issue or a skip in `issues.json`.
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
        serde_json::to_string(self).expect("words can be written as JSON")
    }
}

/// The file's text; a file that is not there is empty.
fn text(path: &Path) -> Result<String> {
    match fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        read => read.with_context(|| format!("cannot read {}", path.display())),
    }
}

/// Lines with their numbers, without the empty ones.
fn numbered(text: &str) -> impl Iterator<Item = (u64, String)> {
    let lines = (1..).zip(text.split('\n')).filter(|(_, line)| !line.trim().is_empty());
    lines.map(|(number, line)| (number, line.to_owned()))
}

/// Answers lookups out of a case's loaded records.
struct Loaded {
    tables: BTreeMap<String, Vec<String>>,
    mapper: MapperDescription,
}

impl SourceLookup for Loaded {
    fn find(&self, source: &str, field: &str, keys: &[&[u8]], max_bytes: usize) -> Result<Found, LookupRefusal> {
        let described = self.mapper.sources.iter().find(|known| *known.name == *source);
        let described = described.ok_or(LookupRefusal::UnknownName)?;
        if described.key.join("+") != field && !described.lookups.iter().any(|known| known == field) {
            return Err(LookupRefusal::UnknownField);
        }
        let lines = self.tables.get(source).map_or(&[][..], Vec::as_slice);
        let loaded: Vec<(String, &String)> =
            lines.iter().filter_map(|line| Some((key_of(line, field)?, line))).collect();
        let mut found = Found::default();
        for (index, key) in (0..).zip(keys) {
            let answers = loaded.iter().filter(|(known, _)| known.as_bytes() == *key);
            answers.for_each(|(_, line)| found.push(index, line.as_bytes()));
        }
        if found.bytes.len() > max_bytes { Err(LookupRefusal::TooLarge) } else { Ok(found) }
    }
}

/// The text of the field's value, or of those of the fields joined by `+`.
fn key_of(line: &str, field: &str) -> Option<String> {
    let record: BTreeMap<String, Box<RawValue>> = serde_json::from_str(line).ok()?;
    let text = |name: &str| {
        let raw = record.get(name)?.get();
        Some(serde_json::from_str::<String>(raw).unwrap_or_else(|_| raw.to_owned()))
    };
    let parts: Option<Vec<String>> = field.split('+').map(text).collect();
    Some(parts?.join("\u{1f}"))
}
