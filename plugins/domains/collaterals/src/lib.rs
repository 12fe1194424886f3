//! Domain plugin for collaterals and collateral objects.

mod fields;

use std::collections::HashSet;

use sluice_sdk::prelude::*;
use sluice_sdk::schema::Entity;
use sluice_sdk::{Checked, Domain, Findings, TallyRule};

/// The domain `Collaterals`.
pub struct Collaterals;

impl Domain for Collaterals {
    const NAME: &'static str = "collaterals";
    const DOMAIN: &'static str = "Collaterals";
    const ENTITIES: &'static [Entity] = fields::ENTITIES;
    const TALLY_RULES: &'static [TallyRule] = &[TallyRule::error("RANK_TWICE", "registeredMortgageEntries")];

    fn record_rules(entity_type: &str, record: &Checked, findings: &mut Findings) {
        if entity_type == "collaterals" {
            let mut seen = HashSet::new();
            for (index, entry) in entries(record).iter().enumerate() {
                if !seen.insert((entry.collateral_object_reference_id, entry.rank)) {
                    findings.report(rule("RANK_TWICE", format!("registeredMortgageEntries[{index}].rank")));
                }
            }
        }
    }

    fn migration_rules(entity_type: &str, records: &[Checked], findings: &mut [Findings]) {
        if entity_type == "collaterals" {
            records.iter().zip(findings).for_each(|(record, findings)| tally_ranks(record, findings));
        }
    }
}

sluice_sdk::domain!(Collaterals);

/// Index of the rule in the plugin's tally rules.
const RANK_TWICE: usize = 0;

reads! {
    #[serde(rename_all = "camelCase")]
    struct Collateral {
        registered_mortgage_entries: Option<Vec<Entry>>,
    }

    #[serde(rename_all = "camelCase")]
    struct Entry {
        rank: u32,
        collateral_object_reference_id: Id,
    }
}

/// Returns the mortgage entries of a collateral.
fn entries(record: &Checked) -> Vec<Entry> {
    record.parse::<Collateral>().registered_mortgage_entries.unwrap_or_default()
}

/// Adds a tally for each rank of an object, so that all collaterals together have at most one mortgage of a rank on an
/// object. A rank that occurs twice in one record counts once here, because `record_rules` reports it.
fn tally_ranks(record: &Checked, findings: &mut Findings) {
    let mut seen = HashSet::new();
    for Entry { rank, collateral_object_reference_id: object } in entries(record) {
        if record.resolves("collateral-objects", object) && seen.insert((object, rank)) {
            findings.tally(RANK_TWICE, reference_id(object.bytes(), "rank", rank), 1, 1);
        }
    }
}
