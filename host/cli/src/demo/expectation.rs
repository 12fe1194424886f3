//! What must come of the synthetic bank against what came of it.

use rust_decimal::Decimal;
use serde_json::{Value, json};
use sluice_demo::Expected;
use sluice_demo::spoil::{Outcome, WAYS};

use crate::migration::report::Report;
use crate::migration::report_text::{sums, table};
use crate::view::grouped;

/// What is generated at the import, one for each agreement, as the bank's agreements have one facility each.
const GENERATED: &str = "payment-administrations";

/// A sentence for everything that is not as expected.
pub fn differences(expected: &Expected, report: &Report) -> Vec<String> {
    let mut found = vec![];
    let mut check = |what: String, wanted: u64, is: u64| {
        if wanted != is {
            found.push(format!("{what}: expected {}, found {}", grouped(wanted), grouped(is)));
        }
    };
    for table in &expected.tables {
        let tally = report.sources.iter().find(|source| source.source == table.table).map(|source| &source.tally);
        let of = |outcome| tally.map_or(0, |tally| tally.of(outcome));
        let name = table.table;
        check(format!("records of {name}"), table.records, tally.map_or(0, |tally| tally.records));
        check(format!("{name} mapped"), table.records - table.skipped - table.rejected, of("mapped"));
        check(format!("{name} skipped"), table.skipped, of("skipped"));
        check(format!("{name} rejected"), table.rejected, of("rejected"));
    }
    let totals = report.totals();
    for (name, sound, amount) in entities(expected) {
        let total = totals.iter().find(|total| total.entity_type == name);
        check(format!("{name} staged"), sound, total.map_or(0, |total| total.staged));
        check(format!("{name} imported"), sound, total.map_or(0, |total| total.imported));
        let Some(amount) = amount else { continue };
        let sum = total.map(|total| hundredths(&total.imported_sums)).unwrap_or_default();
        check(format!("hundredths of CZK in {name}"), amount, sum);
    }
    for entity in &expected.entities {
        let deleted = report.deleted.iter().find(|deleted| deleted.entity_type == entity.entity_type);
        let deleted = deleted.map_or(0, |deleted| deleted.count);
        check(format!("{} deleted", entity.entity_type), entity.staged - entity.sound, deleted);
    }
    found
}

/// Counts that were expected beside counts that came.
pub fn totals(expected: &Expected, report: &Report) -> String {
    let entities: Vec<_> = entities(expected).collect();
    let rows = report.totals().into_iter().map(|total| {
        let wanted = entities.iter().find(|(name, ..)| *name == total.entity_type);
        let wanted = wanted.map_or(String::new(), |(_, sound, _)| grouped(*sound));
        let amount = sums(&total.imported_sums);
        vec![total.entity_type, wanted, grouped(total.staged), grouped(total.imported), amount]
    });
    table(&["entity type", "expected", "staged", "imported", "amount imported"], rows.collect::<Vec<_>>())
}

/// What was spoiled, what that should have come to, and what it came to; nothing for a sound bank.
pub fn spoiled(expected: &Expected, report: &Report) -> String {
    let spoiled = WAYS.iter().zip(&expected.spoiled).filter(|(_, (_, count))| *count > 0);
    let rows: Vec<Vec<String>> = spoiled
        .map(|((_, name, how, outcome), (_, count))| {
            let fate = match outcome {
                Outcome::RejectedAtLoad => "rejected at the upload",
                Outcome::FoundByValidation => "found by validation",
                Outcome::Unchanged => "accepted, and staged once",
                Outcome::SecondRejected => "the second is rejected at the upload",
            };
            vec![(*name).to_owned(), grouped(*count), (*how).to_owned(), fate.to_owned()]
        })
        .collect();
    if rows.is_empty() {
        return String::new();
    }
    let rejected: u64 = expected.tables.iter().map(|table| table.rejected).sum();
    let lost: u64 = expected.entities.iter().map(|entity| entity.staged - entity.sound).sum();
    let rows_of = |what: &str, wanted: u64, is: u64| vec![what.to_owned(), grouped(wanted), grouped(is)];
    let fates = [
        rows_of("source records rejected at the upload", rejected, report.refused()),
        rows_of("staged records wrong, or referring to what is wrong: deleted", lost, report.deleted()),
    ];
    format!(
        "{}\n{}\n",
        table(&["spoiled", "records", " how", " must be"], rows),
        table(&["", "expected", "found"], fates)
    )
}

/// The expectation as part of the JSON document.
pub fn as_json(expected: &Expected) -> Value {
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

/// Entity types with the number that must be imported, and their amount in hundredths where it is known.
fn entities(expected: &Expected) -> impl Iterator<Item = (&'static str, u64, Option<u64>)> {
    let given = expected.entities.iter().map(|entity| (entity.entity_type, entity.sound, Some(entity.sound_amount)));
    let agreements = expected.entity("agreements").map_or(0, |agreements| agreements.sound);
    given.chain([(GENERATED, agreements, None)])
}

fn hundredths(sums: &[(String, String)]) -> u64 {
    let amounts = sums.iter().filter_map(|(_, amount)| amount.parse::<Decimal>().ok());
    u64::try_from(amounts.sum::<Decimal>() * Decimal::ONE_HUNDRED).unwrap_or_default()
}
