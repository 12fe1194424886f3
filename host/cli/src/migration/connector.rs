//! `sluice plan` and `sluice ledger`: what a platform would be called for, what was sent, and what to do where it refused.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use serde::Deserialize;
use serde_json::{Value, json};
use sluice_client::Method;
use sluice_model::JobState;
use uuid::Uuid;

use crate::migration::report_text::table;
use crate::migration::steps::MIGRATIONS;
use crate::migration::trial::{INTERRUPTED, Place, job};
use crate::view::{View, counted, grouped, print};

/// What `sluice plan` is told.
#[derive(Args)]
pub struct Plan {
    #[command(flatten)]
    place: Place,
    /// Hours into which the import has to fit
    #[arg(long, value_name = "HOURS")]
    window_hours: Option<f64>,
    /// Write the plan as a page to hand on
    #[arg(long, value_name = "FILE")]
    page: Option<PathBuf>,
    #[command(flatten)]
    output: crate::commands::Output,
}

/// What is done with a ledger.
#[derive(Subcommand)]
pub enum LedgerVerb {
    /// List the records whose calls were begun, and how they stand
    List {
        #[command(flatten)]
        place: Place,
        /// Only those that stand so: open, waiting, done, failed, abandoned, undone
        #[arg(long)]
        state: Option<String>,
    },
    /// Send the call that failed for a record again, with the next import
    Retry(Decision),
    /// Do without the call that failed for a record, and go on with the next one
    Skip(Decision),
    /// Leave a record as it is
    Abandon(Decision),
    /// Take back what was made, last first
    Undo {
        #[command(flatten)]
        place: Place,
        /// Only what belongs to abandoned records
        #[arg(long)]
        abandoned: bool,
        /// Do it: without this it is only said what would be taken back
        #[arg(long)]
        yes: bool,
    },
}

/// A record that something is decided of.
#[derive(Args)]
pub struct Decision {
    #[command(flatten)]
    place: Place,
    /// What kind of plan it has, such as loans
    kind: String,
    /// Its reference id
    record: Uuid,
}

/// The figures of a plan in a sentence.
pub fn sentence(planned: &Value) -> String {
    let (calls, saved) = (planned["calls"].as_u64().unwrap_or(0), planned["callsSaved"].as_u64().unwrap_or(0));
    let seconds = planned["seconds"].as_f64().unwrap_or(0.0);
    format!("{}, {} saved; at the agreed rate they take {seconds:.1} s", counted(calls, "call"), grouped(saved))
}

/// Plans; the exit code.
pub async fn plan(args: Plan) -> Result<u8> {
    let client = args.place.login.client(&args.place.server)?;
    let view = View::new(args.output.quiet || args.output.json);
    let told = json!({"windowHours": args.window_hours});
    let Some((_, result)) = job(&client, view, args.place.migration, "plan", "Planning", &told).await? else {
        return Ok(INTERRUPTED);
    };
    let path = format!("{MIGRATIONS}/{}/plan", args.place.migration);
    let document: Value = client.get(&path).await?;
    if let Some(file) = &args.page {
        let page = client.page(&path).await?;
        std::fs::write(file, page).with_context(|| format!("cannot write {}", file.display()))?;
        view.line(&format!("The plan as a page: {}", file.display()));
    }
    print(&if args.output.json {
        format!("{}\n", serde_json::to_string_pretty(&document)?)
    } else {
        shown(&document)
    })?;
    Ok(if result["leftOut"] == 0 { 0 } else { 2 })
}

fn shown(plan: &Value) -> String {
    let text = |value: &Value| value.as_str().map_or_else(|| grouped(value), str::to_owned);
    let rows = plan["callsByStep"].as_array().into_iter().flatten().map(|step| {
        let call = format!("{} {}", text(&step["method"]), text(&step["path"]));
        vec![text(&step["step"]), call, text(&step["calls"]), text(&step["saved"])]
    });
    let mut out = table(&["step", " call", "calls", "saved"], rows);
    let (best, duration) = (&plan["bestFlow"], &plan["duration"]);
    out += &format!(
        "\n{} calls; with a call for every step it would be {}. At {} calls a second they take {} seconds.\n",
        text(&plan["calls"]),
        text(&best["callsWithEveryStep"]),
        text(&duration["callsPerSecond"]),
        text(&duration["seconds"]),
    );
    if let Some(window) = duration.get("window") {
        let (hours, needed) = (text(&window["hours"]), text(&window["callsPerSecondNeeded"]));
        out += &format!("To fit {hours} hours, {needed} calls a second are needed.\n");
    }
    if plan["leftOut"] != 0 {
        out += &format!("{} records cannot be planned.\n", text(&plan["leftOut"]));
    }
    out
}

#[derive(Deserialize)]
struct Listing {
    items: Vec<Value>,
    total: u64,
}

/// Looks into a ledger, or decides; the exit code.
pub async fn ledger(verb: LedgerVerb) -> Result<u8> {
    match verb {
        LedgerVerb::List { place, state } => list(&place, state.as_deref()).await,
        LedgerVerb::Retry(decision) => decide(decision, "retry").await,
        LedgerVerb::Skip(decision) => decide(decision, "skip").await,
        LedgerVerb::Abandon(decision) => decide(decision, "abandon").await,
        LedgerVerb::Undo { place, abandoned, yes } => undo(&place, abandoned, yes).await,
    }
}

async fn list(place: &Place, state: Option<&str>) -> Result<u8> {
    let client = place.login.client(&place.server)?;
    let filter = state.map(|state| format!("&state={state}")).unwrap_or_default();
    let (mut rows, mut total) = (vec![], 1);
    while (rows.len() as u64) < total {
        let path = format!("{MIGRATIONS}/{}/ledger?limit=100&offset={}{filter}", place.migration, rows.len());
        let page: Listing = client.get(&path).await?;
        total = page.total;
        if page.items.is_empty() {
            break;
        }
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        rows.extend(page.items.iter().map(|item| {
            ["kind", "referenceId", "state", "step", "code", "calls"]
                .map(|name| if item[name].is_null() { String::new() } else { text(&item[name]) })
                .to_vec()
        }));
    }
    print(&table(&["kind", " record", " state", " step", " code", "calls"], rows))?;
    Ok(0)
}

async fn decide(Decision { place, kind, record }: Decision, decision: &str) -> Result<u8> {
    let client = place.login.client(&place.server)?;
    let path = format!("{MIGRATIONS}/{}/ledger/{kind}/{record}", place.migration);
    let decided: Value = client.send(Method::PUT, &path, &json!({"decision": decision})).await?;
    let state = decided["state"].as_str().unwrap_or_default();
    print(&format!("{kind} {record} is {state}. It counts with the next import.\n"))?;
    Ok(0)
}

async fn undo(place: &Place, abandoned: bool, yes: bool) -> Result<u8> {
    let client = place.login.client(&place.server)?;
    let told = json!({"preview": !yes, "only": if abandoned { "abandoned" } else { "all" }});
    let doing = if yes { "Taking back" } else { "Looking" };
    let Some((state, result)) = job(&client, View::new(false), place.migration, "undo", doing, &told).await? else {
        return Ok(INTERRUPTED);
    };
    let of = if yes { "undone" } else { "wouldUndo" };
    let rows = result[of].as_object().into_iter().flatten().map(|(step, calls)| vec![step.clone(), grouped(calls)]);
    print(&table(&["step", if yes { "taken back" } else { "would be taken back" }], rows))?;
    if !yes {
        print("Nothing was called. To do it, say --yes.\n")?;
    }
    Ok(if state == JobState::Succeeded { 0 } else { 2 })
}
