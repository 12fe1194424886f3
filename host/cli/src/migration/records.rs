//! `sluice records`: prints source records as they were uploaded.

use anyhow::Result;
use clap::Args;
use sluice_client::MIGRATIONS_PATH;

use crate::migration::args::{MigrationArgs, OutcomeArg};
use crate::output::write;

/// Arguments of `sluice records`.
#[derive(Args)]
pub struct RecordsArgs {
    #[command(flatten)]
    migration: MigrationArgs,
    /// Source of the records
    #[arg(long, value_name = "NAME")]
    source: String,
    /// Print only records with this outcome; may be given more than once
    #[arg(long, value_name = "OUTCOME")]
    outcome: Vec<OutcomeArg>,
    /// Print only records whose outcome has this code
    #[arg(long)]
    code: Option<String>,
}

/// Prints the records and returns the exit code.
pub async fn run(args: RecordsArgs) -> Result<u8> {
    let client = args.migration.client()?;
    let mut path = format!("{MIGRATIONS_PATH}/{}/sources/{}/records", args.migration.migration, args.source);
    let outcomes: Vec<&str> = args.outcome.iter().map(|outcome| outcome.name()).collect();
    let filters = [("outcome", (!outcomes.is_empty()).then(|| outcomes.join(","))), ("code", args.code)];
    let query: Vec<String> =
        filters.into_iter().filter_map(|(name, value)| Some(format!("{name}={}", value?))).collect();
    if !query.is_empty() {
        path += &format!("?{}", query.join("&"));
    }
    client.stream(&path, write).await?;
    Ok(0)
}
