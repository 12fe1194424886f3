//! The platform's rules for collaterals.

mod fields;

use std::collections::HashSet;

use sluice_sdk::prelude::*;
use sluice_sdk::schema::Entity;
use sluice_sdk::{Checked, Domain, Findings};

/// Domain `Collaterals`.
pub struct Collaterals;

impl Domain for Collaterals {
    const NAME: &'static str = "collaterals";
    const DOMAIN: &'static str = "Collaterals";
    const ENTITIES: &'static [Entity] = fields::ENTITIES;
    const TALLY_RULES: &'static [(&'static str, &'static str)] = &[("RANK_TWICE", "registeredMortgageEntries")];

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

/// Index into the plugin's tally rules.
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

fn entries(record: &Checked) -> Vec<Entry> {
    record.parse::<Collateral>().registered_mortgage_entries.unwrap_or_default()
}

/// One mortgage a rank and object, over all collaterals. Twice in one record is an issue of its own.
fn tally_ranks(record: &Checked, findings: &mut Findings) {
    let mut seen = HashSet::new();
    for Entry { rank, collateral_object_reference_id: object } in entries(record) {
        if record.resolves("collateral-objects", object) && seen.insert((object, rank)) {
            findings.tally(RANK_TWICE, reference_id(object.bytes(), "rank", rank), 1, 1);
        }
    }
}
