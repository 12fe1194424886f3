//! Fields of the bank's tables that the mapper reads, under the bank's names. A number may be text, as in tables (CSV).

use std::borrow::Cow;

use sluice_sdk::prelude::*;

reads! {
    /// A client of the bank.
    pub(crate) struct Client<'a> {
        #[serde(deserialize_with = "number")]
        pub(crate) client_id: u64,
        /// Day of birth as YYMMDD. For a woman, the month is increased by 50.
        #[serde(borrow)]
        pub(crate) birth_number: Cow<'a, str>,
    }

    /// The relation of a client to an account.
    pub(crate) struct Disp<'a> {
        #[serde(deserialize_with = "number")]
        pub(crate) client_id: u64,
        #[serde(rename = "account_id", deserialize_with = "number")]
        pub(crate) _account_id: u64,
        /// `OWNER` or `DISPONENT`.
        #[serde(borrow)]
        pub(crate) r#type: Cow<'a, str>,
    }

    /// A loan.
    pub(crate) struct Loan<'a> {
        #[serde(deserialize_with = "number")]
        pub(crate) loan_id: u64,
        #[serde(rename = "account_id", deserialize_with = "number")]
        pub(crate) _account_id: u64,
        #[serde(deserialize_with = "number")]
        pub(crate) date: u32,
        pub(crate) amount: Amount,
        #[serde(deserialize_with = "number")]
        pub(crate) duration: u32,
        #[serde(borrow)]
        pub(crate) status: Cow<'a, str>,
    }

    /// A standing order.
    pub(crate) struct Order<'a> {
        #[serde(deserialize_with = "number")]
        pub(crate) order_id: u64,
        #[serde(deserialize_with = "number")]
        pub(crate) account_id: u64,
        pub(crate) amount: Amount,
        #[serde(borrow)]
        pub(crate) k_symbol: Cow<'a, str>,
    }

    /// A transaction on an account.
    pub(crate) struct Trans<'a> {
        #[serde(deserialize_with = "number")]
        pub(crate) trans_id: u64,
        #[serde(deserialize_with = "number")]
        pub(crate) account_id: u64,
        #[serde(deserialize_with = "number")]
        pub(crate) date: u32,
        pub(crate) amount: Amount,
        #[serde(borrow)]
        pub(crate) k_symbol: Cow<'a, str>,
    }

    /// A pledged property. Only the synthetic bank has it.
    pub(crate) struct Property<'a> {
        #[serde(deserialize_with = "number")]
        pub(crate) property_id: u64,
        #[serde(borrow)]
        pub(crate) kind: Cow<'a, str>,
        pub(crate) value: Amount,
        #[serde(deserialize_with = "number")]
        pub(crate) valued: u32,
        #[serde(borrow)]
        pub(crate) street: Cow<'a, str>,
        #[serde(borrow)]
        pub(crate) zip: Cow<'a, str>,
        #[serde(borrow)]
        pub(crate) city: Cow<'a, str>,
    }

    /// A pledge of a property for a loan. Only the synthetic bank has it.
    pub(crate) struct Pledge {
        #[serde(deserialize_with = "number")]
        pub(crate) pledge_id: u64,
        #[serde(deserialize_with = "number")]
        pub(crate) loan_id: u64,
        #[serde(deserialize_with = "number")]
        pub(crate) property_id: u64,
        #[serde(deserialize_with = "number")]
        pub(crate) client_id: u64,
        #[serde(deserialize_with = "number")]
        pub(crate) rank: u32,
        pub(crate) amount: Amount,
    }

    /// An account.
    pub(crate) struct Account {
        #[serde(rename = "account_id", deserialize_with = "number")]
        _account_id: u64,
    }

    /// A card.
    pub(crate) struct Card {
        #[serde(rename = "card_id", deserialize_with = "number")]
        _card_id: u64,
    }

    /// A district.
    pub(crate) struct District {
        #[serde(rename = "A1", deserialize_with = "number")]
        _key: u64,
    }
}

/// Returns the digits of a whole number in a field, as they are written, from a number or from text, without reading the
/// rest of the record. Returns none if the field has another value or is absent.
///
/// Lookups compare text, so a lookup by these digits finds what is written alike in the other table, leading zeros
/// included.
pub(crate) fn digits<'a>(record: &Record<'a>, field: &str) -> Option<&'a str> {
    let digits = record.raw(field)?.trim_matches('"');
    (!digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())).then_some(digits)
}

/// Returns the whole number in a field: see [`digits`].
pub(crate) fn whole_number(record: &Record, field: &str) -> Option<u64> {
    digits(record, field)?.parse().ok()
}

/// Returns the day that the bank writes as YYMMDD. A number that is no day gives the issue `INVALID_FORMAT` at `field`.
pub(crate) fn day(number: u32, field: &str) -> Result<Date, Finding> {
    yymmdd(number).ok_or_else(|| finding("INVALID_FORMAT", field))
}

/// Returns an amount in Czech crowns, the bank's only currency. A negative amount, or one with more than two fraction
/// digits, gives the issue `OUT_OF_RANGE` at `field`.
pub(crate) fn czk(amount: Amount, field: &str) -> Result<Money<'static>, Finding> {
    if amount.0.is_sign_negative() || amount.0.normalize().scale() > 2 {
        return Err(finding("OUT_OF_RANGE", field));
    }
    Ok(Money::new(amount.0, "CZK"))
}
