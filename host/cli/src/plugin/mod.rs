//! `sluice plugin`: projects, tests and inspection of plugins on this machine, and plugins on a server.

pub mod case;
pub mod compare;
pub mod difference;
pub mod file_watcher;
pub mod new;
pub mod project;
pub mod registry;
pub mod run;
pub mod test;

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use sluice_config::{Config, PluginLimits};
use sluice_model::World;
use sluice_plugin_host::{Engine, EngineOptions, Inspection, inspect};

use crate::format::{grouped, table};
use crate::output::print;

/// Arguments of `sluice plugin`.
#[derive(Args)]
pub struct PluginArgs {
    #[command(subcommand)]
    command: PluginCommand,
}

#[derive(Subcommand)]
enum PluginCommand {
    /// Create a small complete project: a mapper with sample data, test cases and a README
    #[command(after_help = "Example: sluice plugin new my-mapper --lang python")]
    New(new::NewArgs),
    /// Build a project's component with the tools of its language; dependencies are installed into the project's folder
    #[command(after_help = "Example: sluice plugin build my-mapper")]
    Build(new::BuildArgs),
    /// Run a project's test cases natively and in the sandbox, and show differences from the expectation
    #[command(
        after_help = "Example: sluice plugin test my-mapper\n\nA test case is a folder cases/SOURCE or cases/SOURCE.NAME with \
                      input.jsonl, expected.jsonl, issues.json for expected issues, and loaded/OTHER.jsonl for records \
                      that are looked up.\n\nExit codes: 0 all cases are as expected, 1 something failed, 2 a case is not \
                      as expected."
    )]
    Test(test::TestArgs),
    /// Show a plugin's world, sources or entity types, imports, size and digest
    #[command(after_help = "Example: sluice plugin inspect my_mapper.wasm")]
    Inspect {
        /// The WebAssembly component
        file: PathBuf,
        /// Print one JSON document instead of text
        #[arg(long)]
        json: bool,
        /// Configuration of a server (TOML), for its limits
        #[arg(long, value_name = "FILE", env = "SLUICE_CONFIG")]
        config: Option<PathBuf>,
    },
    /// Map files on this machine under the limits of a server, and print the records
    #[command(
        after_help = "Example: sluice plugin run my_mapper.wasm --source client=client.jsonl\n\nRecords are printed on \
                      standard output, one object a line with its entity type. Everything else is printed on standard \
                      error.\n\nExit codes: 0 every record was mapped or skipped, 1 something failed, 2 records were refused."
    )]
    Run(run::RunArgs),
    /// Compare the records that two mappers produce from the same files, on this machine
    #[command(
        after_help = "Example: sluice plugin compare old.wasm new.wasm --source client=client.jsonl\n\nExit codes: 0 both \
                      produce the same, 1 something failed, 2 they differ, 130 interrupted."
    )]
    Compare(compare::PluginCompareArgs),
    #[command(flatten)]
    Registry(registry::RegistryCommand),
}

/// Runs a verb of `sluice plugin` and returns its exit code.
pub async fn run(args: PluginArgs) -> Result<u8> {
    let (file, json, config) = match args.command {
        PluginCommand::Inspect { file, json, config } => (file, json, config),
        PluginCommand::New(args) => return new::new(&args),
        PluginCommand::Build(args) => return new::build(&args),
        PluginCommand::Test(args) => return test::run(&args),
        PluginCommand::Run(args) => return run::run(args).await,
        PluginCommand::Compare(args) => return compare::run(args).await,
        PluginCommand::Registry(command) => return registry::run(command).await,
    };
    let bytes = std::fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
    let Config { plugin: limits, worker, .. } = config.as_deref().map(Config::read).transpose()?.unwrap_or_default();
    limits.check()?;
    worker.check()?;
    let engine = Engine::new(EngineOptions { plugin: limits.clone(), worker, ..EngineOptions::default() })?;
    let (inspection, _) = inspect(&engine, &file.display().to_string(), None, &bytes)?;
    print(&if json { as_json(&inspection)? } else { as_text(&inspection, &limits) })?;
    Ok(0)
}

fn as_json(inspection: &Inspection) -> Result<String> {
    Ok(format!("{}\n", serde_json::to_string_pretty(inspection)?))
}

fn as_text(inspection: &Inspection, limits: &PluginLimits) -> String {
    let world = match inspection.world {
        World::Mapper => "mapper",
        World::Domain => "domain",
    };
    let mut rows = vec![
        ["name", &*inspection.name].map(str::to_owned),
        ["version", &*inspection.version].map(str::to_owned),
        ["world", world].map(str::to_owned),
        ["size".into(), format!("{} bytes", grouped(inspection.bytes))],
        ["digest".into(), format!("sha256:{}", inspection.digest)],
    ];
    if inspection.world == World::Mapper {
        let sources = inspection.sources.iter().map(|source| format!("{} ({})", source.name, source.key.join("+")));
        rows.push(["sources (key)".into(), sources.collect::<Vec<_>>().join("\n")]);
    }
    rows.push(["entity types".into(), inspection.entity_types.join("\n")]);
    rows.push(["own codes".into(), inspection.codes.join("\n")]);
    rows.push([
        "first run".into(),
        inspection.breaks.clone().unwrap_or_else(|| "succeeded, on records without fields".into()),
    ]);
    rows.push(["built with".into(), inspection.toolchain.join("\n")]);
    let facts = table(&["plugin", " "], rows.into_iter().map(Vec::from));
    let imports = inspection.imports.iter().map(|import| vec![import.import.clone(), import.allows.to_owned()]);
    let imports = table(&["import", " permits"], imports);
    let limits = limits.ranges().into_iter().map(|(name, value, ..)| vec![name.to_owned(), grouped(value)]);
    format!("{facts}\n{imports}\n{}", table(&["limit", "at most"], limits))
}
