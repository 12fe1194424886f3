//! Domain plugin for payment administrations: their rules, and their generation from agreements.

mod fields;
mod generate;
mod rules;

use sluice_sdk::domain::Generation;
use sluice_sdk::schema::Entity;
use sluice_sdk::{Checked, Domain, Findings, Generated, TallyRule};

/// The domain `Administrate`.
pub struct Administrate;

impl Domain for Administrate {
    const NAME: &'static str = "administrate";
    const DOMAIN: &'static str = "Administrate";
    const ENTITIES: &'static [Entity] = fields::ENTITIES;
    const CODES: &'static [&'static str] = &[
        "CURRENCY_DIFFERS_FROM_FACILITY",
        "CURRENCY_DIFFERS_FROM_PRINCIPAL",
        "INSTALLMENT_TWICE",
        "INSTALLMENTS_DIFFER_FROM_PRINCIPAL",
        "OUTSTANDING_PRINCIPAL_DIFFERS",
        "REPAID_MORE_THAN_OWED",
    ];
    const TALLY_RULES: &'static [TallyRule] = &[TallyRule::error("ADMINISTRATION_TWICE", "facilityReferenceId")];
    const GENERATIONS: &'static [Generation] = &[Generation {
        entity_type: "payment-administrations",
        source: "agreements",
        after: &["repayments", "additional-repayments", "disbursements"],
        fields: &["facilities"],
    }];

    fn record_rules(_entity_type: &str, record: &Checked, findings: &mut Findings) {
        rules::check_record(&record.parse(), findings);
    }

    fn migration_rules(_entity_type: &str, records: &[Checked], findings: &mut [Findings]) {
        rules::check_migration(records, findings);
    }

    fn generate(_entity_type: &str, agreements: &[Checked], out: &mut Generated) {
        generate::from_agreements(agreements, out);
    }
}

sluice_sdk::domain!(Administrate);
