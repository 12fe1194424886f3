//! Mapping of clients to counterparties.

use sluice_sdk::prelude::*;

use crate::domain::{Counterparty, ExternalReference};
use crate::source::Client;

/// Maps a client to a counterparty. The data is anonymised: a client has a number and no name, so the number becomes
/// the surname.
pub(crate) fn map_client(record: &Record, out: &mut Output) -> Result<(), Finding> {
    let client: Client = record.parse()?;
    let birth_date = birth_date(&client.birth_number).ok_or_else(|| finding("INVALID_FORMAT", "birth_number"))?;
    out.put(
        "counterparties",
        &Counterparty {
            reference_id: record.reference_id("counterparties", client.client_id),
            r#type: "person",
            initials: "C.",
            surname: client.client_id,
            birth_date,
            external_references: [ExternalReference { system: "berka", value: client.client_id }],
        },
    );
    Ok(())
}

/// Returns the day of birth in a birth number. Returns none if the text is no birth number.
fn birth_date(birth_number: &str) -> Option<Date> {
    if birth_number.len() != 6 || !birth_number.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number: u32 = birth_number.parse().ok()?;
    let woman = number / 100 % 100 > 50;
    yymmdd(if woman { number - 5_000 } else { number })
}
