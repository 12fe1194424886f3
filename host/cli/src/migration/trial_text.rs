//! What trials, comparisons and mapping again came to, for a person.

use std::fmt::Write as _;

use anyhow::Result;
use serde_json::Value;

use crate::migration::report_text::table;
use crate::view::grouped;

/// Reference ids that are shown of each kind; the JSON document has more.
const FIRST: usize = 3;

/// The whole result.
pub fn as_json(result: &Value) -> Result<String> {
    Ok(format!("{}\n", serde_json::to_string_pretty(result)?))
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn word(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Number(number) => grouped(number),
        other => other.to_string(),
    }
}

/// A row of these members.
fn row(value: &Value, members: &[&str]) -> Vec<String> {
    members.iter().map(|member| word(&value[*member])).collect()
}

/// A table under a title; nothing where it has no rows.
fn section(title: &str, headers: &[&str], rows: impl Iterator<Item = Vec<String>>) -> String {
    let rows: Vec<Vec<String>> = rows.collect();
    if rows.is_empty() { String::new() } else { format!("\n{title}\n{}", table(headers, rows)) }
}

/// The first of the ids, or else lines.
fn first(value: &Value) -> String {
    let ids: Vec<String> = items(&value["referenceIds"]).take(FIRST).map(word).collect();
    let lines: Vec<String> = items(&value["lines"]).take(FIRST).map(|line| format!("line {line}")).collect();
    [ids, lines].concat().join(", ")
}

fn sums(value: &Value) -> String {
    let sums = items(&value["sums"]).map(|sum| format!("{} {}", money(&sum["amount"]), word(&sum["currency"])));
    sums.collect::<Vec<_>>().join(", ")
}

fn money(value: &Value) -> String {
    grouped(value.as_str().unwrap_or_default())
}

/// What a trial came to.
pub fn trial(result: &Value) -> String {
    let arriving = items(&result["arriving"]).filter(|of| of["records"] != 0);
    let mut out = section(
        "Would arrive",
        &["entity type", "records", " amount"],
        arriving.map(|of| vec![word(&of["entityType"]), word(&of["records"]), sums(of)]),
    );
    let left_out = result["leftOut"].as_object().into_iter().flatten();
    out += &section(
        "Left out, as validation found errors in them",
        &["entity type", "records"],
        left_out.map(|(name, count)| vec![name.clone(), word(count)]),
    );
    let outcomes = items(&result["sources"]);
    out += &section(
        "Source records",
        &["source", " outcome", " code", "records"],
        outcomes.map(|of| row(of, &["source", "outcome", "code", "count"])),
    );
    out += &section(
        "Issues",
        &["phase", " where", " what", "records", " such as"],
        items(&result["issues"]).map(|of| {
            let what = [word(&of["severity"]), word(&of["code"]), word(&of["rule"])].join(" ");
            vec![word(&of["phase"]), word(&of["entityType"]), what.trim().into(), word(&of["count"]), first(of)]
        }),
    );
    out += &section(
        "Plugins",
        &["plugin", "batches", "records", "seconds", "bytes of memory"],
        items(&result["plugins"]).map(|of| {
            let name = format!("{} {}", word(&of["name"]), word(&of["version"]));
            [vec![name], row(of, &["batches", "records", "seconds", "memoryBytes"])].concat()
        }),
    );
    let steps = items(&result["steps"]).zip(items(&result["estimatedSteps"]));
    out += &section(
        "Time",
        &["step", "seconds", "for all records, about"],
        steps.map(|(step, all)| [row(step, &["step", "seconds"]), row(all, &["seconds"])].concat()),
    );
    if result["sample"].is_object() {
        let (chosen, all) = (word(&result["sample"]["chosen"]), word(&result["recordsInAll"]));
        let _ = writeln!(
            out,
            "\nA sample of {chosen} of {all} records. What they refer to was looked up among those that are staged."
        );
    }
    if result["kept"].is_object() {
        let kept = &result["kept"];
        let _ = writeln!(
            out,
            "\nIts target is kept until {}: {} in the data directory.",
            word(&kept["until"]),
            word(&kept["path"])
        );
    }
    let verdict = match (&result["isValid"], &result["countsAgree"]) {
        (Value::Bool(true), Value::Bool(true)) => "Validation would pass.",
        (Value::Bool(false), _) => {
            "Validation would find errors, and nothing be imported before they are corrected or deleted."
        }
        _ => "Not everything would arrive.",
    };
    out + &format!("\n{verdict} Nothing of the migration was changed.\n")
}

/// What a comparison came to.
pub fn comparison(result: &Value) -> String {
    let types = || items(&result["entityTypes"]);
    let mut out = section(
        "Records",
        &["entity type", "as before", "changed", "added", "removed"],
        types().map(|of| {
            let count = |kind: &str| word(&of[kind]["count"]);
            vec![word(&of["entityType"]), word(&of["unchanged"]), count("changed"), count("added"), count("removed")]
        }),
    );
    let of_types = |member: &'static str| types().flat_map(move |of| items(&of[member]).map(move |item| (of, item)));
    out += &section(
        "Fields that differ",
        &["entity type", " field", "records", " such as"],
        of_types("fields").map(|(of, field)| {
            vec![word(&of["entityType"]), word(&field["field"]), word(&field["count"]), first(field)]
        }),
    );
    let sums = of_types("sums").filter(|(_, sum)| sum["from"] != sum["to"]);
    out += &section(
        "Sums that differ",
        &["entity type", " currency", "from", "to", "difference"],
        sums.map(|(of, sum)| {
            vec![
                word(&of["entityType"]),
                word(&sum["currency"]),
                money(&sum["from"]),
                money(&sum["to"]),
                money(&sum["difference"]),
            ]
        }),
    );
    out += &section(
        "Outcomes and issues that differ",
        &["source", " what", " code", "from", "to"],
        items(&result["codes"]).map(|of| row(of, &["source", "outcome", "code", "from", "to"])),
    );
    let same = result["isSame"] == true;
    out + &format!(
        "\nThe two mappers make {} of {} source records.\n",
        if same { "the same" } else { "something else" },
        word(&result["records"])
    )
}

/// One record that differs, side by side as far as its members do.
pub fn difference(line: &Value) -> String {
    let mut out = format!("\n{} {} {}\n", word(&line["change"]), word(&line["entityType"]), word(&line["referenceId"]));
    if let (Some(from), Some(to)) = (line["from"].as_object(), line["to"].as_object()) {
        let names: std::collections::BTreeSet<&String> = from.keys().chain(to.keys()).collect();
        for name in names.into_iter().filter(|name| from.get(*name) != to.get(*name)) {
            let show = |side: Option<&Value>| side.map_or("nothing".into(), Value::to_string);
            let _ = writeln!(out, "  {name}: {} -> {}", show(from.get(name)), show(to.get(name)));
        }
    }
    out
}

/// What mapping again came to.
pub fn remapped(result: &Value) -> String {
    let members = ["source", "records", "changed", "mapped", "skipped", "rejected", "quarantined"];
    let out = section("Mapped again", &members, items(&result["sources"]).map(|of| row(of, &members)));
    match result["changed"].as_u64() {
        Some(0) => out + "\nEverything came to the same: nothing was changed.\n",
        _ => out + "\nValidate again before you import: sluice migrate --migration ID goes on from there.\n",
    }
}
