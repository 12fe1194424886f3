//! `sluice undo`: takes back what the imports of a migration have stored.

use anyhow::Result;
use clap::Args;
use serde_json::{Value, json};
use sluice_model::JobState;

use crate::format::{grouped, table};
use crate::migration::args::MigrationArgs;
use crate::migration::import::{by_type, referring};
use crate::migration::job::{INTERRUPTED, run_job};
use crate::migration::result_text;
use crate::output::{OutputArgs, print};

/// Arguments of `sluice undo`.
#[derive(Args)]
pub struct UndoArgs {
    #[command(flatten)]
    migration: MigrationArgs,
    /// Take it back; without this option the command only lists what it would take back
    #[arg(long)]
    yes: bool,
    /// Roll back only abandoned records of a migration into a platform
    #[arg(long)]
    abandoned: bool,
    #[command(flatten)]
    output: OutputArgs,
}

/// Runs the undo or its preview, prints the result, and returns the exit code.
pub async fn run(args: UndoArgs) -> Result<u8> {
    let client = args.migration.client()?;
    let only = if args.abandoned { "abandoned" } else { "all" };
    let parameters = json!({"preview": !args.yes, "only": only});
    let activity = if args.yes { "Taking back" } else { "Reading" };
    let progress = args.output.progress();
    let migration = args.migration.migration;
    let Some(result) = run_job(&client, progress, migration, "undo", activity, &parameters).await? else {
        return Ok(INTERRUPTED);
    };
    let text = if args.output.json { result_text::as_json(&result.value)? } else { text(&result.value, args.yes) };
    print(&text)?;
    Ok(if result.state == JobState::Succeeded { 0 } else { 2 })
}

fn text(result: &Value, yes: bool) -> String {
    let mut out = String::new();
    for (member, title) in [("undone", "rolled back"), ("wouldUndo", "to roll back")] {
        if let Some(steps) = result[member].as_object() {
            let rows = steps.iter().map(|(step, calls)| vec![step.clone(), grouped(calls)]);
            out += &table(&["step", title], rows);
        }
    }
    if result["withoutStagedRecord"].as_u64().unwrap_or(0) > 0 {
        out += &format!(
            "{} records stay on the platform: they were deleted from staging, so their calls are not known.\n",
            grouped(&result["withoutStagedRecord"])
        );
    }
    out += &by_type("Removed", &result["removed"]);
    out += &by_type("To remove", &result["wouldRemove"]);
    out += &referring(result);
    if !yes {
        out += "\nNothing was changed. To take it back, pass --yes.\n";
    } else if result["removed"].is_object() {
        out += "\nValidate again before you import: `sluice migrate --migration ID` does both.\n";
    }
    out
}
