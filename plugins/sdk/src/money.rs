//! Money: exact decimals with the currency's own number of fraction digits, never a float.

use std::borrow::Cow;
use std::str::FromStr;

use rust_decimal::Decimal;
use serde::ser::SerializeStruct;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

use crate::serializer::RAW;

/// A decimal that is read from the digits of a JSON number, or of a string that holds one, and
/// written as a JSON number with the very same digits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Amount(pub Decimal);

impl Amount {
    /// The number that these digits spell; none when it is not a number, or has more than 28 digits.
    pub fn parse(digits: &str) -> Option<Self> {
        if digits.contains(['e', 'E']) {
            return Decimal::from_scientific(digits).ok().map(Self);
        }
        Decimal::from_str_exact(digits).ok().map(Self)
    }
}

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = <&RawValue>::deserialize(deserializer)?.get();
        let digits = raw.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(raw);
        Self::parse(digits).ok_or_else(|| serde::de::Error::custom("not a decimal number"))
    }
}

impl Serialize for Amount {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // As `RawValue` does it, which would look once more whether the digits are JSON.
        let mut room = [0; MOST_DIGITS];
        let mut raw = serializer.serialize_struct(RAW, 1)?;
        raw.serialize_field(RAW, &*digits(self.0, &mut room))?;
        raw.end()
    }
}

/// 29 digits, a sign and a point.
const MOST_DIGITS: usize = 31;

/// All the digits of a decimal, from the last to the first.
fn digits(number: Decimal, room: &mut [u8; MOST_DIGITS]) -> Cow<'_, str> {
    let Ok(mut rest) = u64::try_from(number.mantissa().unsigned_abs()) else { return number.to_string().into() };
    let mut start = MOST_DIGITS;
    let mut put = |byte| {
        start -= 1;
        room[start] = byte;
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
    String::from_utf8_lossy(&room[start..])
}

/// An amount in a currency.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Money<'a> {
    /// How much.
    pub amount: Amount,
    /// ISO 4217 code, such as `CZK`.
    #[serde(borrow)]
    pub currency: Cow<'a, str>,
}

impl Money<'static> {
    /// So much, in the currency with this code.
    pub fn new(amount: Decimal, currency: &'static str) -> Self {
        Self { amount: Amount(amount), currency: currency.into() }
    }
}

/// How many fraction digits a currency has; none when ISO 4217 does not know the code.
pub fn fraction_digits(currency: &str) -> Option<u32> {
    iso_currency::Currency::from_str(currency).ok().map(|known| u32::from(known.exponent().unwrap_or(0)))
}

/// The amount in the currency's minor unit; none when it has more fraction digits than the currency,
/// the currency is unknown, or the number does not fit.
pub fn minor_units(amount: Decimal, currency: &str) -> Option<i64> {
    minor_units_of(amount, fraction_digits(currency)?)
}

/// The same where the currency's fraction digits are known.
pub(crate) fn minor_units_of(amount: Decimal, digits: u32) -> Option<i64> {
    let mut scaled = amount.normalize();
    if scaled.scale() > digits {
        return None;
    }
    scaled.rescale(digits);
    i64::try_from(scaled.mantissa()).ok()
}

/// The amount that is so many of the currency's minor units, written with all its fraction digits;
/// none where the currency is unknown.
pub fn from_minor_units(units: i64, currency: &str) -> Option<Amount> {
    fraction_digits(currency).map(|digits| Amount(Decimal::new(units, digits)))
}

/// How money is rounded: half up, as one does by hand, and not to the even neighbour.
pub const HALF_UP: rust_decimal::RoundingStrategy = rust_decimal::RoundingStrategy::MidpointAwayFromZero;
