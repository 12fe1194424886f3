//! Records that framing takes, through a mapper and a domain plugin: neither may fall over, and neither may be silent.

use sluice_domain_counterparties::Counterparties;
use sluice_framing::{Format, Framer, Framing, scan_object};
use sluice_mapper_berka::Berka;
use sluice_sdk::harness::Harness;
use sluice_sdk::prelude::*;

/// As many levels as an upload may have.
const MOST_DEPTH: usize = 64;

/// A mapper that looks at each field of a record at a glance.
struct Glance;

impl Mapper for Glance {
    fn describe() -> Description {
        Description::new("glance", "0.1.0").source("any", &["id"]).code("GLANCED")
    }

    fn map(record: &Record, out: &mut Output) -> Result<(), Finding> {
        let same = |name: &str, value: &str| assert_eq!(record.raw(name), Some(value), "{name} at a glance");
        scan_object(record.body, MOST_DEPTH, same).expect("framing took it");
        out.skip("GLANCED");
        Ok(())
    }
}

/// Checks that a plugin maps, skips or rejects each record that framing accepts.
pub fn check_records(data: &[u8]) {
    let mut framer = Framer::new(Format::JsonLines, 4_096);
    framer.push(data, 100, usize::MAX);
    framer.finish();
    let batch = framer.take_batch();
    let faulty = |place: usize| batch.faults.iter().any(|(of, _)| *of as usize == place);
    let records: Vec<&[u8]> =
        (0..batch.len()).filter(|place| !faulty(*place)).map(|place| batch.record(place)).collect();
    let whole: Vec<&[u8]> =
        records.into_iter().filter(|record| scan_object(record, MOST_DEPTH, |_, _| {}).is_ok()).collect();
    let harness = Harness::new();
    for source in ["client", "account", "loan", "trans", "card"] {
        let mapped = harness.map_records::<Berka>(source, &whole);
        assert!(
            !mapped.issues().iter().any(|issue| issue.contains("NOT_ACCOUNTED_FOR")),
            "nothing is dropped in silence"
        );
    }
    assert!(harness.map_records::<Glance>("any", &whole).issues().is_empty());
    for record in whole {
        let text = std::str::from_utf8(record).expect("framing looked at it");
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
