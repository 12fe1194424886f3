//! The platform's rules for counterparties: people and organisations.

mod fields;

use sluice_sdk::Domain;
use sluice_sdk::schema::Entity;

/// Domain `Counterparties`. Its rules are all in its table of fields.
pub struct Counterparties;

impl Domain for Counterparties {
    const NAME: &'static str = "counterparties";
    const DOMAIN: &'static str = "Counterparties";
    const ENTITIES: &'static [Entity] = fields::ENTITIES;
}

sluice_sdk::domain!(Counterparties);
