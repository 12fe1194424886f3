//! The grammar of decimals, which is the same in every SDK. The contract states it in `wit/types.wit`.

use rust_decimal::Decimal;

/// Maximum number of fraction digits, and of places by which an exponent moves the point to the right.
const MAX_SCALE: i32 = 28;

/// Limit of the digits without the point: the number of bits in a [`Decimal`].
const UNITS_LIMIT: u128 = 1 << 96;

/// Number of digits that always fit in 64 bits.
const NARROW_DIGITS: usize = 19;

/// Reads `-?(0|[1-9][0-9]*)(\.[0-9]+)?`, followed by an exponent if `has_exponent` permits one. Returns none for any
/// other text, and for a number that does not fit exactly.
///
/// It adds the digits up in 64 bits, which is fast in the sandbox, and again in 128 bits if there are many.
pub(crate) fn read(text: &str, has_exponent: bool) -> Option<Decimal> {
    let (is_negative, number) = match text.as_bytes() {
        [b'-', number @ ..] => (true, number),
        number => (false, number),
    };
    let mut units = 0u64;
    let mut add = |at: usize| {
        let digit = number.get(at)?.wrapping_sub(b'0');
        (digit < 10).then(|| units = units.wrapping_mul(10).wrapping_add(u64::from(digit)))
    };
    let mut end = 0;
    while add(end).is_some() {
        end += 1;
    }
    if end == 0 || end > 1 && number[0] == b'0' {
        return None;
    }
    let (mut digits, mut fraction) = (end, 0);
    if number.get(end) == Some(&b'.') {
        while add(end + 1 + fraction).is_some() {
            fraction += 1;
        }
        if fraction == 0 {
            return None;
        }
        digits += fraction;
        end += 1 + fraction;
    }
    let exponent = match &number[end..] {
        [] => 0,
        [b'e' | b'E', rest @ ..] if has_exponent => exponent(rest)?,
        _ => return None,
    };
    let units = if digits <= NARROW_DIGITS { units.into() } else { wide(&number[..end])? };
    decimal(is_negative, units, i32::try_from(fraction).ok()?.saturating_sub(exponent))
}

/// Returns the value of an exponent: a sign, which may be absent, and digits.
fn exponent(text: &[u8]) -> Option<i32> {
    let (sign, digits) = match text {
        [b'-', digits @ ..] => (-1, digits),
        [b'+', digits @ ..] => (1, digits),
        digits => (1, digits),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let value = digits.iter().fold(0i32, |sum, digit| sum.saturating_mul(10).saturating_add(i32::from(digit - b'0')));
    Some(sign * value)
}

/// Returns all digits of a number as one number. Passes over the point.
fn wide(number: &[u8]) -> Option<u128> {
    number.iter().filter(|byte| **byte != b'.').try_fold(0u128, |units, digit| {
        let units = units * 10 + u128::from(digit - b'0');
        (units < UNITS_LIMIT).then_some(units)
    })
}

/// Returns `units` divided by ten to the power of `scale`.
fn decimal(is_negative: bool, mut units: u128, mut scale: i32) -> Option<Decimal> {
    if !(-MAX_SCALE..=MAX_SCALE).contains(&scale) {
        return None;
    }
    while scale < 0 {
        units *= 10;
        scale += 1;
        if units >= UNITS_LIMIT {
            return None;
        }
    }
    let part = |shift: u32| (units >> shift) as u32;
    Some(Decimal::from_parts(part(0), part(32), part(64), is_negative && units > 0, scale.unsigned_abs()))
}
