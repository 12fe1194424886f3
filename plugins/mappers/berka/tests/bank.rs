//! Mapping of the real, anonymised bank. The test is skipped if the data is not on this machine.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

use rust_decimal::Decimal;
use serde_json::Value;
use sluice_mapper_berka::Berka;
use sluice_sdk::harness::{Harness, Mapped};

/// Expected result for a table: table, number of skipped records, entity type, number of produced records, path of an
/// amount, sum of the amounts.
type Line = (&'static str, usize, &'static str, usize, &'static str, &'static str);

const EXPECTED: &[Line] = &[
    ("district", 77, "", 0, "", "0"),
    ("client", 0, "counterparties", 5_369, "", "0"),
    ("account", 4_500, "", 0, "", "0"),
    ("disp", 5_369, "", 0, "", "0"),
    ("card", 892, "", 0, "", "0"),
    ("loan", 0, "agreements", 682, "/facilities/0/amount/amount", "103261740"),
    ("order", 5_754, "debit-mandates", 717, "/amount/amount", "3035184.5"),
    ("trans", 48_979, "repayments", 123, "/amount/amount", "483565.80"),
];

#[test]
fn maps_the_whole_bank() {
    let shared = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../../shared");
    let named = env::var_os("SLUICE_BERKA").map(PathBuf::from);
    let expected = named.is_some() || shared.is_dir();
    let folder = named.unwrap_or_else(|| shared.join("data/berka"));
    if !folder.is_dir() {
        let required = expected && env::var("SLUICE_REQUIRE_ALL").is_ok_and(|value| value == "1");
        assert!(!required, "the Berka tables are not in {}; set SLUICE_BERKA to their folder", folder.display());
        return list_skipped();
    }
    let harness = Harness::new();
    let mut agreements = vec![];
    for &(table, skipped, entity_type, produced, path, sum) in EXPECTED {
        let lines = fs::read_to_string(folder.join(table).with_extension("jsonl")).expect("a table");
        let mapped = harness.map::<Berka>(table, &lines);
        harness.load(table, &lines);
        assert_eq!(mapped.issues(), [""; 0], "{table}");
        assert_eq!(mapped.skipped().iter().map(|(_, positions)| positions.len()).sum::<usize>(), skipped, "{table}");
        assert_eq!(count(&mapped), produced, "{table}");
        let records = mapped.records(entity_type);
        assert_eq!(records.len(), produced, "{table}");
        assert_eq!(total(&records, path), sum.parse().expect("a sum"), "{table}");
        match entity_type {
            "counterparties" => assert_eq!(women(&lines), 2_645),
            "agreements" => agreements = texts(&records, "referenceId"),
            "debit-mandates" => {
                let referred = texts(&records, "agreementReferenceId");
                assert_eq!(referred.iter().filter(|id| !agreements.contains(id)).count(), 35);
            }
            _ => {}
        }
    }
}

/// Appends the test to the list of skipped tests, which `scripts/skipped.sh` reads after `make test`.
fn list_skipped() {
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("skipped.tsv");
    let mut list = fs::OpenOptions::new().create(true).append(true).open(file).expect("the list of skipped tests");
    let line = "bank::maps_the_whole_bank\tthe Berka tables\tSLUICE_BERKA names no folder with them\n";
    list.write_all(line.as_bytes()).expect("a written line");
}

/// Returns the number of produced records.
fn count(mapped: &Mapped) -> usize {
    mapped.made.produced.iter().map(|produced| produced.origins.len()).sum()
}

/// Returns the sum of the amounts at `path`.
fn total(records: &[Value], path: &str) -> Decimal {
    let amounts = records.iter().filter(|_| !path.is_empty()).map(|record| record.pointer(path).expect("an amount"));
    amounts.map(|amount| amount.to_string().parse::<Decimal>().expect("a number")).sum()
}

/// Returns the texts in a field.
fn texts(records: &[Value], field: &str) -> Vec<String> {
    records.iter().map(|record| record[field].as_str().expect("text").to_owned()).collect()
}

/// Returns the number of women, according to the birth numbers. The platform's records have no gender.
fn women(clients: &str) -> usize {
    let clients = clients.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    let months =
        clients.map(|client| client["birth_number"].as_str().expect("text")[2..4].parse::<u32>().expect("a month"));
    months.filter(|&month| month > 50).count()
}
