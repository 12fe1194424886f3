//! Validation of counterparties.

use sluice_domain_counterparties::Counterparties;
use sluice_sdk::bindings::domain::exports::sluice::plugin::validation::Tally;
use sluice_sdk::harness::{Harness, Row, check_schemas};

const PERSON: &str = r#"{"referenceId": "c0000000-0000-4000-8000-000000000001", "type": "person", "isActive": true,
    "initials": "J.", "firstName": "Jana", "surname": "Nováková", "birthDate": "1970-12-13", "nationalities": ["CZ"],
    "income": {"amount": 480000, "currency": "CZK", "frequency": "annual"},
    "telephoneNumbers": [{"type": "mobile", "number": "+420 000"}], "emailAddresses": ["j@example.com"],
    "externalReferences": [{"system": "core", "value": "1"}], "ratings": [{"agency": "own", "value": "A"}],
    "addresses": [{"referenceId": "c0000000-0000-4000-8000-000000000009", "type": "main", "addressLine1": "U 1",
        "postalCode": "110 00", "locality": "Praha", "countryCode": "CZ"}],
    "relations": [{"to": "c0000000-0000-4000-8000-000000000002", "type": "isSignificantOtherOf"}],
    "associatedParties": ["c0000000-0000-4000-8000-000000000002"]}"#;

const ORGANISATION: &str = r#"{"referenceId": "c0000000-0000-4000-8000-000000000002", "type": "organisation",
    "name": "Pekárna", "registrationNumber": "27074358"}"#;

