//! A mapper whose answer does not match the batch it was asked about; the poisoned record names how.

use sluice_guest_kit::sluice_sdk::bindings::mapper::exports::sluice::plugin::mapping::{self, Skipped, Transformed};
use sluice_guest_kit::sluice_sdk::bindings::types::{Batch, Context, Issue, Severity};

/// A position that no batch has.
const NOWHERE: u32 = u32::MAX;

pub struct Guest;

impl mapping::Guest for Guest {
    fn describe() -> mapping::Description {
        sluice_guest_kit::raw_description("mismatched")
    }

    fn transform(context: Context, _source: String, records: Batch) -> Transformed {
        let clients = sluice_guest_kit::clients(&records);
        let mut answer = sluice_guest_kit::transformed(&context.migration, &clients);
        clients.iter().filter_map(|client| client.trick()).for_each(|trick| spoil(&mut answer, trick));
        answer
    }
}

fn spoil(answer: &mut Transformed, trick: &str) {
    let produced = &mut answer.produced[0];
    match trick {
        // Ends that decrease, while the last one still is the length of the bytes.
        "ends" => {
            let length = *produced.records.ends.last().expect("one record at least");
            produced.records.ends.insert(0, length + 1);
            produced.origins.insert(0, 0);
        }
        "bytes" => produced.records.bytes.push(b' '),
        "origins" => *produced.origins.last_mut().expect("one record at least") = NOWHERE,
        "short-origins" => drop(produced.origins.pop()),
        "entity-type" => produced.entity_type = "secrets".into(),
        "not-json" => produced.records.bytes[0] = 0xff,
        "positions" => answer.issues.push(Issue {
            position: NOWHERE,
            severity: Severity::Error,
            code: "INVALID_VALUE".into(),
            field: "client_id".into(),
            rule: None,
        }),
        "skipped" => answer.skipped.push(Skipped { code: "MISMATCHED_SKIP".into(), positions: vec![NOWHERE] }),
        other => panic!("no such trick: {other}"),
    }
}

#[cfg(target_family = "wasm")]
sluice_guest_kit::sluice_sdk::bindings::mapper::export_mapper!(
    Guest with_types_in sluice_guest_kit::sluice_sdk::bindings::mapper
);
