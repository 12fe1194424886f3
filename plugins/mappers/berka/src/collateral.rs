//! Mapping of pledged property, which only the synthetic bank has.

use sluice_sdk::prelude::*;

use crate::domain::{Address, Collateral, CollateralObject, MortgageEntry, Valuation};
use crate::lending::agreement_id;
use crate::source::{Pledge, Property, czk, day};

/// Maps a property to a collateral object.
pub(crate) fn map_property(record: &Record, out: &mut Output) -> Result<(), Finding> {
    let property: Property = record.parse()?;
    let valuation = Valuation { date: day(property.valued, "valued")?, value: czk(property.value, "value")? };
    out.put(
        "collateral-objects",
        &CollateralObject {
            reference_id: record.reference_id("collateral-objects", property.property_id),
            r#type: kind(&property.kind).ok_or_else(|| invalid("kind"))?,
            address: Address {
                r#type: "main",
                address_line1: property.street,
                postal_code: property.zip,
                locality: property.city,
                country_code: "CZ",
            },
            valuations: [valuation],
        },
    );
    Ok(())
}

/// Maps a pledge to a mortgage with one entry.
pub(crate) fn map_pledge(record: &Record, out: &mut Output) -> Result<(), Finding> {
    let pledge: Pledge = record.parse()?;
    let entry = MortgageEntry {
        is_already_pledged: pledge.rank > 1,
        rank: pledge.rank,
        amount: czk(pledge.amount, "amount")?,
        collateral_object_reference_id: record.reference_id("collateral-objects", pledge.property_id),
    };
    out.put(
        "collaterals",
        &Collateral {
            reference_id: record.reference_id("collaterals", pledge.pledge_id),
            r#type: "mortgage",
            collateral_definition_code: "MORTGAGE",
            agreement_reference_ids: [agreement_id(record, pledge.loan_id)],
            counterparty_reference_ids: [record.reference_id("counterparties", pledge.client_id)],
            registered_mortgage_entries: [entry],
        },
    );
    Ok(())
}

/// Returns the platform's type of a property: `BYT` is a flat, `DUM` a house, `KANCELAR` an office, `POZEMEK` land.
fn kind(kind: &str) -> Option<&'static str> {
    match kind {
        "BYT" | "DUM" => Some("residential-property"),
        "KANCELAR" => Some("commercial-property"),
        "POZEMEK" => Some("other"),
        _ => None,
    }
}