const PERSON_ROWS: &[Row] = &[
    ("referenceId", "", "MISSING_REQUIRED_FIELD referenceId"),
    ("type", "", "MISSING_REQUIRED_FIELD type"),
    ("type", r#""robot""#, "INVALID_VALUE type"),
    ("isActive", r#""yes""#, "INVALID_FORMAT isActive"),
    ("initials", "", "MISSING_REQUIRED_FIELD initials"),
    ("initials", r#""""#, "INVALID_VALUE initials"),
    ("firstName", "", ""),
    ("firstName", "1", "INVALID_FORMAT firstName"),
    ("surname", "", "MISSING_REQUIRED_FIELD surname"),
    ("birthDate", r#""1970-13-12""#, "INVALID_FORMAT birthDate"),
    ("nationalities", r#"["CZ", "CS"]"#, "INVALID_VALUE nationalities[1]"),
    ("name", r#""Pekárna""#, "UNKNOWN_FIELD name"),
    ("registrationNumber", r#""1""#, "UNKNOWN_FIELD registrationNumber"),
    ("income.amount", "1.234", "OUT_OF_RANGE income.amount"),
    ("income.amount", "", "MISSING_REQUIRED_FIELD income.amount"),
    ("income.currency", "", "MISSING_REQUIRED_FIELD income.currency"),
    ("income.frequency", r#""daily""#, "INVALID_VALUE income.frequency"),
    ("telephoneNumbers[0].number", "420", "INVALID_FORMAT telephoneNumbers[0].number"),
    ("telephoneNumbers[0].type", "null", ""),
    ("emailAddresses[0]", r#""nobody""#, "INVALID_FORMAT emailAddresses[0]"),
    ("externalReferences[0].value", "1", "INVALID_FORMAT externalReferences[0].value"),
    ("externalReferences[0].system", "1", "INVALID_FORMAT externalReferences[0].system"),
    ("externalReferences[0]", r#"{"system": "LEI", "value": "529900T8BM49AURSDO55"}"#, ""),
    (
        "externalReferences[0]",
        r#"{"system": "LEI", "value": "529900T8BM49AURSDO54"}"#,
        "INVALID_CHECK_DIGITS externalReferences[0].value",
    ),
    (
        "externalReferences[0]",
        r#"{"value": "12345678", "system": "NL-BSN"}"#,
        "INVALID_FORMAT externalReferences[0].value",
    ),
    ("ratings[0].agency", "1", "INVALID_FORMAT ratings[0].agency"),
    ("ratings[0].value", "1", "INVALID_FORMAT ratings[0].value"),
    ("addresses[0].referenceId", r#""1""#, "INVALID_FORMAT addresses[0].referenceId"),
    ("addresses[0].type", r#""other""#, "INVALID_VALUE addresses[0].type"),
    ("addresses[0].addressLine1", "", "MISSING_REQUIRED_FIELD addresses[0].addressLine1"),
    ("addresses[0].postalCode", "11000", "INVALID_FORMAT addresses[0].postalCode"),
    ("addresses[0].locality", "", "MISSING_REQUIRED_FIELD addresses[0].locality"),
    ("addresses[0].countryCode", r#""CZE""#, "INVALID_VALUE addresses[0].countryCode"),
    ("addresses[0].countrycode", r#""CZ""#, "UNKNOWN_FIELD addresses[0].countrycode"),
    ("relations[0].to", "", "MISSING_REQUIRED_FIELD relations[0].to"),
    ("relations[0].type", "", "MISSING_REQUIRED_FIELD relations[0].type"),
    ("associatedParties[0]", r#""x""#, "INVALID_FORMAT associatedParties[0]"),
    ("birthdate", r#""1970-12-13""#, "UNKNOWN_FIELD birthdate"),
];

const ORGANISATION_ROWS: &[Row] = &[
    ("name", "", "MISSING_REQUIRED_FIELD name"),
    ("registrationNumber", "", ""),
    ("surname", r#""Novák""#, "UNKNOWN_FIELD surname"),
    ("birthDate", r#""no date""#, "UNKNOWN_FIELD birthDate"),
];

const REFERENCE_ROWS: &[Row] = &[
    ("relations[0].to", r#""c0000000-0000-4000-8000-00000000000f""#, "UNKNOWN_REFERENCE relations[0].to"),
    ("associatedParties[0]", r#""c0000000-0000-4000-8000-00000000000f""#, "UNKNOWN_REFERENCE associatedParties[0]"),
];

#[test]
fn reports_invalid_fields() {
    Harness::new().check_rows::<Counterparties>("counterparties", false, PERSON, PERSON_ROWS);
    Harness::new().check_rows::<Counterparties>("counterparties", false, ORGANISATION, ORGANISATION_ROWS);
}

#[test]
fn reports_unknown_references() {
    let harness = Harness::new();
    harness.stage("counterparties", &ORGANISATION.replace('\n', ""));
    harness.check_rows::<Counterparties>("counterparties", true, PERSON, REFERENCE_ROWS);
}

#[test]
fn published_schemas_match_the_tables_of_fields() {
    check_schemas::<Counterparties>(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../docs/plugins/schemas"));
}

/// Each record, and the number of an earlier one that it may be a duplicate of.
const PARTIES: &[(&str, Option<usize>)] = &[
    (r#""type": "person", "initials": "J.", "surname": "Nováková", "birthDate": "1970-12-13""#, None),
    (r#""type": "person", "initials": "j. m.", "surname": " NOVÁKOVÁ", "birthDate": "1970-12-13""#, Some(0)),
    (
        r#""type": "person", "initials": "X.", "firstName": "Jana", "surname": "Nováková", "birthDate": "1970-12-13""#,
        Some(0),
    ),
    (r#""type": "person", "initials": "A.", "surname": "Nováková", "birthDate": "1970-12-13""#, None),
    (r#""type": "person", "initials": "J.", "surname": "Nováková", "birthDate": "1970-12-14""#, None),
    (r#""type": "person", "initials": "J.", "surname": "Nováková""#, None),
    (r#""type": "person", "initials": "J.", "surname": "Nováková""#, None),
    (r#""type": "organisation", "name": "Pekárna", "registrationNumber": "27 074 358""#, None),
    (r#""type": "organisation", "name": "Pekařství", "registrationNumber": "27074358""#, Some(7)),
    (r#""type": "organisation", "name": "Pekárna U Lva""#, None),
    (r#""type": "organisation", "name": "Pekárna - u lva""#, Some(9)),
    (r#""type": "organisation", "name": "27074358""#, None),
];

#[test]
fn tallies_parties_that_may_be_the_same() {
    let id = |number: usize| format!(r#""referenceId": "c0000000-0000-4000-8000-{number:012}""#);
    let lines: String =
        PARTIES.iter().enumerate().map(|(number, (fields, _))| format!("{{{}, {fields}}}\n", id(number + 1))).collect();
    let tallies = Harness::new().tallies::<Counterparties>("counterparties", &lines);
    assert!(tallies.iter().all(|tally| (tally.amount, tally.limit) == (1, 1)));
    for (number, (fields, same)) in PARTIES.iter().enumerate() {
        let own = tallies.iter().find(|tally| tally.position as usize == number);
        assert_eq!(own.is_some(), !fields.contains("person") || fields.contains("birthDate"), "{fields}");
        let earlier = |tally: &&Tally| own.is_some_and(|own| (own.rule, own.key) == (tally.rule, tally.key));
        let first = tallies.iter().find(earlier).map(|tally| tally.position as usize).filter(|first| *first < number);
        assert_eq!(first, *same, "{fields}");
    }
}
