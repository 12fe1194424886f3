//! The report for a person: what is wrong and what to do, or counts, times, and where to look.

use std::fmt::Write;

use comfy_table::{CellAlignment, LineStyle, Table, TableStyle};

use crate::migration::report::{Report, Total};
use crate::migration::steps::MIGRATIONS;
use crate::view::{counted, grouped};

/// Reference ids shown in all, if they are few, or of each kind of error, if they are many.
const FEW: u64 = 40;
const FIRST: usize = 3;

/// A line below the headers, and no other.
const STYLE: TableStyle = TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─'));

/// A table with numbers to the right, under these headers. The first column is text, and so is every
/// other whose header begins with a blank.
pub fn table(headers: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(STYLE);
    table.set_header(headers.iter().map(|header| header.trim_start()));
    for row in rows {
        table.add_row(row);
    }
    for (index, header) in headers.iter().enumerate().skip(1) {
        if let Some(column) = table.column_mut(index).filter(|_| !header.starts_with(' ')) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    format!("{}\n", table.trim_fmt())
}

/// What a platform says that it has, beside what was to get there.
fn asked(report: &Report) -> String {
    let group = |row: &Vec<String>| row.first().cloned().unwrap_or_default();
    let mut rows = vec![];
    for count in &report.counts {
        let sums = |row: Option<&Vec<String>>| {
            let cells = row.into_iter().flatten().skip(2).zip(count.headers.iter().skip(2));
            cells.map(|(sum, name)| format!("{name} {}", grouped(sum))).collect::<Vec<_>>().join(", ")
        };
        let there = |name: &str| count.imported_rows.iter().find(|row| group(row) == name);
        let mut names: Vec<String> = count.staged_rows.iter().chain(&count.imported_rows).map(group).collect();
        names.sort();
        names.dedup();
        for name in names {
            let staged = count.staged_rows.iter().find(|row| group(row) == name);
            let number = |row: Option<&Vec<String>>| row.and_then(|row| row.get(1)).map_or("0".into(), grouped);
            let title = format!("{} {}", count.r#type, name).trim_end().to_owned();
            rows.push(vec![title, number(staged), number(there(&name)), sums(there(&name))]);
        }
    }
    table(&["what", "expected", "there", " sums there"], rows)
}

/// Counts and sums on both sides.
pub fn totals(report: &Report) -> String {
    if !report.counts.is_empty() && report.totals().is_empty() {
        return asked(report);
    }
    let row = |total: Total| {
        let amounts = match (sums(&total.staged_sums), sums(&total.imported_sums)) {
            (staged, imported) if staged == imported => imported,
            (staged, imported) => format!("{imported}, but staged: {staged}"),
        };
        vec![total.entity_type, grouped(total.staged), grouped(total.imported), amounts]
    };
    table(&["entity type", "staged", "imported", "amount imported"], report.totals().into_iter().map(row))
}

/// Sums by currency, in words.
pub fn sums(sums: &[(String, String)]) -> String {
    let words: Vec<String> = sums.iter().map(|(currency, sum)| format!("{} {currency}", grouped(sum))).collect();
    words.join(", ")
}

/// Time of each step, and its pace.
pub fn times(report: &Report) -> String {
    let row = |step: &crate::migration::report::Step| timed(step.step, step.records, step.seconds);
    let uploaded: u64 = report.sources.iter().map(|source| source.tally.records).sum();
    let seconds: f64 = report.steps.iter().map(|step| step.seconds).sum();
    let all = timed("all", uploaded, seconds);
    table(&["step", "records", "seconds", "records a second"], report.steps.iter().map(row).chain([all]))
}

fn timed(step: &str, records: u64, seconds: f64) -> Vec<String> {
    let (mut shown, mut pace) = (String::new(), String::new());
    if records > 0 {
        (shown, pace) = (grouped(records), grouped((records as f64 / seconds.max(f64::EPSILON)) as u64));
    }
    vec![step.into(), shown, format!("{seconds:.2}"), pace]
}

/// Source records that were refused, by source and code, with the first of them.
pub fn refused(report: &Report) -> String {
    let mut out = String::new();
    for source in report.sources.iter().filter(|source| source.tally.refused() > 0) {
        for count in
            source.tally.outcomes.iter().filter(|count| count.outcome == "rejected" || count.outcome == "quarantined")
        {
            let _ = writeln!(out, "  {} · {} {} · {}", source.source, count.outcome, count.code, grouped(count.count));
        }
        for error in &source.tally.first_errors {
            let line = error.line.map(|line| format!("line {line}: ")).unwrap_or_default();
            let field = if error.field.is_empty() { String::new() } else { format!(" in {}", error.field) };
            let _ = writeln!(out, "      {line}{}{field}", error.code);
        }
    }
    out
}

/// What validation found, by kind, with reference ids.
pub fn issues(report: &Report) -> String {
    let all: u64 = report.issues.iter().map(|group| group.count).sum();
    let mut out = String::new();
    for group in &report.issues {
        let rule = group.rule.as_deref().map(|rule| format!(" {rule}")).unwrap_or_default();
        let fields = group.fields.join(", ");
        let _ = writeln!(out, "  {} · {}{rule} · {fields} · {}", group.entity_type, group.code, grouped(group.count));
        let shown = if all <= FEW { FEW as usize } else { FIRST };
        for id in group.reference_ids.iter().take(shown) {
            let _ = writeln!(out, "      {id}");
        }
        let more = group.count.saturating_sub(group.reference_ids.len().min(shown) as u64);
        if more > 0 {
            let _ = writeln!(out, "      and {} more", grouped(more));
        }
    }
    out
}

/// Where the migration stands on its server.
pub fn address(report: &Report) -> String {
    let id = report.reference_id.map(|id| id.to_string()).unwrap_or_default();
    format!("{}{MIGRATIONS}/{id}", report.server)
}

/// What was deleted, in a sentence; nothing if nothing was.
pub fn deleted(report: &Report) -> String {
    if report.deleted.is_empty() {
        return String::new();
    }
    let types: Vec<String> =
        report.deleted.iter().map(|deleted| format!("{} {}", grouped(deleted.count), deleted.entity_type)).collect();
    let all = counted(report.deleted(), "staged record");
    format!("{all} that validation named were deleted and are not imported: {}.\n", types.join(", "))
}
