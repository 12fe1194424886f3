//! Parts of the report as text: counts, times, refused records and issues.

use std::fmt::Write;

use sluice_client::MIGRATIONS_PATH;

use crate::format::{counted, grouped, table};
use crate::migration::run::report::{EntityTotal, MigrationReport, StepTime};

/// Maximum number of errors of which all reference ids are shown.
const FEW_ERRORS: u64 = 40;

/// Number of reference ids that are shown for each kind of many errors.
const IDS_PER_KIND: usize = 3;

/// Returns the counts of a platform beside the expected ones.
fn platform_totals(report: &MigrationReport) -> String {
    let group = |row: &Vec<String>| row.first().cloned().unwrap_or_default();
    let mut rows = vec![];
    for count in &report.counts {
        let sums = |row: Option<&Vec<String>>| {
            let cells = row.into_iter().flatten().skip(2).zip(count.headers.iter().skip(2));
            cells.map(|(sum, name)| format!("{name} {}", grouped(sum))).collect::<Vec<_>>().join(", ")
        };
        let imported = |name: &str| count.imported_rows.iter().find(|row| group(row) == name);
        let mut names: Vec<String> = count.staged_rows.iter().chain(&count.imported_rows).map(group).collect();
        names.sort();
        names.dedup();
        for name in names {
            let staged = count.staged_rows.iter().find(|row| group(row) == name);
            let number = |row: Option<&Vec<String>>| row.and_then(|row| row.get(1)).map_or("0".into(), grouped);
            let title = format!("{} {}", count.r#type, name).trim_end().to_owned();
            rows.push(vec![title, number(staged), number(imported(&name)), sums(imported(&name))]);
        }
    }
    table(&["count", "expected", "on the platform", " sums on the platform"], rows)
}

/// Returns the counts and sums of the staging area and of the target.
pub fn totals(report: &MigrationReport) -> String {
    if !report.counts.is_empty() && report.totals().is_empty() {
        return platform_totals(report);
    }
    let row = |total: EntityTotal| {
        let amounts = match (sums(&total.staged_sums), sums(&total.imported_sums)) {
            (staged, imported) if staged == imported => imported,
            (staged, imported) => format!("{imported}, but staged: {staged}"),
        };
        vec![total.entity_type, grouped(total.staged), grouped(total.imported), amounts]
    };
    table(&["entity type", "staged", "imported", "amount imported"], report.totals().into_iter().map(row))
}

/// Formats sums by currency.
pub fn sums(sums: &[(String, String)]) -> String {
    let words: Vec<String> = sums.iter().map(|(currency, sum)| format!("{} {currency}", grouped(sum))).collect();
    words.join(", ")
}

/// Returns the time and the rate of each step.
pub fn times(report: &MigrationReport) -> String {
    let row = |step: &StepTime| time_row(step.step, step.records, step.seconds);
    let uploaded: u64 = report.sources.iter().map(|source| source.tally.records).sum();
    let seconds: f64 = report.steps.iter().map(|step| step.seconds).sum();
    let all = time_row("all", uploaded, seconds);
    table(&["step", "records", "seconds", "records a second"], report.steps.iter().map(row).chain([all]))
}

fn time_row(step: &str, records: u64, seconds: f64) -> Vec<String> {
    let (mut count, mut rate) = (String::new(), String::new());
    if records > 0 {
        (count, rate) = (grouped(records), grouped((records as f64 / seconds.max(f64::EPSILON)) as u64));
    }
    vec![step.into(), count, format!("{seconds:.2}"), rate]
}

/// Returns the refused source records by source and code, with the first errors.
pub fn refused(report: &MigrationReport) -> String {
    let mut out = String::new();
    for source in report.sources.iter().filter(|source| source.tally.refused() > 0) {
        for count in
            source.tally.outcomes.iter().filter(|count| count.outcome == "rejected" || count.outcome == "quarantined")
        {
            let _ = writeln!(out, "  {} · {} {} · {}", source.source, count.outcome, count.code, grouped(count.count));
        }
        for error in &source.tally.first_errors {
            let line = error.place().map(|place| format!("{place}: ")).unwrap_or_default();
            let field = if error.field.is_empty() { String::new() } else { format!(" in {}", error.field) };
            let _ = writeln!(out, "      {line}{}{field}", error.code);
        }
    }
    out
}

/// Returns a sentence about the lines of the tables, or nothing if the counts have none.
pub fn lines(report: &MigrationReport) -> String {
    match report.lines() {
        Some((read, accounted)) => {
            format!("{} read, and {} accounted for.\n", counted(read, "line"), grouped(accounted))
        }
        None => String::new(),
    }
}

/// Returns the validation errors by kind, with reference ids.
pub fn issues(report: &MigrationReport) -> String {
    let all: u64 = report.issues.iter().map(|group| group.count).sum();
    let mut out = String::new();
    for group in &report.issues {
        let rule = group.rule.as_deref().map(|rule| format!(" {rule}")).unwrap_or_default();
        let fields = group.fields.join(", ");
        let _ = writeln!(out, "  {} · {}{rule} · {fields} · {}", group.entity_type, group.code, grouped(group.count));
        let limit = if all <= FEW_ERRORS { FEW_ERRORS as usize } else { IDS_PER_KIND };
        for id in group.reference_ids.iter().take(limit) {
            let _ = writeln!(out, "      {id}");
        }
        let more = group.count.saturating_sub(group.reference_ids.len().min(limit) as u64);
        if more > 0 {
            let _ = writeln!(out, "      and {} more", grouped(more));
        }
    }
    out
}

/// Returns the address of the migration on its server.
pub fn address(report: &MigrationReport) -> String {
    let id = report.reference_id.map(|id| id.to_string()).unwrap_or_default();
    format!("{}{MIGRATIONS_PATH}/{id}", report.server)
}

/// Returns a sentence about deleted records, or nothing if there are none.
pub fn deleted(report: &MigrationReport) -> String {
    if report.deleted.is_empty() {
        return String::new();
    }
    let types: Vec<String> =
        report.deleted.iter().map(|deleted| format!("{} {}", grouped(deleted.count), deleted.entity_type)).collect();
    let all = counted(report.deleted(), "staged record");
    format!("{all} with validation errors were deleted and not imported: {}.\n", types.join(", "))
}
