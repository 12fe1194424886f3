//! Money, dates and reference ids.

use sluice_sdk::harness::parse;
use sluice_sdk::prelude::*;
use sluice_sdk::{from_minor_units, minor_units, months_after};

fn day(text: &str) -> Date {
    date(text).unwrap_or_else(|| panic!("{text} is not a day"))
}

#[test]
fn returns_minor_units_only_if_they_are_exact() {
    for (digits, currency, expected) in [
        ("0", "EUR", Some(0)),
        ("10.5", "EUR", Some(1_050)),
        ("10.5000", "EUR", Some(1_050)),
        ("10.505", "EUR", None),
        ("-1", "EUR", Some(-100)),
        ("1055e-2", "EUR", Some(1_055)),
        ("7", "JPY", Some(7)),
        ("7.5", "JPY", None),
        ("7.125", "KWD", Some(7_125)),
        ("92233720368547758.07", "EUR", Some(i64::MAX)),
        ("92233720368547758.08", "EUR", None),
        ("1e28", "EUR", None),
        ("1", "XYZ", None),
        ("1", "eur", None),
    ] {
        let Amount(amount) = Amount::parse_json(digits).unwrap_or_else(|| panic!("{digits} must be a number"));
        assert_eq!(minor_units(amount, currency), expected, "{digits} {currency}");
    }
}

#[test]
fn keeps_the_digits_of_an_amount() {
    for (json, expected) in [
        ("10.50", "10.50"),
        ("0.1", "0.1"),
        (r#""483565.80""#, "483565.80"),
        ("123456789012345678901234567.8", "123456789012345678901234567.8"),
        ("1e3", "1000"),
        ("-0.05", "-0.05"),
    ] {
        let amount: Amount = parse(json);
        assert_eq!(amount.0.to_string(), expected, "{json}");
    }
    for text in ["", "x", "1,5", "1.2.3", "NaN", "1e", "1e3", "1_000", "01", "123456789012345678901234567890"] {
        assert_eq!(Amount::parse(text), None, "{text}");
    }
}

#[test]
fn writes_money_with_all_fraction_digits() {
    for (units, currency, expected) in
        [(5, "EUR", Some("0.05")), (100, "CZK", Some("1.00")), (100, "JPY", Some("100")), (1, "???", None)]
    {
        let amount = from_minor_units(units, currency).map(|amount| amount.0.to_string());
        assert_eq!(amount.as_deref(), expected, "{units} {currency}");
    }
}

#[test]
fn reads_only_calendar_days() {
    for (text, real) in [
        ("2024-02-29", true),
        ("2023-02-29", false),
        ("2024-00-10", false),
        ("2024-13-01", false),
        ("0000-01-01", false),
        ("0001-01-01", true),
        ("9999-12-31", true),
        ("2024-2-29", false),
        ("2024/02/29", false),
        ("+024-02-29", false),
        ("2024-02-2é", false),
        ("", false),
    ] {
        assert_eq!(date(text).is_some(), real, "{text}");
    }
    for (number, expected) in
        [(930_705, Some("1993-07-05")), (700_229, None), (720_229, Some("1972-02-29")), (10_203, Some("1901-02-03"))]
    {
        assert_eq!(yymmdd(number).map(|date| date.to_string()).as_deref(), expected, "{number}");
    }
    assert_eq!(yymmdd(1_930_705), None);
}

#[test]
fn adds_months_within_the_calendar() {
    for (from, months, expected) in [
        ("2024-01-31", 0, Some("2024-01-31")),
        ("2024-01-31", 1, Some("2024-02-29")),
        ("2023-01-31", 1, Some("2023-02-28")),
        ("2024-01-31", 2, Some("2024-03-31")),
        ("2024-11-30", 1, Some("2024-12-30")),
        ("2024-12-31", 1, Some("2025-01-31")),
        ("2024-12-31", 1_200, Some("2124-12-31")),
        ("9999-12-31", 1, None),
        ("2024-01-01", u32::MAX, None),
    ] {
        let found = months_after(day(from), months).map(|date| date.to_string());
        assert_eq!(found.as_deref(), expected, "{from} and {months} months");
    }
}

#[test]
fn derives_a_reference_id_from_migration_type_and_key() {
    let of = |migration: &[u8; 16], entity_type, key: u32| reference_id(migration, entity_type, key);
    let id = of(b"sluice-test-case", "agreements", 4959);
    // UUIDv5 of 736c7569-6365-2d74-6573-742d63617365 and "agreements:4959", computed by another implementation.
    assert_eq!(id.to_string(), "653937b3-628c-5b66-ac70-c7b77329c5f8");
    assert_eq!(parse::<Id>(&format!("\"{id}\"")), id);
    for other in [
        of(b"sluice-test-cast", "agreements", 4959),
        of(b"sluice-test-case", "agreement", 4959),
        of(b"sluice-test-case", "agreements", 495),
    ] {
        assert_ne!(id, other);
    }
    for text in ["", "x", "736c756963652d746573742d63617365", "{736c7569-6365-2d74-6573-742d63617365}"] {
        assert_eq!(Id::parse(text), None, "{text}");
    }
}
