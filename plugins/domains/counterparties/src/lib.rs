//! Domain plugin for counterparties: people and organisations.

mod fields;

use sluice_sdk::Domain;
use sluice_sdk::schema::Entity;

/// The domain `Counterparties`. Its table of fields has all its rules.
pub struct Counterparties;

impl Domain for Counterparties {
    const NAME: &'static str = "counterparties";
    const DOMAIN: &'static str = "Counterparties";
    const ENTITIES: &'static [Entity] = fields::ENTITIES;
}

sluice_sdk::domain!(Counterparties);
