//! A mapper that does not account for a poisoned record: it neither maps nor skips nor reports it.

use sluice_guest_kit::{GuestClient, sluice_sdk::prelude::*};

pub struct Guest;

impl Mapper for Guest {
    fn describe() -> Description {
        sluice_guest_kit::description("silent")
    }

    fn map(record: &Record, out: &mut Output) -> Result<(), Finding> {
        let client: GuestClient = record.parse()?;
        if !client.is_poisoned() {
            sluice_guest_kit::put(&client, record, out);
        }
        Ok(())
    }
}

mapper!(Guest);
