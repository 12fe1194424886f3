//! Reads a scalar as the kind of its field. The result is the value, or the code of an issue.

use std::borrow::Cow;

use rust_decimal::Decimal;

use crate::countries::is_country;
use crate::identifiers::IdentifierKind;
use crate::money::fraction_digits;
use crate::schema::{Kind, MAX_EMAIL};
use crate::str_eq::str_eq;
use crate::{Amount, Id};

/// A valid scalar. It holds only a value that other checks need.
pub(crate) enum Scalar<'a> {
    /// A scalar that no other check needs.
    Plain,
    /// Reference id of the record.
    ReferenceId(Id),
    /// Reference to a record: entity type and id.
    Reference(&'static str, Id),
    /// Index of a word of [`Kind::OneOf`].
    Word(u8),
    /// An amount.
    Amount(Decimal),
    /// Number of fraction digits of a currency.
    Digits(u32),
    /// Kind of the object's identifier, if its check digits can be checked.
    IdentifierKind(Option<IdentifierKind>),
    /// An identifier.
    Identifier(Cow<'a, str>),
}

const INVALID_FORMAT: &str = "INVALID_FORMAT";
const INVALID_VALUE: &str = "INVALID_VALUE";
const OUT_OF_RANGE: &str = "OUT_OF_RANGE";

/// Reads the raw JSON text of a value that is not `null`. Returns the code of an issue if the value does not fit the
/// kind.
pub(crate) fn read(kind: Kind, raw: &str) -> Result<Scalar<'_>, &'static str> {
    match kind {
        // In the contract, sixteen zero bytes stand for a record without an id.
        Kind::ReferenceId => match id(raw)? {
            id if id.0.is_nil() => Err(INVALID_VALUE),
            id => Ok(Scalar::ReferenceId(id)),
        },
        Kind::Id => id(raw).map(|_| Scalar::Plain),
        Kind::Reference(entity_type) => id(raw).map(|id| Scalar::Reference(entity_type, id)),
        Kind::Text(most) => text(raw, most).map(|_| Scalar::Plain),
        Kind::IdentifierKind(most) => text(raw, most).map(|name| Scalar::IdentifierKind(IdentifierKind::named(&name))),
        Kind::Identifier(most) => text(raw, most).map(Scalar::Identifier),
        Kind::Email => {
            let text = text(raw, MAX_EMAIL)?;
            let parts = text.split_once('@').is_some_and(|(user, host)| {
                !user.is_empty() && !host.is_empty() && !host.contains('@') && !text.contains(char::is_whitespace)
            });
            if parts { Ok(Scalar::Plain) } else { Err(INVALID_FORMAT) }
        }
        Kind::Boolean => match raw {
            "true" | "false" => Ok(Scalar::Plain),
            _ => Err(INVALID_FORMAT),
        },
        Kind::Integer(least, most) => {
            let digits = raw.strip_prefix('-').unwrap_or(raw);
            // Serde reads "-0" as a float, so it is no whole number.
            if !digits.bytes().all(|byte| byte.is_ascii_digit()) || raw == "-0" {
                return Err(INVALID_FORMAT);
            }
            match raw.parse() {
                Ok(number) if (least..=most).contains(&number) => Ok(Scalar::Plain),
                _ => Err(OUT_OF_RANGE),
            }
        }
        Kind::Decimal(least, most) => {
            if !raw.starts_with(|first: char| first == '-' || first.is_ascii_digit()) {
                return Err(INVALID_FORMAT);
            }
            match Amount::parse_json(raw) {
                Some(Amount(number)) if number >= least.into() && number <= most.into() => Ok(Scalar::Amount(number)),
                _ => Err(OUT_OF_RANGE),
            }
        }
        Kind::Date => crate::date(&string(raw)?).map(|_| Scalar::Plain).ok_or(INVALID_FORMAT),
        Kind::Currency => fraction_digits(&string(raw)?).map(Scalar::Digits).ok_or(INVALID_VALUE),
        Kind::Country if is_country(&string(raw)?) => Ok(Scalar::Plain),
        Kind::Country => Err(INVALID_VALUE),
        Kind::OneOf(words) => {
            let word = string(raw)?;
            words
                .iter()
                .position(|known| str_eq(known, &word))
                .map(|index| Scalar::Word(index as u8))
                .ok_or(INVALID_VALUE)
        }
        Kind::Object(_) | Kind::List(..) | Kind::Money | Kind::MoneyWith(_) => Err(INVALID_FORMAT),
    }
}

/// Reads a UUID.
fn id(raw: &str) -> Result<Id, &'static str> {
    Id::parse(&string(raw)?).ok_or(INVALID_FORMAT)
}

/// Reads text of at most `most` characters. It must have a character other than white space and no NUL, which databases
/// refuse.
fn text(raw: &str, most: usize) -> Result<Cow<'_, str>, &'static str> {
    let text = string(raw)?;
    let has_letter_first = text.bytes().next().is_some_and(|first| first.is_ascii_graphic());
    if !has_letter_first && text.trim().is_empty() {
        Err(INVALID_VALUE)
    } else if text.len() > most && text.chars().count() > most {
        Err(OUT_OF_RANGE)
    } else if matches!(&text, Cow::Owned(text) if text.contains('\0')) {
        Err(INVALID_FORMAT)
    } else {
        Ok(text)
    }
}

/// Reads a JSON string.
fn string(raw: &str) -> Result<Cow<'_, str>, &'static str> {
    let inner = raw.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).ok_or(INVALID_FORMAT)?;
    if memchr::memchr(b'\\', inner.as_bytes()).is_some() {
        serde_json::from_str(raw).map(Cow::Owned).map_err(|_| INVALID_FORMAT)
    } else {
        Ok(Cow::Borrowed(inner))
    }
}
