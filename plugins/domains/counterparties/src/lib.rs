//! Domain plugin for counterparties: people and organisations.

mod duplicates;
mod fields;

use sluice_sdk::schema::Entity;
use sluice_sdk::{Checked, Domain, Findings, TallyRule};

/// The domain `Counterparties`. Its table of fields has the rules of each record.
pub struct Counterparties;

impl Domain for Counterparties {
    const NAME: &'static str = "counterparties";
    const DOMAIN: &'static str = "Counterparties";
    const ENTITIES: &'static [Entity] = fields::ENTITIES;
    const TALLY_RULES: &'static [TallyRule] = duplicates::RULES;

    fn migration_rules(_entity_type: &str, records: &[Checked], findings: &mut [Findings]) {
        records.iter().zip(findings).for_each(|(record, findings)| duplicates::tally(record, findings));
    }
}

sluice_sdk::domain!(Counterparties);
