//! A mapper that counts the records it has seen, and writes the count as the surname of each record.

use std::sync::atomic::{AtomicU64, Ordering};

use sluice_guest_kit::{GuestClient, sluice_sdk::prelude::*};

/// Number of records seen.
static SEEN: AtomicU64 = AtomicU64::new(0);

pub struct Guest;

impl Mapper for Guest {
    fn describe() -> Description {
        sluice_guest_kit::description("stateful")
    }

    fn map(record: &Record, out: &mut Output) -> Result<(), Finding> {
        let client: GuestClient = record.parse()?;
        let seen = SEEN.fetch_add(1, Ordering::Relaxed) + 1;
        let id = record.reference_id("counterparties", client.client_id);
        out.put(
            "counterparties",
            &json!({"referenceId": id, "type": "person", "initials": "C.", "surname": seen.to_string()}),
        );
        Ok(())
    }
}

mapper!(Guest);
