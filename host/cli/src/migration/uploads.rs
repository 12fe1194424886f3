//! `sluice uploads`: the uploads of a migration, and withdrawing one.

use anyhow::Result;
use clap::Subcommand;
use serde_json::Value;
use sluice_client::{MIGRATIONS_PATH, PageView};

use crate::format::{counted, table};
use crate::migration::args::MigrationArgs;
use crate::output::print;

/// Verbs of `sluice uploads`.
#[derive(Subcommand)]
pub enum UploadsCommand {
    /// List the uploads with their figures
    List {
        #[command(flatten)]
        migration: MigrationArgs,
    },
    /// Withdraw an upload: remove its records, what was made from them, their issues and its figures
    Withdraw {
        #[command(flatten)]
        migration: MigrationArgs,
        /// Number of the upload
        upload: u32,
    },
}

/// Runs a verb of `sluice uploads` and returns its exit code.
pub async fn run(command: UploadsCommand) -> Result<u8> {
    match command {
        UploadsCommand::List { migration } => list(&migration).await,
        UploadsCommand::Withdraw { migration, upload } => withdraw(&migration, upload).await,
    }
}

async fn list(args: &MigrationArgs) -> Result<u8> {
    let uploads: PageView<Value> = args.client()?.get(&format!("{MIGRATIONS_PATH}/{}/uploads", args.migration)).await?;
    let text = |value: &Value| match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        value => value.to_string(),
    };
    let rows = uploads.items.iter().map(|upload| {
        let figures = &upload["figures"];
        let skipped: u64 = figures["skipped"].as_object().into_iter().flatten().filter_map(|(_, n)| n.as_u64()).sum();
        let skipped = if figures.is_null() { String::new() } else { skipped.to_string() };
        let state = match upload {
            _ if !upload["withdrawnAt"].is_null() => "withdrawn",
            _ if !upload["failure"].is_null() => "failed",
            _ if upload["endedAt"].is_null() => "not ended",
            _ if figures["brokenOff"] == true => "broken off",
            _ if upload["remap"] == true => "remap",
            _ => "",
        };
        let figure = |name: &str| text(&figures[name]);
        vec![
            text(&upload["number"]),
            format!(" {}", text(&upload["stream"])),
            format!(" {state}"),
            figure("records"),
            figure("accepted"),
            skipped,
            figure("rejected"),
            figure("quarantined"),
        ]
    });
    let headers = ["upload", " to", " state", "records", "accepted", "skipped", "rejected", "quarantined"];
    print(&table(&headers, rows))?;
    Ok(0)
}

async fn withdraw(args: &MigrationArgs, upload: u32) -> Result<u8> {
    let path = format!("{MIGRATIONS_PATH}/{}/uploads/{upload}", args.migration);
    let withdrawn: Value = args.client()?.delete(&path).await?;
    let count = |name: &str, noun| counted(withdrawn[name].as_u64().unwrap_or_default(), noun);
    let (records, made) = (count("records", "record"), count("madeRecords", "record"));
    print(&format!("Withdrew upload {upload}: {records} of it and {made} made from them are removed.\n"))?;
    Ok(0)
}
