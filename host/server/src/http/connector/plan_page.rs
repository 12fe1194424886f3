//! The plan as an HTML page for the platform's staff: one file that loads nothing else.

use maud::{DOCTYPE, Markup, html};
use serde_json::Value;

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#222}\
    table{border-collapse:collapse;width:100%;margin:1rem 0}th,td{text-align:left;padding:.3rem .6rem;border-bottom:1px solid #ddd}\
    td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}pre{background:#f6f6f6;padding:.6rem;overflow-x:auto}\
    @media print{body{margin:0}}";

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        value => value.to_string(),
    }
}

fn list<'a>(document: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> {
    document[name].as_array().into_iter().flatten()
}

/// Returns a table with these headers and the named members of each row. A name with `#` marks a number.
fn table(headers: &[(&str, &str)], rows: &[&Value]) -> Markup {
    html! {
        table {
            tr { @for (title, name) in headers { th class=[name.starts_with('#').then_some("n")] { (title) } } }
            @for row in rows {
                tr {
                    @for (_, name) in headers {
                        td class=[name.starts_with('#').then_some("n")] { (text(&row[name.trim_start_matches('#')])) }
                    }
                }
            }
        }
    }
}

/// Returns the page of a plan.
pub fn page(plan: &Value) -> String {
    let (best, duration) = (&plan["bestFlow"], &plan["duration"]);
    let volumes: Vec<&Value> = list(plan, "volumes").collect();
    let steps: Vec<&Value> = list(plan, "callsByStep").collect();
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head { meta charset="utf-8"; title { "Migration plan: " (text(&plan["platform"])) } style { (STYLE) } }
            body {
                h1 { "Migration plan: " (text(&plan["platform"])) }
                p { "For " (text(&plan["host"])) ", made " (text(&plan["madeAt"])) " by " (text(&plan["plugin"])) ". "
                    "Values from records are masked." }
                @if let Some(day) = plan["migrateOn"].as_str() {
                    p { "The import is planned for " strong { (day) }
                        @if let Some(rehearsal) = plan["rehearseOn"].as_str() { ", after a rehearsal on " strong { (rehearsal) } } "." }
                } @else if let Some(rehearsal) = plan["rehearseOn"].as_str() {
                    p { "A rehearsal is planned for " strong { (rehearsal) } "." }
                }
                h2 { "Volumes" }
                (table(&[("Records", "entityType"), ("Number", "#records")], &volumes))
                h2 { "Calls" }
                (table(&[("Step", "step"), ("", "method"), ("Path", "path"), ("Calls", "#calls"), ("Saved", "#saved")], &steps))
                p { strong { (text(&plan["calls"])) " calls in all. " }
                    "A call for every step would be " (text(&best["callsWithEveryStep"])) ": "
                    (text(&best["callsSaved"])) " (" (text(&best["savedPercent"])) " %) are saved, which is "
                    (text(&best["savedSeconds"])) " seconds at the agreed rate." }
                @if plan["leftOut"].as_u64() != Some(0) {
                    p { (text(&plan["leftOut"])) " records cannot be planned. The issues of an import list them." }
                }
                h2 { "Duration" }
                p { (text(&duration["seconds"])) " seconds at " (text(&duration["callsPerSecond"])) " calls a second, "
                    (text(&duration["parallelCalls"])) " at the same time: " (text(&duration["days"])) " days of "
                    (text(&duration["hoursADay"])) " hours." }
                @if let Some(window) = duration.get("window") {
                    p { "To fit " (text(&window["hours"])) " hours, " (text(&window["callsPerSecondNeeded"]))
                        " calls a second are needed: " @if window["fits"] == Value::Bool(true) { "it fits." } @else { "it does not fit." } }
                }
                h2 { "Sample calls" }
                @for sample in list(plan, "sampleCalls") {
                    h3 { (text(&sample["step"])) }
                    pre { (text(&sample["method"])) " " (text(&sample["path"])) "\n"
                        @if !sample["body"].is_null() { (serde_json::to_string_pretty(&sample["body"]).unwrap_or_default()) } }
                }
                h2 { "Queries to check the result" }
                @for query in list(plan, "verification") {
                    h3 { (text(&query["query"])) }
                    pre { (text(&query["method"])) " " (text(&query["path"])) "\n" (query.get("body").map(text).unwrap_or_default()) }
                    table {
                        tr { th { "Group" } th class="n" { "Expected" } th { "Sums" } }
                        @for group in list(query, "expected") {
                            tr { td { (text(&group["group"])) } td class="n" { (text(&group["count"])) }
                                td { @for (name, sum) in group["sums"].as_object().into_iter().flatten() { (name) " " (text(sum)) " " } } }
                        }
                    }
                }
                h2 { "What to ask the platform for" }
                ul { @for request in list(plan, "askThePlatform") { li { (text(request)) } } }
                h2 { "Notes" }
                ul { @for note in list(plan, "notes") { li { (text(note)) } } }
            }
        }
    };
    page.into_string()
}
