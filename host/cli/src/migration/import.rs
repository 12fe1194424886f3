//! `sluice import`: imports a validated migration, or shows what an import would generate and remove.

use anyhow::Result;
use clap::Args;
use serde_json::{Value, json};
use sluice_model::JobState;

use crate::format::{grouped, table};
use crate::migration::args::MigrationArgs;
use crate::migration::job::{INTERRUPTED, run_job};
use crate::migration::result_text;
use crate::output::{OutputArgs, print};

/// Arguments of `sluice import`.
#[derive(Args)]
pub struct ImportArgs {
    #[command(flatten)]
    migration: MigrationArgs,
    /// Show what the import would generate and remove, and change nothing
    #[arg(long)]
    preview: bool,
    /// Remove records from the target that were deleted from staging after they were imported
    #[arg(long)]
    remove: bool,
    #[command(flatten)]
    output: OutputArgs,
}

/// Runs the import, prints its result, and returns the exit code.
pub async fn run(args: ImportArgs) -> Result<u8> {
    let (client, migration) = (args.migration.client()?, args.migration.migration);
    let parameters = json!({"preview": args.preview, "remove": args.remove});
    let activity = if args.preview { "Reading" } else { "Importing" };
    let progress = args.output.progress();
    let Some(result) = run_job(&client, progress, migration, "import", activity, &parameters).await? else {
        return Ok(INTERRUPTED);
    };
    print(&if args.output.json {
        result_text::as_json(&result.value)?
    } else if args.preview {
        preview_text(&result.value)
    } else {
        import_text(&result.value, &migration.to_string())
    })?;
    Ok(if result.state == JobState::Succeeded { 0 } else { 2 })
}

fn preview_text(result: &Value) -> String {
    let types = result["byEntityType"].as_object().into_iter().flatten();
    let number = |member: &str, entity_type: &str| match &result[member][entity_type] {
        Value::Null => String::new(),
        number => grouped(number),
    };
    let rows = types.map(|(name, of)| {
        let mut row = vec![name.clone(), grouped(&of["staged"]), grouped(&of["imported"])];
        row.extend(["toGenerate", "generatedToRemove", "toRemove"].map(|member| number(member, name)));
        row
    });
    let headers = ["entity type", "staged", "in the target", "to generate", "generated to remove", "to remove"];
    let mut out = table(&headers, rows);
    out += &referring(result);
    out + "\nNothing was changed. An import generates records, and removes generated ones, on its own. It removes the others \
           with --remove.\n"
}

fn import_text(result: &Value, migration: &str) -> String {
    let number = |member: &str| grouped(&result[member]);
    let mut out = format!(
        "{} new, {} changed, {} unchanged, {} left out.\n",
        number("inserted"),
        number("updated"),
        number("unchanged"),
        number("leftOut")
    );
    out += &by_type("Removed from the target", &result["removed"]);
    let stay = by_type("In the target, and staged no longer", &result["notStaged"]);
    if !stay.is_empty() {
        out += &stay;
        out += &format!("To remove them: sluice import {migration} --remove\n");
    }
    out + &referring(result)
}

/// Returns numbers by entity type under a title, or nothing if there are none.
pub fn by_type(title: &str, numbers: &Value) -> String {
    let rows: Vec<Vec<String>> =
        numbers.as_object().into_iter().flatten().map(|(name, count)| vec![name.clone(), grouped(count)]).collect();
    if rows.is_empty() { String::new() } else { format!("\n{}", table(&[title, "records"], rows)) }
}

/// Returns the records that cannot be removed and those that refer to them, or nothing if there are none.
pub fn referring(result: &Value) -> String {
    let referring = &result["referring"];
    if referring.is_null() {
        return String::new();
    }
    let text = |value: &Value| value.as_str().unwrap_or("(another tenant's)").to_owned();
    let rows = referring["rows"].as_array().into_iter().flatten().map(|row| {
        ["entityType", "referenceId", "referringType", "referringId", "migration"].map(|name| text(&row[name])).to_vec()
    });
    let headers = ["cannot be removed", " record", " referred to by", " record", " of migration"];
    let count = grouped(&referring["count"]);
    format!("\n{}{count} references in all. Nothing was removed.\n", table(&headers, rows))
}
