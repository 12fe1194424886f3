//! `sluice plugin test`: runs a project's test cases natively and in the sandbox.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use clap::Args;
use sluice_config::Config;
use sluice_model::Digest;
use sluice_plugin_host::{Engine, EngineOptions, MapperPlugin};

use crate::format::counted;
use crate::plugin::case::TestCase;
use crate::plugin::project::Project;
use crate::progress::ProgressDisplay;

/// Arguments of `sluice plugin test`.
#[derive(Args)]
pub struct TestArgs {
    /// Folder of the plugin's project
    #[arg(default_value = ".")]
    dir: PathBuf,
    /// Write the produced records and issues to the cases as their expectation; review the change before you commit it
    #[arg(long)]
    bless: bool,
    /// Configuration of a server (TOML), for its limits
    #[arg(long, value_name = "FILE", env = "SLUICE_CONFIG")]
    config: Option<PathBuf>,
}

/// Runs the test cases and returns the exit code.
pub fn run(args: &TestArgs) -> Result<u8> {
    let progress = ProgressDisplay::new(false);
    let project = Project::find(&args.dir)?;
    let folders = case_folders(&args.dir.join("cases"))?;
    let cases = counted(folders.len() as u64, "case");
    let run_natively = || -> Result<bool> {
        progress.line(&format!("{cases} in {}, natively:", project.language.name()));
        project.passes_natively()
    };
    let mut passes_natively = if args.bless { true } else { run_natively()? };
    if !project.is_built() {
        project.build()?;
    }
    let config = args.config.as_deref().map(Config::read).transpose()?.unwrap_or_default();
    let file = project.component();
    let bytes = fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
    let engine =
        Engine::new(EngineOptions { plugin: config.plugin, worker: config.worker, ..EngineOptions::default() })?;
    let plugin = MapperPlugin::new(&engine, &file.display().to_string(), Digest::of(&bytes), &bytes)?;
    progress.line(&format!("{cases} in the sandbox:"));
    let mut different = 0;
    for folder in &folders {
        let case = TestCase::read(folder)?;
        let result = case.run(&plugin, &config.upload)?;
        if args.bless {
            result.check_no_failure(&case)?;
            result.write_expectation(folder)?;
            progress.line(&format!("  {}: written", case.name));
            continue;
        }
        let differences = result.differences(&case);
        different += u64::from(!differences.is_empty());
        let verdict = if differences.is_empty() { " as expected" } else { "" };
        progress.line(&format!("  {}:{verdict}{differences}", case.name));
    }
    if args.bless {
        passes_natively = run_natively()?;
    }
    if different > 0 {
        progress.line(&format!("{} not as expected in the sandbox", counted(different, "case")));
    }
    if !passes_natively {
        progress.line("not all cases are as expected natively: see above");
    }
    Ok(if passes_natively && different == 0 { 0 } else { 2 })
}

/// Returns the folders of the test cases, by name.
fn case_folders(cases: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(cases).with_context(|| format!("cannot read {}", cases.display()))?;
    let mut folders = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    folders.retain(|path| path.is_dir());
    folders.sort();
    ensure!(!folders.is_empty(), "{} has no case: create a folder SOURCE.NAME with input.jsonl", cases.display());
    Ok(folders)
}
