//! A small lender without a mapper: three valid records of each entity type.

use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::harness::server::Migration;

/// Entity types, each with the path of its domain, in an order in which a record refers only to earlier ones.
pub const TYPES: &[(&str, &str)] = &[
    ("counterparty-management", "counterparties"),
    ("financing-solution", "agreements"),
    ("collateral-management", "collateral-objects"),
    ("collateral-management", "collaterals"),
    ("financing-execution", "disbursements"),
    ("financing-execution", "repayments"),
    ("financing-execution", "additional-repayments"),
    ("financing-execution", "debit-mandates"),
    ("administrate", "payment-administrations"),
];

/// Exact sums over all three records. No amount is an exact binary fraction.
pub const SUMS: &[(&str, &str)] = &[
    ("additional-repayments", "1100.1"),
    ("agreements", "600000.6"),
    ("collateral-objects", "750000.75"),
    ("collaterals", "300000.3"),
    ("debit-mandates", "0.3"),
    // 99000 staged, and generated: 200000.20 less 200.20, and 300000.30 less 300.30 and 1000.
    ("payment-administrations", "597500"),
    ("disbursements", "30000.03"),
    ("repayments", "600.6"),
];

/// The lender of one migration, with reference ids of its own.
pub struct Lender(pub Uuid);

impl Lender {
    pub fn of(migration: &Migration) -> Self {
        Self(migration.id.parse().unwrap())
    }

    /// Returns the reference id of a record by its entity type and number.
    pub fn id(&self, entity_type: &str, number: u32) -> Uuid {
        Uuid::new_v5(&self.0, format!("{entity_type}/{number}").as_bytes())
    }

    /// Returns a record. Numbers 1 to 3 are the lender's; higher ones give more of the same.
    pub fn record(&self, entity_type: &str, number: u32) -> Value {
        let id = |of: &str| self.id(of, number);
        let eur = |amount: f64| json!({"amount": amount, "currency": "EUR"});
        let each = |thrice: [f64; 3]| thrice[(number as usize - 1) % 3];
        let mut record = match entity_type {
            "counterparties" if number.is_multiple_of(3) => {
                json!({"type": "organisation", "name": format!("Pekárna {number}")})
            }
            "counterparties" => json!({
                "type": "person", "initials": "J.", "surname": "Nováková", "birthDate": format!("19{}-02-28", 40 + number % 50),
                "income": {"amount": 480000.5, "currency": "EUR", "frequency": "annual"},
                "addresses": [{"type": "main", "addressLine1": "U 1", "postalCode": "110 00", "locality": "Praha",
                    "countryCode": "CZ"}],
                "associatedParties": [self.id("counterparties", 3)],
            }),
            "agreements" => json!({
                "agreementNumber": number.to_string(), "status": "active", "startDate": "2020-03-01",
                "borrowers": [{"counterpartyReferenceId": id("counterparties"), "role": "main"}],
                "facilities": [{"referenceId": id("facilities"), "amount": eur(each([100000.1, 200000.2, 300000.3])),
                    "termInMonths": 12, "repaymentMethod": (["annuity", "linear", "bullet"])[(number as usize - 1) % 3]}],
            }),
            "collateral-objects" => json!({
                "type": "residential-property",
                "valuations": [{"date": "2020-01-31", "value": eur(250000.25)}],
            }),
            "collaterals" => json!({
                "type": "mortgage", "collateralDefinitionCode": "NHG",
                "agreementReferenceIds": [id("agreements")], "counterpartyReferenceIds": [id("counterparties")],
                "registeredMortgageEntries": [{"rank": number, "amount": eur(100000.1),
                    "collateralObjectReferenceId": self.id("collateral-objects", 1)}],
            }),
            "disbursements" => json!({
                "agreementReferenceId": id("agreements"), "facilityReferenceId": id("facilities"),
                "effectiveDate": "2020-03-01", "amount": eur(10000.01),
            }),
            "repayments" => json!({
                "agreementReferenceId": id("agreements"), "effectiveDate": "2020-04-01",
                "amount": eur(each([100.1, 200.2, 300.3])),
            }),
            "additional-repayments" => json!({
                "agreementReferenceId": id("agreements"), "status": if number == 3 { "Final" } else { "Draft" },
                "type": "early-repayment", "effectiveDate": "2020-04-01", "amount": eur(each([100.0, 0.1, 1000.0])),
            }),
            "debit-mandates" => json!({
                "agreementReferenceId": id("agreements"), "counterpartyReferenceId": id("counterparties"),
                "scheme": "SEPA", "type": "b2c", "debtorAccount": "NL91ABNA0417164300", "amount": eur(0.1),
            }),
            "payment-administrations" => json!({
                "agreementReferenceId": id("agreements"), "facilityReferenceId": id("facilities"),
                "outstandingPrincipal": eur(99000.0),
                "installments": [
                    {"number": 1, "dueDate": "2021-02-28", "principal": eur(98999.9), "interest": eur(0.1)},
                    {"number": 2, "dueDate": "2021-03-31", "principal": eur(0.1), "interest": eur(0.0)},
                ],
            }),
            other => panic!("no such entity type: {other}"),
        };
        record["referenceId"] = json!(id(entity_type));
        record
    }

    /// Stages three records of each entity type, and one of the generated type: the import generates the other two.
    pub async fn stage(&self, migration: &Migration) {
        for (domain, entity_type) in TYPES {
            let most = if *entity_type == "payment-administrations" { 1 } else { 3 };
            let records: Vec<Value> = (1..=most).map(|number| self.record(entity_type, number)).collect();
            put(migration, domain, entity_type, &records).await;
        }
    }
}

/// Stages records, each of which must be accepted.
pub async fn put(migration: &Migration, domain: &str, entity_type: &str, records: &[Value]) {
    let body: String = records.iter().map(|record| record.to_string() + "\n").collect();
    let results = migration.stage(domain, entity_type, body).await.lines();
    let taken = |(result, record): (&Value, &Value)| {
        result["isSuccessful"] == true && result["referenceId"] == record["referenceId"]
    };
    assert!(results.len() == records.len() && results.iter().zip(records).all(taken), "{entity_type}: {results:?}");
}

/// Removes a staged record.
pub async fn remove(migration: &Migration, domain: &str, entity_type: &str, id: Uuid) {
    let results = migration.stage(domain, &format!("{entity_type}/delete"), format!("\"{id}\"\n")).await.lines();
    assert!(results.len() == 1 && results[0]["isSuccessful"] == true, "{entity_type}: {results:?}");
}

/// Chooses a migration's mapper.
pub async fn set_mapper(migration: &Migration, mapper: &str) -> u16 {
    let request = migration.server.request(Method::PUT, &migration.path("/mapper")).json(&json!({"mapper": mapper}));
    migration.server.send(request).await.status
}
