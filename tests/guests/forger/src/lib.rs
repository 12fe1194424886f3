//! A mapper that puts forbidden records: with `"poison": "entity-type"` a record of an entity type that it does not
//! describe, with `"poison": "reference-id"` a record with the reference id of client 1.

use sluice_guest_kit::{GuestClient, counterparty, put, sluice_sdk::prelude::*};

pub struct Guest;

impl Mapper for Guest {
    fn describe() -> Description {
        sluice_guest_kit::description("forger")
    }

    fn map(record: &Record, out: &mut Output) -> Result<(), Finding> {
        let client: GuestClient = record.parse()?;
        match client.attack() {
            Some("entity-type") => {
                let id = record.reference_id("collaterals", client.client_id);
                out.put("collaterals", &json!({"referenceId": id}));
            }
            Some("reference-id") => {
                let stolen = record.reference_id("counterparties", 1);
                out.put("counterparties", &counterparty(stolen, &client));
            }
            _ => put(&client, record, out),
        }
        Ok(())
    }
}

mapper!(Guest);
