//! A mapper that puts records which are not its to put: `"poison": "entity-type"` an entity type that
//! exists but that it did not describe, `"poison": "reference-id"` the reference id of client 1.

use sluice_guest_kit::{Client, counterparty, put, sluice_sdk::prelude::*};

pub struct Guest;

impl Mapper for Guest {
    fn describe() -> Description {
        sluice_guest_kit::description("forger")
    }

    fn map(record: &Record, out: &mut Output) -> Result<(), Finding> {
        let client: Client = record.parse()?;
        match client.trick() {
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
