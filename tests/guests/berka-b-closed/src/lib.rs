//! The sample mapper with one changed rule: a loan that has ended unpaid (`B`) is closed, like one that was paid (`A`).

use sluice_mapper_berka::Berka;
use sluice_sdk::__export::bindings::mapper::exports::sluice::plugin::mapping;
use sluice_sdk::__export::{install_panic_hook, mapper};
use sluice_sdk::bindings::types::{Batch, Context};

/// Status of a loan that has ended unpaid.
const UNPAID: &[u8] = br#""status":"B""#;
/// Status of a loan that was paid.
const PAID: &[u8] = br#""status":"A""#;

pub struct Component;

impl mapping::Guest for Component {
    fn describe() -> mapping::Description {
        install_panic_hook();
        mapper::describe::<Berka>()
    }

    fn transform(context: Context, source: String, mut records: Batch) -> mapping::Transformed {
        install_panic_hook();
        if source == "loan" {
            let starts: Vec<usize> = records
                .bytes
                .windows(UNPAID.len())
                .enumerate()
                .filter(|(_, part)| *part == UNPAID)
                .map(|(at, _)| at)
                .collect();
            // Both have the same length, so the ends of the batch stay valid.
            starts.into_iter().for_each(|at| records.bytes[at..at + PAID.len()].copy_from_slice(PAID));
        }
        mapper::transform::<Berka>(context, source, records)
    }
}

#[cfg(target_family = "wasm")]
sluice_sdk::bindings::mapper::export_mapper!(Component with_types_in sluice_sdk::bindings::mapper);
