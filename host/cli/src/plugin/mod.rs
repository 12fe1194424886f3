//! `sluice plugin`: what a plugin's file is and what it would be allowed to do, and what it does to records.

pub mod compare;
pub mod difference;
pub mod new;
pub mod project;
pub mod run;
pub mod store;
pub mod test;
pub mod watch;

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use sluice_config::{Config, PluginLimits};
use sluice_model::World;
use sluice_plugin_host::{Engine, Inspection, inspect};

use crate::migration::report_text::table;
use crate::plugin::compare as plugin_compare;
use crate::plugin::new as plugin_new;
use crate::plugin::run as plugin_run;
use crate::plugin::store as plugin_store;
use crate::plugin::test as plugin_test;
use crate::view::{grouped, print};

/// What `sluice plugin` is told.
#[derive(Args)]
pub struct Plugin {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Make a small complete project: a mapper with sample data, cases and a README of its own
    #[command(after_help = "Example: sluice plugin new my-mapper --lang python")]
    New(plugin_new::New),
    /// Make a project's component, with its language's own tools; what they need is installed into the project's folder
    #[command(after_help = "Example: sluice plugin build my-mapper")]
    Build(plugin_new::Build),
    /// Run a project's cases, natively and in the sandbox, and show what is not as expected
    #[command(
        after_help = "Example: sluice plugin test my-mapper\n\nA case is a folder cases/SOURCE or cases/SOURCE.SOMETHING \
                      with input.jsonl, expected.jsonl, issues.json if anything has to be said, and loaded/OTHER.jsonl for \
                      records that are looked up.\n\nExit codes: 0 all is as expected, 1 something failed, 2 it is not."
    )]
    Test(plugin_test::Test),
    /// Show a plugin's world, sources or entity types, imports, size and digest
    #[command(after_help = "Example: sluice plugin inspect my_mapper.wasm")]
    Inspect {
        /// The WebAssembly component
        file: PathBuf,
        /// One JSON document instead of text
        #[arg(long)]
        json: bool,
        /// Limits (TOML), as a server has them
        #[arg(long, value_name = "FILE", env = "SLUICE_CONFIG")]
        config: Option<PathBuf>,
    },
    /// Map files on this machine, under the limits of a server, and show what comes out
    #[command(
        after_help = "Example: sluice plugin run my_mapper.wasm --source client=client.jsonl\n\nThe records that it makes \
                      go to standard output, an object a line with its entity type; everything else to standard error.\n\n\
                      Exit codes: 0 every record was mapped or skipped, 1 something failed, 2 records were refused."
    )]
    Run(plugin_run::Run),
    /// Compare what two mappers make of the same files, on this machine
    #[command(
        after_help = "Example: sluice plugin compare old.wasm new.wasm --source client=client.jsonl\n\nExit codes: 0 they \
                      make the same, 1 something failed, 2 they differ, 130 interrupted."
    )]
    Compare(plugin_compare::Compare),
    #[command(flatten)]
    Store(plugin_store::StoreVerb),
}

/// Runs it; the exit code.
pub async fn run(args: Plugin) -> Result<u8> {
    let (file, json, config) = match args.verb {
        Verb::Inspect { file, json, config } => (file, json, config),
        Verb::New(args) => return plugin_new::new(&args),
        Verb::Build(args) => return plugin_new::build(&args),
        Verb::Test(args) => return plugin_test::run(&args),
        Verb::Run(args) => return plugin_run::run(args).await,
        Verb::Compare(args) => return plugin_compare::run(args).await,
        Verb::Store(verb) => return plugin_store::run(verb).await,
    };
    let bytes = std::fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
    let limits = config.as_deref().map(Config::read).transpose()?.unwrap_or_default().plugin;
    limits.check()?;
    let engine = Engine::new(limits.clone(), None)?;
    let found = inspect(&engine, &file.display().to_string(), &bytes)?;
    print(&if json { as_json(&found)? } else { as_text(&found, &limits) })?;
    Ok(0)
}

fn as_json(found: &Inspection) -> Result<String> {
    Ok(format!("{}\n", serde_json::to_string_pretty(found)?))
}

fn as_text(found: &Inspection, limits: &PluginLimits) -> String {
    let world = match found.world {
        World::Mapper => "mapper",
        World::Domain => "domain",
    };
    let mut rows = vec![
        ["name", &*found.name].map(str::to_owned),
        ["version", &*found.version].map(str::to_owned),
        ["world", world].map(str::to_owned),
        ["size".into(), format!("{} bytes", grouped(found.bytes))],
        ["digest".into(), format!("sha256:{}", found.digest)],
    ];
    if found.world == World::Mapper {
        let sources = found.sources.iter().map(|source| format!("{} ({})", source.name, source.key.join("+")));
        rows.push(["sources (key)".into(), sources.collect::<Vec<_>>().join("\n")]);
    }
    rows.push(["entity types".into(), found.entity_types.join("\n")]);
    rows.push(["codes of its own".into(), found.codes.join("\n")]);
    rows.push([
        "first run".into(),
        found.breaks.clone().unwrap_or_else(|| "fine, on records without any field".into()),
    ]);
    rows.push(["made with".into(), found.toolchain.join("\n")]);
    let facts = table(&["plugin", " "], rows.into_iter().map(Vec::from));
    let imports = found.imports.iter().map(|import| vec![import.import.clone(), import.allows.to_owned()]);
    let imports = table(&["it imports", " which lets it"], imports);
    let limits = limits.figures().into_iter().map(|(name, value, ..)| vec![name.to_owned(), grouped(value)]);
    format!("{facts}\n{imports}\n{}", table(&["it is limited by", "to"], limits))
}
