//! `sluice compare`: compares two mappers on a migration.

use anyhow::{Context, Result};
use clap::Args;
use serde_json::{Value, json};
use sluice_client::{MIGRATIONS_PATH, SluiceClient};
use uuid::Uuid;

use crate::migration::args::{MigrationArgs, SampleArgs};
use crate::migration::job::{INTERRUPTED, run_job};
use crate::migration::result_text;
use crate::output::{OutputArgs, print};

/// Arguments of `sluice compare`.
#[derive(Args)]
pub struct CompareArgs {
    #[command(flatten)]
    migration: MigrationArgs,
    /// SHA-256 of the current mapper
    #[arg(long, value_name = "DIGEST")]
    from: String,
    /// SHA-256 of the mapper to compare with it
    #[arg(long, value_name = "DIGEST")]
    to: String,
    #[command(flatten)]
    sample: SampleArgs,
    /// Print counts and sums only, no records
    #[arg(long)]
    figures: bool,
    #[command(flatten)]
    output: OutputArgs,
}

/// Compares two mappers and returns the exit code.
pub async fn run(args: CompareArgs) -> Result<u8> {
    let client = args.migration.client()?;
    let parameters = json!({"from": args.from, "to": args.to, "sample": args.sample.parameter()});
    compare(&client, args.migration.migration, &parameters, &args.output, args.figures).await
}

/// Runs a comparison, prints its result, and returns the exit code.
pub async fn compare(
    client: &SluiceClient,
    migration: Uuid,
    parameters: &Value,
    output: &OutputArgs,
    figures_only: bool,
) -> Result<u8> {
    let progress = output.progress();
    let Some(result) = run_job(client, progress, migration, "compare", "Comparing", parameters).await? else {
        return Ok(INTERRUPTED);
    };
    let result = result.value;
    print(&if output.json { result_text::as_json(&result)? } else { result_text::comparison(&result) })?;
    if !figures_only && !output.json {
        let id = result["job"].as_str().context("a job has an id")?;
        let path = format!("{MIGRATIONS_PATH}/{migration}/jobs/{id}/differences");
        let print_difference =
            |line: &str| -> Result<()> { print(&result_text::difference(&serde_json::from_str(line)?)) };
        client.stream_lines(&path, print_difference).await?;
    }
    Ok(if result["isSame"] == true { 0 } else { 2 })
}
