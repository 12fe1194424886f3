//! A mapper whose result does not fit its batch. The poisoned record names the mismatch.

use sluice_guest_kit::sluice_sdk::bindings::mapper::exports::sluice::plugin::mapping::{self, Skipped, Transformed};
use sluice_guest_kit::sluice_sdk::bindings::types::{Batch, Context, Issue, Severity};

/// A position that no batch has.
const INVALID_POSITION: u32 = u32::MAX;

pub struct Guest;

impl mapping::Guest for Guest {
    fn describe() -> mapping::Description {
        sluice_guest_kit::raw_description("mismatched")
    }

    fn transform(context: Context, _source: String, records: Batch) -> Transformed {
        let clients = sluice_guest_kit::clients(&records);
        let mut result = sluice_guest_kit::transformed(&context.migration, &clients);
        clients.iter().filter_map(|client| client.attack()).for_each(|attack| corrupt(&mut result, attack));
        result
    }
}

/// Corrupts the result in the way that the attack names.
fn corrupt(result: &mut Transformed, attack: &str) {
    let produced = &mut result.produced[0];
    match attack {
        // The ends decrease, and the last one is still the length of the bytes.
        "ends" => {
            let length = *produced.records.ends.last().expect("one record at least");
            produced.records.ends.insert(0, length + 1);
            produced.origins.insert(0, 0);
        }
        "bytes" => produced.records.bytes.push(b' '),
        "origins" => *produced.origins.last_mut().expect("one record at least") = INVALID_POSITION,
        "short-origins" => drop(produced.origins.pop()),
        "entity-type" => produced.entity_type = "secrets".into(),
        "not-json" => produced.records.bytes[0] = 0xff,
        "positions" => result.issues.push(Issue {
            position: INVALID_POSITION,
            severity: Severity::Error,
            code: "INVALID_VALUE".into(),
            field: "client_id".into(),
            rule: None,
        }),
        "skipped" => result.skipped.push(Skipped { code: "MISMATCHED_SKIP".into(), positions: vec![INVALID_POSITION] }),
        other => panic!("unknown attack: {other}"),
    }
}

#[cfg(target_family = "wasm")]
sluice_guest_kit::sluice_sdk::bindings::mapper::export_mapper!(
    Guest with_types_in sluice_guest_kit::sluice_sdk::bindings::mapper
);
