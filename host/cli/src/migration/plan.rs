//! `sluice plan`: the calls that a platform would receive.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;
use serde_json::{Value, json};
use sluice_client::MIGRATIONS_PATH;

use crate::format::{counted, grouped, table};
use crate::migration::args::MigrationArgs;
use crate::migration::job::{INTERRUPTED, run_job};
use crate::output::{OutputArgs, print};

/// Arguments of `sluice plan`.
#[derive(Args)]
pub struct PlanArgs {
    #[command(flatten)]
    migration: MigrationArgs,
    /// Hours that the import may take
    #[arg(long, value_name = "HOURS")]
    window_hours: Option<f64>,
    /// Day on which the import is to be done, such as 2027-03-27
    #[arg(long, value_name = "DATE")]
    migrate_on: Option<String>,
    /// Day of the rehearsal, such as 2027-02-27
    #[arg(long, value_name = "DATE")]
    rehearse_on: Option<String>,
    /// Write the plan to this file, as an HTML page for others
    #[arg(long, value_name = "FILE")]
    page: Option<PathBuf>,
    #[command(flatten)]
    output: OutputArgs,
}

/// Makes a plan, prints it, and returns the exit code.
pub async fn run(args: PlanArgs) -> Result<u8> {
    let (client, migration) = (args.migration.client()?, args.migration.migration);
    let progress = args.output.progress();
    let (migrate_on, rehearse_on) = (&args.migrate_on, &args.rehearse_on);
    let parameters = json!({"windowHours": args.window_hours, "migrateOn": migrate_on, "rehearseOn": rehearse_on});
    let Some(result) = run_job(&client, progress, migration, "plan", "Planning", &parameters).await? else {
        return Ok(INTERRUPTED);
    };
    let path = format!("{MIGRATIONS_PATH}/{migration}/plan");
    let plan: Value = client.get(&path).await?;
    if let Some(file) = &args.page {
        let page = client.get_html(&path).await?;
        std::fs::write(file, page).with_context(|| format!("cannot write {}", file.display()))?;
        progress.line(&format!("Wrote the plan as a page: {}", file.display()));
    }
    print(&if args.output.json { format!("{}\n", serde_json::to_string_pretty(&plan)?) } else { plan_text(&plan) })?;
    Ok(if result.value["leftOut"] == 0 { 0 } else { 2 })
}

/// Returns the result of a plan job as one sentence.
pub fn sentence(result: &Value) -> String {
    let (calls, saved) = (result["calls"].as_u64().unwrap_or(0), result["callsSaved"].as_u64().unwrap_or(0));
    let seconds = result["seconds"].as_f64().unwrap_or(0.0);
    format!("{}, {} saved; at the agreed rate they take {seconds:.1} s", counted(calls, "call"), grouped(saved))
}

fn plan_text(plan: &Value) -> String {
    let text = |value: &Value| value.as_str().map_or_else(|| grouped(value), str::to_owned);
    let rows = plan["callsByStep"].as_array().into_iter().flatten().map(|step| {
        let call = format!("{} {}", text(&step["method"]), text(&step["path"]));
        vec![text(&step["step"]), call, text(&step["calls"]), text(&step["saved"])]
    });
    let mut out = table(&["step", " call", "calls", "saved"], rows);
    let (best, duration) = (&plan["bestFlow"], &plan["duration"]);
    out += &format!(
        "\n{} calls; with a call for every step there would be {}. At {} calls a second they take {} seconds.\n",
        text(&plan["calls"]),
        text(&best["callsWithEveryStep"]),
        text(&duration["callsPerSecond"]),
        text(&duration["seconds"]),
    );
    if let Some(window) = duration.get("window") {
        let (hours, needed) = (text(&window["hours"]), text(&window["callsPerSecondNeeded"]));
        out += &format!("To finish in {hours} hours, {needed} calls a second are needed.\n");
    }
    for (member, activity) in [("rehearseOn", "Rehearsal"), ("migrateOn", "Import")] {
        if let Some(day) = plan[member].as_str() {
            out += &format!("{activity} on {day}.\n");
        }
    }
    if plan["leftOut"] != 0 {
        out += &format!("{} records cannot be planned.\n", text(&plan["leftOut"]));
    }
    out
}
