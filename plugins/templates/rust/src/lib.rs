//! Maps clients of the old bank to counterparties.

use sluice_sdk::prelude::*;

reads! {
    struct Client {
        client_id: u64,
        birth_number: String,
    }
}

/// The mapper.
pub struct ClientMapper;

impl Mapper for ClientMapper {
    fn describe() -> Description {
        let clients = Description::new("{{name}}", "0.1.0").source("client", &["client_id"]).reads::<Client>();
        clients.produces("counterparties")
    }

    fn map(record: &Record, out: &mut Output) -> Result<(), Finding> {
        let client: Client = record.parse()?;
        let birth_date = day_of_birth(&client.birth_number).ok_or_else(|| finding("INVALID_FORMAT", "birth_number"))?;
        let number = client.client_id.to_string();
        out.put(
            "counterparties",
            &Counterparty {
                reference_id: record.reference_id("counterparties", &number),
                r#type: "person",
                initials: "C.",
                surname: &number,
                birth_date,
                external_references: [ExternalReference { system: "{{name}}", value: &number }],
            },
        );
        Ok(())
    }
}

mapper!(ClientMapper);

writes! {
    #[serde(rename_all = "camelCase")]
    struct Counterparty<'a> {
        reference_id: Id,
        r#type: &'static str,
        initials: &'static str,
        surname: &'a str,
        birth_date: Date,
        external_references: [ExternalReference<'a>; 1],
    }

    struct ExternalReference<'a> {
        system: &'static str,
        value: &'a str,
    }
}

/// Returns the day in a birth number, YYMMDD. For a woman, the month is increased by 50.
fn day_of_birth(birth_number: &str) -> Option<Date> {
    if birth_number.len() != 6 || !birth_number.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number: u32 = birth_number.parse().ok()?;
    let woman = number / 100 % 100 > 50;
    yymmdd(if woman { number - 5_000 } else { number })
}
