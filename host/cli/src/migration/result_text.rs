//! Results of trials, comparisons and remaps as text.

use std::fmt::Write as _;

use anyhow::Result;
use serde_json::Value;

use crate::format::{grouped, table};

/// Maximum number of reference ids that are shown for a kind. The JSON document has more.
const MAX_IDS: usize = 3;

/// Returns the result as a JSON document.
pub fn as_json(result: &Value) -> Result<String> {
    Ok(format!("{}\n", serde_json::to_string_pretty(result)?))
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Number(number) => grouped(number),
        other => other.to_string(),
    }
}

/// Returns a row with these members of a value.
fn row(value: &Value, members: &[&str]) -> Vec<String> {
    members.iter().map(|member| cell(&value[*member])).collect()
}

/// Returns a table under a title, or nothing if it has no rows.
fn section(title: &str, headers: &[&str], rows: impl Iterator<Item = Vec<String>>) -> String {
    let rows: Vec<Vec<String>> = rows.collect();
    if rows.is_empty() { String::new() } else { format!("\n{title}\n{}", table(headers, rows)) }
}

/// Returns the first reference ids and lines of a kind.
fn examples(value: &Value) -> String {
    let ids: Vec<String> = items(&value["referenceIds"]).take(MAX_IDS).map(cell).collect();
    let lines: Vec<String> = items(&value["lines"]).take(MAX_IDS).map(|line| format!("line {line}")).collect();
    [ids, lines].concat().join(", ")
}

fn sums(value: &Value) -> String {
    let sums = items(&value["sums"]).map(|sum| format!("{} {}", money(&sum["amount"]), cell(&sum["currency"])));
    sums.collect::<Vec<_>>().join(", ")
}

fn money(value: &Value) -> String {
    grouped(value.as_str().unwrap_or_default())
}

/// Returns the result of a trial as text.
pub fn trial(result: &Value) -> String {
    let arriving = items(&result["arriving"]).filter(|of| of["records"] != 0);
    let mut out = fates(&result["records"]);
    out += &section(
        "Would arrive",
        &["entity type", "records", " amount"],
        arriving.map(|of| vec![cell(&of["entityType"]), cell(&of["records"]), sums(of)]),
    );
    let left_out = result["leftOut"].as_object().into_iter().flatten();
    out += &section(
        "Left out because of validation errors",
        &["entity type", "records"],
        left_out.map(|(name, count)| vec![name.clone(), cell(count)]),
    );
    let outcomes = items(&result["sources"]);
    out += &section(
        "Source records",
        &["source", " outcome", " code", "records"],
        outcomes.map(|of| row(of, &["source", "outcome", "code", "count"])),
    );
    out += &section(
        "Issues",
        &["phase", " type", " issue", " field", "records", " examples"],
        items(&result["issues"]).map(|of| {
            let issue = [cell(&of["severity"]), cell(&of["code"]), cell(&of["rule"])].join(" ");
            let fields: Vec<String> = items(&of["fields"]).take(MAX_IDS).map(|field| cell(&field["field"])).collect();
            let (phase, entity_type) = (cell(&of["phase"]), cell(&of["entityType"]));
            vec![phase, entity_type, issue.trim().into(), fields.join(", "), cell(&of["count"]), examples(of)]
        }),
    );
    out += &section(
        "Plugins",
        &["plugin", "batches", "records", "seconds", "memory (bytes)"],
        items(&result["plugins"]).map(|of| {
            let name = format!("{} {}", cell(&of["name"]), cell(&of["version"]));
            [vec![name], row(of, &["batches", "records", "seconds", "memoryBytes"])].concat()
        }),
    );
    let steps = items(&result["steps"]).zip(items(&result["estimatedSteps"]));
    out += &section(
        "Time",
        &["step", "seconds", "estimate for all records"],
        steps.map(|(step, all)| [row(step, &["step", "seconds"]), row(all, &["seconds"])].concat()),
    );
    if result["sample"].is_object() {
        let (chosen, all) = (cell(&result["sample"]["chosen"]), cell(&result["recordsInAll"]));
        let _ = writeln!(
            out,
            "\nA sample of {chosen} of {all} records. Records that the sample refers to were looked up in the staging area."
        );
    }
    if result["kept"].is_object() {
        let kept = &result["kept"];
        let _ = writeln!(
            out,
            "\nThe trial's target is kept until {}: {} in the data directory.",
            cell(&kept["until"]),
            cell(&kept["path"])
        );
    }
    let verdict = match (&result["isValid"], &result["countsAgree"]) {
        (Value::Bool(true), Value::Bool(true)) => "Validation would pass.",
        (Value::Bool(false), _) => {
            "Validation would find errors. Nothing is imported until the invalid records are corrected or deleted."
        }
        _ => "Not all records would be imported.",
    };
    out + &format!("\n{verdict} The migration itself is unchanged.\n")
}

