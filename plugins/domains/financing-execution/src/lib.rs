//! Domain plugin for disbursements, repayments, additional repayments and debit mandates.

mod fields;
mod rules;

use sluice_sdk::schema::Entity;
use sluice_sdk::{Checked, Domain, Findings};

/// The domain `FinancingExecutions`.
pub struct FinancingExecutions;

impl Domain for FinancingExecutions {
    const NAME: &'static str = "financing-execution";
    const DOMAIN: &'static str = "FinancingExecutions";
    const ENTITIES: &'static [Entity] = fields::ENTITIES;
    const CODES: &'static [&'static str] =
        &["BEFORE_AGREEMENT_START", "CURRENCY_DIFFERS_FROM_AGREEMENT", "CURRENCY_DIFFERS_FROM_FACILITY"];
    const TALLY_RULES: &'static [(&'static str, &'static str)] = &[("DISBURSED_MORE_THAN_FACILITY", "amount.amount")];

    fn migration_rules(entity_type: &str, records: &[Checked], findings: &mut [Findings]) {
        match entity_type {
            "disbursements" => rules::check_disbursements(records, findings),
            "repayments" | "additional-repayments" => rules::check_repayments(records, findings),
            _ => {}
        }
    }
}

sluice_sdk::domain!(FinancingExecutions);
