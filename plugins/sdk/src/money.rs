//! Money: exact decimals with the number of fraction digits of their currency, never floats.

use std::borrow::Cow;
use std::str::FromStr;

use rust_decimal::Decimal;
use serde::ser::SerializeStruct;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

use crate::serializer::RAW;

/// An exact decimal. It is read from a JSON number, or from a string with an amount, and written as a JSON number with
/// the same digits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Amount(pub Decimal);

impl Amount {
    /// Reads an amount as text: `-?(0|[1-9][0-9]*)(\.[0-9]+)?`. Returns none for any other text, and for a number that
    /// has more than 28 fraction digits or whose digits without the point are 2^96 or more.
    pub fn parse(text: &str) -> Option<Self> {
        crate::decimals::read(text, false).map(Self)
    }

    /// Reads a JSON number, which may have an exponent. The limits of [`parse`](Self::parse) apply to the number written
    /// without its exponent.
    pub fn parse_json(number: &str) -> Option<Self> {
        crate::decimals::read(number, true).map(Self)
    }
}

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = <&RawValue>::deserialize(deserializer)?.get();
        let amount = match raw.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
            None => Self::parse_json(raw),
            Some(text) if text.contains('\\') => {
                serde_json::from_str(raw).ok().and_then(|text: String| Self::parse(&text))
            }
            Some(text) => Self::parse(text),
        };
        amount.ok_or_else(|| serde::de::Error::custom("not an amount"))
    }
}

impl Serialize for Amount {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // The same protocol as that of `RawValue`, without its check that the digits are JSON.
        let mut buffer = [0; MAX_DIGITS];
        let mut raw = serializer.serialize_struct(RAW, 1)?;
        raw.serialize_field(RAW, &*digits(self.0, &mut buffer))?;
        raw.end()
    }
}

/// Maximum length of a decimal as text: 29 digits, a sign and a point.
const MAX_DIGITS: usize = 31;

/// Returns all digits of a decimal. Writes them from the last to the first.
fn digits(number: Decimal, buffer: &mut [u8; MAX_DIGITS]) -> Cow<'_, str> {
    let Ok(mut rest) = u64::try_from(number.mantissa().unsigned_abs()) else { return number.to_string().into() };
    let mut start = MAX_DIGITS;
    let mut put = |byte| {
        start -= 1;
        buffer[start] = byte;
    };
    let mut places = 0;
    while rest > 0 || places <= number.scale() {
        if places > 0 && places == number.scale() {
            put(b'.');
        }
        put(b'0' + (rest % 10) as u8);
        rest /= 10;
        places += 1;
    }
    if number.is_sign_negative() {
        put(b'-');
    }
    String::from_utf8_lossy(&buffer[start..])
}

/// An amount in a currency.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Money<'a> {
    /// Amount, in units of the currency.
    pub amount: Amount,
    /// ISO 4217 code of the currency, such as `CZK`.
    #[serde(borrow)]
    pub currency: Cow<'a, str>,
}

impl Money<'static> {
    /// Creates an amount in the currency with this code.
    pub fn new(amount: Decimal, currency: &'static str) -> Self {
        Self { amount: Amount(amount), currency: currency.into() }
    }
}

/// Returns the number of fraction digits of a currency. Returns none if ISO 4217 does not have the code.
pub fn fraction_digits(currency: &str) -> Option<u32> {
    iso_currency::Currency::from_str(currency).ok().map(|known| u32::from(known.exponent().unwrap_or(0)))
}

/// Returns the amount in the minor unit of the currency. Returns none if the amount has more fraction digits than the
/// currency, the currency is unknown, or the number does not fit in 64 bits.
pub fn minor_units(amount: Decimal, currency: &str) -> Option<i64> {
    minor_units_of(amount, fraction_digits(currency)?)
}

/// Returns the amount in the minor unit of a currency with this number of fraction digits. See [`minor_units`].
pub(crate) fn minor_units_of(amount: Decimal, digits: u32) -> Option<i64> {
    let mut scaled = amount.normalize();
    if scaled.scale() > digits {
        return None;
    }
    scaled.rescale(digits);
    i64::try_from(scaled.mantissa()).ok()
}

/// Returns the amount for this number of minor units, with all fraction digits of the currency. Returns none if the
/// currency is unknown.
pub fn from_minor_units(units: i64, currency: &str) -> Option<Amount> {
    fraction_digits(currency).map(|digits| Amount(Decimal::new(units, digits)))
}

/// Rounding of money: half up, not to the even neighbour.
pub const HALF_UP: rust_decimal::RoundingStrategy = rust_decimal::RoundingStrategy::MidpointAwayFromZero;
