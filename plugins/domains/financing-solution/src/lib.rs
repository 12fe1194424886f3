//! Domain plugin for agreements.

mod fields;
mod rules;

use sluice_sdk::schema::Entity;
use sluice_sdk::{Checked, Domain, Findings, TallyRule};

/// The domain `FinancingSolutions`.
pub struct FinancingSolutions;

impl Domain for FinancingSolutions {
    const NAME: &'static str = "financing-solution";
    const DOMAIN: &'static str = "FinancingSolutions";
    const ENTITIES: &'static [Entity] = fields::ENTITIES;
    const CODES: &'static [&'static str] = &[
        "EXACTLY_ONE_MAIN_BORROWER",
        "BORROWER_TWICE",
        "BORROWER_UNDER_AGE",
        "FACILITY_TWICE",
        "BEFORE_AGREEMENT_START",
    ];
    const TALLY_RULES: &'static [TallyRule] = &[TallyRule::error("FACILITY_IN_TWO_AGREEMENTS", "facilities")];

    fn record_rules(_entity_type: &str, record: &Checked, findings: &mut Findings) {
        rules::check_record(&record.parse(), findings);
    }

    fn migration_rules(_entity_type: &str, records: &[Checked], findings: &mut [Findings]) {
        rules::check_migration(records, findings);
    }
}

sluice_sdk::domain!(FinancingSolutions);
