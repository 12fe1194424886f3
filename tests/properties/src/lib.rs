//! A property of records that framing accepts: a mapper and a domain plugin neither panic at them nor ignore them.

use sluice_domain_counterparties::Counterparties;
use sluice_framing::{Framing, JsonFormat, JsonFramer, scan_object};
use sluice_mapper_berka::Berka;
use sluice_sdk::harness::Harness;
use sluice_sdk::prelude::*;

/// Maximum nesting of a record.
const MAX_DEPTH: usize = 64;

/// A mapper that compares the raw fields of a record with those that framing scans.
struct Glance;

impl Mapper for Glance {
    fn describe() -> Description {
        Description::new("glance", "0.1.0").source("any", &["id"]).code("GLANCED")
    }

    fn map(record: &Record, out: &mut Output) -> Result<(), Finding> {
        let same = |name: &str, value: &str| assert_eq!(record.raw(name), Some(value), "field {name}");
        scan_object(record.body, MAX_DEPTH, same).expect("framing accepted the record");
        out.skip("GLANCED");
        Ok(())
    }
}

/// Checks that a plugin accepts each record that framing accepts, or reports an issue of it.
pub fn check_records(data: &[u8]) {
    let mut framer = JsonFramer::new(JsonFormat::JsonLines, 4_096);
    framer.push(data, 100, usize::MAX);
    framer.finish(100, usize::MAX);
    let batch = framer.take_batch();
    let is_faulty = |index: usize| batch.faults.iter().any(|(faulty, _)| *faulty as usize == index);
    let records: Vec<&[u8]> =
        (0..batch.len()).filter(|index| !is_faulty(*index)).map(|index| batch.record(index)).collect();
    let valid: Vec<&[u8]> =
        records.into_iter().filter(|record| scan_object(record, MAX_DEPTH, |_, _| {}).is_ok()).collect();
    let harness = Harness::new();
    for source in ["client", "account", "loan", "trans", "card"] {
        let mapped = harness.map_records::<Berka>(source, &valid);
        assert!(
            !mapped.issues().iter().any(|issue| issue.contains("NOT_ACCOUNTED_FOR")),
            "every record has an outcome"
        );
    }
    assert!(harness.map_records::<Glance>("any", &valid).issues().is_empty());
    for record in valid {
        let text = std::str::from_utf8(record).expect("framing checked it");
        let validated = harness.validate::<Counterparties>("counterparties", false, text);
        assert!(!validated.issues.is_empty() || validated.ids != [0; 16], "{text}");
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn seeds_hold() {
        sluice_test_seeds::seeds("records").iter().for_each(|seed| super::check_records(seed));
    }
}
