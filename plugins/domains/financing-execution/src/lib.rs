//! Domain plugin for disbursements, repayments, additional repayments and debit mandates.

mod fields;
mod rules;

use sluice_sdk::schema::Entity;
use sluice_sdk::{Checked, Domain, Findings, TallyRule};

/// The domain `FinancingExecutions`.
pub struct FinancingExecutions;

impl Domain for FinancingExecutions {
    const NAME: &'static str = "financing-execution";
    const DOMAIN: &'static str = "FinancingExecutions";
    const ENTITIES: &'static [Entity] = fields::ENTITIES;
    const CODES: &'static [&'static str] = &[
        "AMOUNT_AND_FACILITIES",
        "BEFORE_AGREEMENT_START",
        "CURRENCY_DIFFERS_FROM_AGREEMENT",
        "CURRENCY_DIFFERS_FROM_FACILITY",
        "FACILITY_TWICE",
    ];
    const TALLY_RULES: &'static [TallyRule] = &[TallyRule::error("DISBURSED_MORE_THAN_FACILITY", "amount.amount")];

    fn record_rules(entity_type: &str, record: &Checked, findings: &mut Findings) {
        match entity_type {
            "additional-repayments" => rules::check_amounts(&record.parse(), findings),
            "debit-mandates" => rules::check_account(&record.parse(), findings),
            _ => {}
        }
    }

    fn migration_rules(entity_type: &str, records: &[Checked], findings: &mut [Findings]) {
        match entity_type {
            "disbursements" => rules::check_disbursements(records, findings),
            "repayments" | "additional-repayments" => rules::check_repayments(records, findings),
            _ => {}
        }
    }
}

sluice_sdk::domain!(FinancingExecutions);
