//! Comparison of the demo's result with the expected counts of the synthetic bank.

use rust_decimal::Decimal;
use serde_json::{Value, json};
use sluice_demo::ExpectedCounts;
use sluice_demo::{SPOIL_KINDS, SpoilOutcome};

use crate::format::{grouped, table};
use crate::migration::run::report::MigrationReport;
use crate::migration::run::report_text::sums;

/// Entity type that the import generates: one record for each agreement, because the bank's agreements have one facility
/// each.
const GENERATED: &str = "payment-administrations";

/// Returns a sentence for each count that differs from the expectation.
pub fn differences(expected: &ExpectedCounts, report: &MigrationReport) -> Vec<String> {
    let mut differences = vec![];
    let mut check = |name: String, expected: u64, found: u64| {
        if expected != found {
            differences.push(format!("{name}: expected {}, found {}", grouped(expected), grouped(found)));
        }
    };
    for table in &expected.tables {
        let tally = report.sources.iter().find(|source| source.source == table.table).map(|source| &source.tally);
        let count = |outcome| tally.map_or(0, |tally| tally.count(outcome));
        let name = table.table;
        check(format!("records of {name}"), table.records, tally.map_or(0, |tally| tally.records));
        check(format!("{name} mapped"), table.records - table.skipped - table.rejected, count("mapped"));
        check(format!("{name} skipped"), table.skipped, count("skipped"));
        check(format!("{name} rejected"), table.rejected, count("rejected"));
    }
    let totals = report.totals();
    for (name, valid, amount) in entities(expected) {
        let total = totals.iter().find(|total| total.entity_type == name);
        check(format!("{name} staged"), valid, total.map_or(0, |total| total.staged));
        check(format!("{name} imported"), valid, total.map_or(0, |total| total.imported));
        let Some(amount) = amount else { continue };
        let sum = total.map(|total| hundredths(&total.imported_sums)).unwrap_or_default();
        check(format!("hundredths of CZK in {name}"), amount, sum);
    }
    for entity in &expected.entities {
        let deleted = report.deleted.iter().find(|deleted| deleted.entity_type == entity.entity_type);
        let deleted = deleted.map_or(0, |deleted| deleted.count);
        check(format!("{} deleted", entity.entity_type), entity.staged - entity.sound, deleted);
    }
    differences
}

/// Returns a table of expected, staged and imported counts.
pub fn totals(expected: &ExpectedCounts, report: &MigrationReport) -> String {
    let entities: Vec<_> = entities(expected).collect();
    let rows = report.totals().into_iter().map(|total| {
        let expected = entities.iter().find(|(name, ..)| *name == total.entity_type);
        let expected = expected.map_or(String::new(), |(_, valid, _)| grouped(*valid));
        let amount = sums(&total.imported_sums);
        vec![total.entity_type, expected, grouped(total.staged), grouped(total.imported), amount]
    });
    table(&["entity type", "expected", "staged", "imported", "amount imported"], rows.collect::<Vec<_>>())
}

/// Returns tables of the spoiled records, with their expected and found outcomes. Returns nothing for a bank without any.
pub fn spoiled_records(expected: &ExpectedCounts, report: &MigrationReport) -> String {
    let spoiled = SPOIL_KINDS.iter().zip(&expected.spoiled).filter(|(_, (_, count))| *count > 0);
    let rows: Vec<Vec<String>> = spoiled
        .map(|((_, name, how, outcome), (_, count))| {
            let expected_outcome = match outcome {
                SpoilOutcome::RejectedAtLoad => "rejected at the upload",
                SpoilOutcome::FoundByValidation => "found by validation",
                SpoilOutcome::Unchanged => "accepted, and staged once",
                SpoilOutcome::SecondRejected => "the second is rejected at the upload",
            };
            vec![(*name).to_owned(), grouped(*count), (*how).to_owned(), expected_outcome.to_owned()]
        })
        .collect();
    if rows.is_empty() {
        return String::new();
    }
    let rejected: u64 = expected.tables.iter().map(|table| table.rejected).sum();
    let invalid: u64 = expected.entities.iter().map(|entity| entity.staged - entity.sound).sum();
    let row = |name: &str, expected: u64, found: u64| vec![name.to_owned(), grouped(expected), grouped(found)];
    let outcomes = [
        row("source records rejected at the upload", rejected, report.refused()),
        row("invalid staged records, and records that refer to them: deleted", invalid, report.deleted()),
    ];
    format!(
        "{}\n{}\n",
        table(&["spoiled", "records", " how", " expected outcome"], rows),
        table(&["", "expected", "found"], outcomes)
    )
}

/// Returns the expectation as part of the JSON document.
pub fn as_json(expected: &ExpectedCounts) -> Value {
    let of_table = |table: &sluice_demo::TableCount| {
        json!({"source": table.table, "records": table.records, "skipped": table.skipped, "rejected": table.rejected,
               "repeated": table.repeated})
    };
    let of_entity = |entity: &sluice_demo::EntityCount| {
        json!({"entityType": entity.entity_type, "staged": entity.staged, "invalid": entity.invalid,
               "imported": entity.sound, "amountImported": Decimal::new(entity.sound_amount as i64, 2).to_string()})
    };
    let spoiled = expected.spoiled.iter().filter(|(_, count)| *count > 0);
    json!({
        "sources": expected.tables.iter().map(of_table).collect::<Vec<_>>(),
        "entityTypes": expected.entities.iter().map(of_entity).collect::<Vec<_>>(),
        "spoiled": spoiled.map(|(way, count)| json!({"way": way, "records": count})).collect::<Vec<_>>(),
    })
}

/// Returns each entity type with the expected number of records and, if it is known, the amount in hundredths.
fn entities(expected: &ExpectedCounts) -> impl Iterator<Item = (&'static str, u64, Option<u64>)> {
    let mapped = expected.entities.iter().map(|entity| (entity.entity_type, entity.sound, Some(entity.sound_amount)));
    let agreements = expected.entity("agreements").map_or(0, |agreements| agreements.sound);
    mapped.chain([(GENERATED, agreements, None)])
}

fn hundredths(sums: &[(String, String)]) -> u64 {
    let amounts = sums.iter().filter_map(|(_, amount)| amount.parse::<Decimal>().ok());
    u64::try_from(amounts.sum::<Decimal>() * Decimal::ONE_HUNDRED).unwrap_or_default()
}
