//! Dates: reading the formats of old systems and the platform's `yyyy-MM-dd`.

use std::fmt;
use std::ops::Deref;

use jiff::civil;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A day. It is read from `yyyy-MM-dd` and written in this form. Unlike `jiff`'s own type, it does not read other forms
/// of ISO 8601, such as a day with a time, which it would cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Date(pub civil::Date);

impl Date {
    /// Returns a day from 0001-01-01 on. Returns none if the calendar has no such day.
    pub fn new(year: i16, month: i8, day: i8) -> Option<Self> {
        civil::Date::new(year, month, day).ok().filter(|_| year > 0).map(Self)
    }
}

impl Deref for Date {
    type Target = civil::Date;

    fn deref(&self) -> &civil::Date {
        &self.0
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Serialize for Date {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Date {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(DateReader)
    }
}

/// A reader of a day.
struct DateReader;

impl serde::de::Visitor<'_> for DateReader {
    type Value = Date;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a day, yyyy-MM-dd")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Date, E> {
        date(text).ok_or_else(|| E::custom("not a day, yyyy-MM-dd"))
    }
}

/// Reads `yyyy-MM-dd`, from 0001-01-01 on. Returns none if the text has another form or is no calendar day.
pub fn date(text: &str) -> Option<Date> {
    let bytes = text.as_bytes();
    if bytes.len() != 10 || bytes[4] != b'-' || bytes[7] != b'-' {
        return None;
    }
    let number = |range: std::ops::Range<usize>| -> Option<i16> {
        bytes[range].iter().try_fold(0i16, |sum, byte| byte.is_ascii_digit().then(|| sum * 10 + i16::from(byte - b'0')))
    };
    Date::new(number(0..4)?, number(5..7)? as i8, number(8..10)? as i8)
}

/// Reads `YYMMDD` in the 1900s from a number: `930705` is 1993-07-05. Leading zeros may be missing: `10203` is
/// 1901-02-03. Returns none if the number is no calendar day.
pub fn yymmdd(number: u32) -> Option<Date> {
    if number > 999_999 {
        return None;
    }
    Date::new(1900 + (number / 10_000) as i16, (number / 100 % 100) as i8, (number % 100) as i8)
}

/// Returns the same day this number of months later, or the last day of that month if it has no such day. Returns none
/// beyond the year 9999.
pub fn months_after(date: Date, months: u32) -> Option<Date> {
    let month = i64::from(date.year()) * 12 + i64::from(date.month()) - 1 + i64::from(months);
    let first = Date::new(i16::try_from(month.div_euclid(12)).ok()?, month.rem_euclid(12) as i8 + 1, 1)?;
    Date::new(first.year(), first.month(), date.day().min(first.days_in_month()))
}
