//! Records of the shape that the public pages of Akkuro's API show. They go through all steps unchanged.

use serde_json::{Value, json};

use crate::harness::lender::put;
use crate::harness::server::{ALL, Migration, shared};

/// Samples: path of the domain, entity type, and JSON Lines.
const SAMPLES: &[(&str, &str, &str)] = &[
    ("counterparty-management", "counterparties", include_str!("../../../cases/akkuro/counterparties.jsonl")),
    ("financing-solution", "agreements", include_str!("../../../cases/akkuro/agreements.jsonl")),
    ("collateral-management", "collateral-objects", include_str!("../../../cases/akkuro/collateral-objects.jsonl")),
    ("collateral-management", "collaterals", include_str!("../../../cases/akkuro/collaterals.jsonl")),
    ("financing-execution", "additional-repayments", include_str!("../../../cases/akkuro/additional-repayments.jsonl")),
    ("financing-execution", "debit-mandates", include_str!("../../../cases/akkuro/debit-mandates.jsonl")),
];

#[tokio::test(flavor = "multi_thread")]
async fn samples_go_through_unchanged() {
    let migration = shared().register(None, ALL).await;
    let mut records = 0;
    for (domain, entity_type, lines) in SAMPLES {
        // The samples have fixed ids, and another migration of the same server may have imported them.
        let lines = lines.replace("0000-4000-8000", &own_part(&migration));
        let sample: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        put(&migration, domain, entity_type, &sample).await;
        assert_eq!(migration.staged(domain, entity_type).await, sample, "{entity_type}");
        records += sample.len();
    }
    let validation = migration.job("validate").await;
    assert_eq!(validation["state"], "succeeded", "{:?}", migration.issues("validate").await);
    assert_eq!(validation["result"]["numberOfWarnings"], 0, "{:?}", migration.issues("validate").await);
    let import = migration.job("import").await;
    // Two payment administrations are generated: one for each facility.
    assert_eq!(
        (&import["state"], &import["result"]["inserted"]),
        (&json!("succeeded"), &json!(records + 2)),
        "{import}"
    );
    let counts = migration.job("counts").await;
    assert_eq!(counts["state"], "succeeded", "{counts}");
    for side in ["stagedRows", "importedRows"] {
        let collaterals = Migration::rows(&counts, "TotalCollaterals", side);
        let expected = ["guarantee", "mortgage", "non-registered", "pledge"];
        let mut kinds: Vec<&str> = collaterals.iter().map(|row| row[0].as_str()).collect();
        kinds.sort_unstable();
        assert_eq!(kinds, expected, "{side}");
        let sums = Migration::rows(&counts, "TotalAmounts", side);
        let repaid = sums.iter().find(|row| row[0] == "additional-repayments").unwrap();
        assert_eq!(repaid[1..], ["EUR", "1500.5"], "the amounts of the facilities");
    }
}

/// Returns the middle of the ids of a migration.
fn own_part(migration: &Migration) -> String {
    let digits = migration.id.replace('-', "");
    format!("{}-4{}-8{}", &digits[..4], &digits[4..7], &digits[7..10])
}
