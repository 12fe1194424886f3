//! Whole numbers. Old systems deliver them as JSON numbers or, in tables (CSV), as text. The platform has text fields
//! for some of them.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserializer, Error, Visitor};
use serde::ser::Serializer;

/// Reads a whole number from a JSON number, or from a string that consists of digits.
///
/// ```
/// # use sluice_sdk::prelude::*;
/// reads! {
///     struct Client {
///         #[serde(deserialize_with = "number")]
///         client_id: u64,
///     }
/// }
/// # let read = |text| serde_json::from_str::<Client>(text).map(|client| client.client_id).ok();
/// assert_eq!(read(r#"{"client_id":7}"#), Some(7));
/// assert_eq!(read(r#"{"client_id":"7"}"#), Some(7));
/// assert_eq!(read(r#"{"client_id":" 7"}"#), None);
/// ```
pub fn number<'de, D: Deserializer<'de>, T: TryFrom<u64>>(deserializer: D) -> Result<T, D::Error> {
    deserializer.deserialize_any(WholeNumber(PhantomData))
}

/// Writes a whole number as a string of digits. It is faster than `Display` in the sandbox.
///
/// ```
/// # use sluice_sdk::prelude::*;
/// writes! {
///     struct Reference {
///         #[serde(serialize_with = "digits")]
///         value: u64,
///     }
/// }
/// assert_eq!(serde_json::to_string(&Reference { value: 7 }).unwrap(), r#"{"value":"7"}"#);
/// ```
pub fn digits<S: Serializer>(number: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(itoa::Buffer::new().format(*number))
}

/// A reader of a whole number.
struct WholeNumber<T>(PhantomData<T>);

impl<T: TryFrom<u64>> Visitor<'_> for WholeNumber<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a whole number")
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<T, E> {
        T::try_from(number).map_err(|_| E::custom("not a number of this size"))
    }

    fn visit_str<E: Error>(self, digits: &str) -> Result<T, E> {
        let number = digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok()).flatten();
        number.ok_or_else(|| E::custom("not a whole number")).and_then(|number| self.visit_u64(number))
    }
}
