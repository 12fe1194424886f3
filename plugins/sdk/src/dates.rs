//! Dates: reading the formats of old systems and the platform's `yyyy-MM-dd`.

use jiff::civil::Date;

/// Reads `yyyy-MM-dd`. Returns none if the text has another form or is no calendar day.
pub fn date(text: &str) -> Option<Date> {
    let bytes = text.as_bytes();
    if bytes.len() != 10 || bytes[4] != b'-' || bytes[7] != b'-' {
        return None;
    }
    let number = |range: std::ops::Range<usize>| -> Option<i16> {
        bytes[range].iter().try_fold(0i16, |sum, byte| byte.is_ascii_digit().then(|| sum * 10 + i16::from(byte - b'0')))
    };
    Date::new(number(0..4)?, number(5..7)? as i8, number(8..10)? as i8).ok()
}

/// Reads `YYMMDD` in the 1900s from a number: `930705` is 1993-07-05. Leading zeros may be missing: `10203` is
/// 1901-02-03. Returns none if the number is no calendar day.
pub fn yymmdd(number: u32) -> Option<Date> {
    if number > 999_999 {
        return None;
    }
    Date::new(1900 + (number / 10_000) as i16, (number / 100 % 100) as i8, (number % 100) as i8).ok()
}

/// Returns the same day this number of months later, or the last day of that month if it has no such day. Returns none
/// beyond the year 9999.
pub fn months_after(date: Date, months: u32) -> Option<Date> {
    let month = i64::from(date.year()) * 12 + i64::from(date.month()) - 1 + i64::from(months);
    let first = Date::new(i16::try_from(month.div_euclid(12)).ok()?, month.rem_euclid(12) as i8 + 1, 1).ok()?;
    Date::new(first.year(), first.month(), date.day().min(first.days_in_month())).ok()
}
