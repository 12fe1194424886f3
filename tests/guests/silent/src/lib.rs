//! A mapper that loses a poisoned record without a word: neither mapped nor skipped nor an issue.

use sluice_guest_kit::{Client, sluice_sdk::prelude::*};

pub struct Guest;

impl Mapper for Guest {
    fn describe() -> Description {
        sluice_guest_kit::description("silent")
    }

    fn map(record: &Record, out: &mut Output) -> Result<(), Finding> {
        let client: Client = record.parse()?;
        if !client.is_poisoned() {
            sluice_guest_kit::put(&client, record, out);
        }
        Ok(())
    }
}

mapper!(Guest);
