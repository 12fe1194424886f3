//! The smallest mapper on three sample records.

use sluice_mapper_smallest::Smallest;
use sluice_sdk::harness::Harness;

#[test]
fn maps_skips_or_rejects_each_client() {
    let harness = Harness::new();
    let lines = r#"{"client_id": 7, "initials": "E.M.", "name": "Novak"}
                   {"client_id": 8, "initials": "J."}
                   {"client_id": 9, "initials": "K.", "name": "Vesela", "closed": true}"#;
    let mapped = harness.map::<Smallest>("client", lines);
    let people = mapped.records("counterparties");
    assert_eq!(people.len(), 1);
    assert_eq!(people[0]["surname"], "Novak");
    assert_eq!(people[0]["referenceId"], harness.reference_id("counterparties", 7).to_string());
    assert_eq!(mapped.issues(), ["1 error MISSING_REQUIRED_FIELD name"]);
    assert_eq!(mapped.skipped(), [("SMALLEST_CLOSED".to_owned(), vec![2])]);
}
