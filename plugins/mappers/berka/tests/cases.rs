//! Cases of one record each: loaded records, input record, expected output.

use serde_json::Value;
use sluice_mapper_berka::Berka;
use sluice_sdk::harness::Harness;

#[test]
fn maps_each_case_as_expected() {
    let differences: Vec<String> = include_str!("cases.jsonl").lines().filter_map(check).collect();
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

/// Runs a case. Returns none if the output is as expected, else a description of the difference.
fn check(line: &str) -> Option<String> {
    let case: Value = serde_json::from_str(line).expect("a case is JSON");
    let harness = Harness::new();
    for (table, records) in case["loaded"].as_object().into_iter().flatten() {
        records.as_array().expect("a list").iter().for_each(|record| {
            harness.load(table, &record.to_string());
        });
    }
    let source = case["source"].as_str().expect("a source");
    let mapped = harness.map::<Berka>(source, &case["record"].to_string());

    let mut actual: Vec<String> = mapped.issues();
    actual.extend(mapped.skipped().into_iter().map(|(code, _)| code));
    for produced in &mapped.made.produced {
        let records = mapped.records(&produced.entity_type);
        actual.extend(records.iter().map(|record| format!("{}: {record}", produced.entity_type)));
    }
    let mut expected: Vec<String> =
        case["issue"].as_str().map(|issue| format!("0 error {issue}")).into_iter().collect();
    expected.extend(case["skipped"].as_str().map(str::to_owned));
    for (entity_type, record) in case["gives"].as_object().into_iter().flatten() {
        expected.push(format!("{entity_type}: {}", with_ids(&harness, record)));
    }
    (actual != expected).then(|| format!("{}\n  actual   {actual:#?}\n  expected {expected:#?}", case["case"]))
}

/// Returns the record with each `@entity-type:key` replaced by the reference id of that record.
fn with_ids(harness: &Harness, record: &Value) -> Value {
    match record {
        Value::String(text) => match text.strip_prefix('@').and_then(|name| name.split_once(':')) {
            Some((entity_type, key)) => harness.reference_id(entity_type, key).to_string().into(),
            None => record.clone(),
        },
        Value::Array(items) => items.iter().map(|item| with_ids(harness, item)).collect(),
        Value::Object(fields) => fields
            .iter()
            .map(|(name, value)| (name.clone(), with_ids(harness, value)))
            .collect::<serde_json::Map<_, _>>()
            .into(),
        other => other.clone(),
    }
}
