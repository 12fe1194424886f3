//! `sluice remap`: maps a migration's source records again.

use anyhow::Result;
use clap::Args;
use serde_json::{Value, json};

use crate::migration::args::{MigrationArgs, OutcomeArg};
use crate::migration::job::{INTERRUPTED, run_job};
use crate::migration::result_text;
use crate::output::{OutputArgs, print};

/// Arguments of `sluice remap`.
#[derive(Args)]
pub struct RemapArgs {
    #[command(flatten)]
    migration: MigrationArgs,
    /// SHA-256 of the mapper, which becomes the migration's mapper [default: the migration's own]
    #[arg(long, value_name = "DIGEST")]
    mapper: Option<String>,
    /// Map only records with this outcome; may be given more than once
    #[arg(long, value_name = "OUTCOME")]
    only: Vec<OutcomeArg>,
    /// Map only records of this source; may be given more than once
    #[arg(long, value_name = "NAME")]
    source: Vec<String>,
    #[command(flatten)]
    output: OutputArgs,
}

/// Maps the records again, prints the result, and returns the exit code.
pub async fn run(args: RemapArgs) -> Result<u8> {
    let (client, migration) = (args.migration.client()?, args.migration.migration);
    let only: Vec<&str> = args.only.iter().map(|outcome| outcome.name()).collect();
    let mapper = args.mapper.as_deref().map(|mapper| mapper.trim_start_matches("sha256:"));
    let parameters = json!({"mapper": mapper, "only": only, "sources": args.source});
    let progress = args.output.progress();
    let Some(result) = run_job(&client, progress, migration, "remap", "Mapping", &parameters).await? else {
        return Ok(INTERRUPTED);
    };
    let text = if args.output.json { result_text::as_json(&result.value)? } else { result_text::remap(&result.value) };
    print(&text)?;
    let refused = |source: &Value| source["rejected"] != 0 || source["quarantined"] != 0;
    Ok(if result.value["sources"].as_array().is_some_and(|sources| sources.iter().any(refused)) { 2 } else { 0 })
}