/// Returns a sentence that says how many records would arrive, and why the others would not.
fn fates(records: &Value) -> String {
    let reasons = [
        ("skipped", "skipped by the mapper"),
        ("rejected", "rejected"),
        ("quarantined", "quarantined"),
        ("incomplete", "with a record that validation or import refuses"),
    ];
    let lost = reasons.into_iter().filter(|(member, _)| records[*member] != 0);
    let lost: Vec<String> = lost.map(|(member, reason)| format!("{} {reason}", cell(&records[member]))).collect();
    let lost = if lost.is_empty() { String::new() } else { format!(": {}", lost.join(", ")) };
    format!("\n{} of {} records would arrive{lost}.\n", cell(&records["arriving"]), cell(&records["taken"]))
}

/// Returns the result of a comparison as text.
pub fn comparison(result: &Value) -> String {
    let types = || items(&result["entityTypes"]);
    let mut out = section(
        "Records",
        &["entity type", "unchanged", "changed", "added", "removed"],
        types().map(|of| {
            let count = |kind: &str| cell(&of[kind]["count"]);
            vec![cell(&of["entityType"]), cell(&of["unchanged"]), count("changed"), count("added"), count("removed")]
        }),
    );
    let of_types = |member: &'static str| types().flat_map(move |of| items(&of[member]).map(move |item| (of, item)));
    out += &section(
        "Fields that differ",
        &["entity type", " field", "records", " examples"],
        of_types("fields").map(|(of, field)| {
            vec![cell(&of["entityType"]), cell(&field["field"]), cell(&field["count"]), examples(field)]
        }),
    );
    let sums = of_types("sums").filter(|(_, sum)| sum["from"] != sum["to"]);
    out += &section(
        "Sums that differ",
        &["entity type", " currency", "from", "to", "difference"],
        sums.map(|(of, sum)| {
            vec![
                cell(&of["entityType"]),
                cell(&sum["currency"]),
                money(&sum["from"]),
                money(&sum["to"]),
                money(&sum["difference"]),
            ]
        }),
    );
    out += &section(
        "Outcomes and issues that differ",
        &["source", " outcome", " code", "from", "to"],
        items(&result["codes"]).map(|of| row(of, &["source", "outcome", "code", "from", "to"])),
    );
    let same = result["isSame"] == true;
    out + &format!(
        "\nThe two mappers produce {} from {} source records.\n",
        if same { "the same records" } else { "different records" },
        cell(&result["records"])
    )
}

/// Returns one record that differs, with both values of each member that differs.
pub fn difference(line: &Value) -> String {
    let mut out = format!("\n{} {} {}\n", cell(&line["change"]), cell(&line["entityType"]), cell(&line["referenceId"]));
    if let (Some(from), Some(to)) = (line["from"].as_object(), line["to"].as_object()) {
        let names: std::collections::BTreeSet<&String> = from.keys().chain(to.keys()).collect();
        for name in names.into_iter().filter(|name| from.get(*name) != to.get(*name)) {
            let value = |side: Option<&Value>| side.map_or("nothing".into(), Value::to_string);
            let _ = writeln!(out, "  {name}: {} -> {}", value(from.get(name)), value(to.get(name)));
        }
    }
    out
}

/// Returns the result of a remap as text.
pub fn remap(result: &Value) -> String {
    let members = ["source", "records", "changed", "mapped", "skipped", "rejected", "quarantined"];
    let out = section("Mapped again", &members, items(&result["sources"]).map(|of| row(of, &members)));
    match result["changed"].as_u64() {
        Some(0) => out + "\nAll outcomes are the same: nothing was changed.\n",
        _ => out + "\nValidate again before you import: `sluice migrate --migration ID` does both.\n",
    }
}
