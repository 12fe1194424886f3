//! `sluice trial`: tries a mapper on a migration without changing the migration.

use anyhow::Result;
use clap::Args;
use serde_json::json;
use sluice_model::JobState;

use crate::migration::args::{MigrationArgs, SampleArgs};
use crate::migration::job::{INTERRUPTED, run_job};
use crate::migration::result_text;
use crate::output::{OutputArgs, print};

/// Arguments of `sluice trial`.
#[derive(Args)]
pub struct TrialArgs {
    #[command(flatten)]
    migration: MigrationArgs,
    /// SHA-256 of the mapper to try [default: the migration's own]
    #[arg(long, value_name = "DIGEST")]
    mapper: Option<String>,
    #[command(flatten)]
    sample: SampleArgs,
    /// Keep the trial's target for this many hours, as an SQLite file that is not encrypted
    #[arg(long, value_name = "HOURS")]
    keep: Option<u64>,
    #[command(flatten)]
    output: OutputArgs,
}

/// Runs a trial, prints its result, and returns the exit code.
pub async fn run(args: TrialArgs) -> Result<u8> {
    let (client, migration) = (args.migration.client()?, args.migration.migration);
    let parameters = json!({"mapper": args.mapper, "sample": args.sample.parameter(), "keepHours": args.keep});
    let progress = args.output.progress();
    let Some(result) = run_job(&client, progress, migration, "trial", "Trying", &parameters).await? else {
        return Ok(INTERRUPTED);
    };
    let text = if args.output.json { result_text::as_json(&result.value)? } else { result_text::trial(&result.value) };
    print(&text)?;
    Ok(if result.state == JobState::Succeeded { 0 } else { 2 })
}
