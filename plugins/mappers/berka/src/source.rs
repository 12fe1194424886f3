//! The bank's tables: the fields that the mapper reads, under the names that the bank gave them. Numbers may come as text,
//! as they do in tables (CSV).

use std::borrow::Cow;

use sluice_sdk::prelude::*;

reads! {
    pub struct Client<'a> {
        #[serde(deserialize_with = "number")]
        pub client_id: u64,
        /// YYMMDD; for women the month is increased by 50.
        #[serde(borrow)]
        pub birth_number: Cow<'a, str>,
    }

    pub struct Disp<'a> {
        #[serde(deserialize_with = "number")]
        pub client_id: u64,
        #[serde(rename = "account_id", deserialize_with = "number")]
        pub _account_id: u64,
        /// OWNER or DISPONENT.
        #[serde(borrow)]
        pub r#type: Cow<'a, str>,
    }

    pub struct Loan<'a> {
        #[serde(deserialize_with = "number")]
        pub loan_id: u64,
        #[serde(deserialize_with = "number")]
        pub account_id: u64,
        #[serde(deserialize_with = "number")]
        pub date: u32,
        pub amount: Amount,
        #[serde(deserialize_with = "number")]
        pub duration: u32,
        #[serde(borrow)]
        pub status: Cow<'a, str>,
    }

    pub struct Order<'a> {
        #[serde(deserialize_with = "number")]
        pub order_id: u64,
        #[serde(deserialize_with = "number")]
        pub account_id: u64,
        pub amount: Amount,
        #[serde(borrow)]
        pub k_symbol: Cow<'a, str>,
    }

    pub struct Trans<'a> {
        #[serde(deserialize_with = "number")]
        pub trans_id: u64,
        #[serde(deserialize_with = "number")]
        pub account_id: u64,
        #[serde(deserialize_with = "number")]
        pub date: u32,
        pub amount: Amount,
        #[serde(borrow)]
        pub k_symbol: Cow<'a, str>,
    }

    pub struct Property<'a> {
        #[serde(deserialize_with = "number")]
        pub property_id: u64,
        #[serde(borrow)]
        pub kind: Cow<'a, str>,
        pub value: Amount,
        #[serde(deserialize_with = "number")]
        pub valued: u32,
        #[serde(borrow)]
        pub street: Cow<'a, str>,
        #[serde(borrow)]
        pub zip: Cow<'a, str>,
        #[serde(borrow)]
        pub city: Cow<'a, str>,
    }

    pub struct Pledge {
        #[serde(deserialize_with = "number")]
        pub pledge_id: u64,
        #[serde(deserialize_with = "number")]
        pub loan_id: u64,
        #[serde(deserialize_with = "number")]
        pub property_id: u64,
        #[serde(deserialize_with = "number")]
        pub client_id: u64,
        #[serde(deserialize_with = "number")]
        pub rank: u32,
        pub amount: Amount,
    }

    pub struct Account {
        #[serde(rename = "account_id", deserialize_with = "number")]
        _account_id: u64,
    }

    pub struct Card {
        #[serde(rename = "card_id", deserialize_with = "number")]
        _card_id: u64,
    }

    pub struct District {
        #[serde(rename = "A1", deserialize_with = "number")]
        _key: u64,
    }
}

/// A whole number, as a number or as its digits, without reading the rest of the record; none where it is anything else.
pub fn whole_number(record: &Record, field: &str) -> Option<u64> {
    let digits = record.raw(field)?.trim_matches('"');
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok()).flatten()
}

/// A date that the bank wrote as YYMMDD, in a field of this name.
pub fn day(number: u32, field: &str) -> Result<Date, Finding> {
    yymmdd(number).ok_or_else(|| finding("INVALID_FORMAT", field))
}

/// An amount of the bank's only currency, in a field of this name.
pub fn czk(amount: Amount, field: &str) -> Result<Money<'static>, Finding> {
    if amount.0.is_sign_negative() || amount.0.normalize().scale() > 2 {
        return Err(finding("OUT_OF_RANGE", field));
    }
    Ok(Money::new(amount.0, "CZK"))
}
