//! JSON with exact amounts. Numbers are read and written as text, never as floating-point values.

use std::collections::BTreeMap;

use jiff::civil::Date;
use rust_decimal::Decimal;
use serde::{Serialize, Serializer};
use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};

use crate::dates;
use crate::error_codes::{
    INVALID_DATE_FORMAT, INVALID_DATE_TIME_FORMAT, INVALID_JSON_SYNTAX, INVALID_PARAMETERS, MISSING_REQUIRED_PARAMETER,
    MambuError, PARAMETER_NOT_ALLOWED,
};

/// Maximum number of characters of a text.
const MAX_TEXT: usize = 255;

/// Maximum number of characters of an id.
const MAX_ID: usize = 32;

/// An amount that is written as a JSON number with all its digits.
#[derive(Clone, Copy, Debug)]
pub struct ExactAmount(pub Decimal);

impl Serialize for ExactAmount {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        RawValue::from_string(self.0.to_string()).map_err(serde::ser::Error::custom)?.serialize(serializer)
    }
}

/// A JSON object in a response. Values are stored as text, so that received values are returned unchanged.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(transparent)]
pub struct JsonObject(pub BTreeMap<String, Box<RawValue>>);

impl JsonObject {
    /// Sets a member.
    pub fn set<T: Serialize + ?Sized>(&mut self, name: &str, value: &T) {
        if let Ok(raw) = to_raw_value(value) {
            self.0.insert(name.to_owned(), raw);
        }
    }

    /// Sets a member if there is a value. Removes it otherwise.
    pub fn set_if<T: Serialize>(&mut self, name: &str, value: Option<T>) {
        match value {
            Some(value) => self.set(name, &value),
            None => drop(self.0.remove(name)),
        }
    }

    /// Returns a member that is a string.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<String> {
        serde_json::from_str(self.0.get(name)?.get()).ok()
    }
}

/// Returns the same JSON with each number as a string of its digits. Counts, which are no amounts, stay numbers.
#[must_use]
pub fn numbers_as_strings(raw: &str) -> Value {
    fn below(name: &str, raw: &RawValue) -> Value {
        match raw.get().as_bytes().first() {
            Some(b'0'..=b'9' | b'-') if name != "number" => Value::String(raw.get().to_owned()),
            Some(b'{' | b'[') if name != "scheduleSettings" => numbers_as_strings(raw.get()),
            _ => serde_json::from_str(raw.get()).unwrap_or(Value::Null),
        }
    }
    if let Ok(object) = serde_json::from_str::<BTreeMap<String, Box<RawValue>>>(raw) {
        object.iter().map(|(name, raw)| (name.clone(), below(name, raw))).collect()
    } else if let Ok(array) = serde_json::from_str::<Vec<Box<RawValue>>>(raw) {
        array.iter().map(|raw| below("", raw)).collect()
    } else {
        Value::Null
    }
}

/// A JSON object in a request, with its position in the request.
pub struct Input {
    /// Position of the object, as a prefix of the positions of its members.
    prefix: String,
    /// Members that are not null.
    pub fields: JsonObject,
}

impl Input {
    /// Parses the body of a request.
    ///
    /// # Errors
    /// Fails if the body is not a JSON object, or a text is longer than 255 characters.
    pub fn read(body: &[u8]) -> Result<Self, MambuError> {
        Self::object_at(body, String::new())
    }

    /// Parses the body of a request that is an array of objects.
    ///
    /// # Errors
    /// Fails if the body is not such an array, or a text is longer than 255 characters.
    pub fn read_list(body: &[u8]) -> Result<Vec<Self>, MambuError> {
        let list: Vec<Box<RawValue>> =
            serde_json::from_slice(body).map_err(|_| INVALID_JSON_SYNTAX.without_source())?;
        list.iter().enumerate().map(|(i, raw)| Self::object_at(raw.get().as_bytes(), format!("[{i}]."))).collect()
    }

    fn object_at(text: &[u8], prefix: String) -> Result<Self, MambuError> {
        let fields: BTreeMap<String, Box<RawValue>> =
            serde_json::from_slice(text).map_err(|_| INVALID_JSON_SYNTAX.without_source())?;
        for (name, raw) in &fields {
            let value: Value = serde_json::from_str(raw.get()).unwrap_or(Value::Null);
            if let Some(path) = find_long_text(&value) {
                return Err(INVALID_PARAMETERS.at(format!("{prefix}{name}{path}")));
            }
        }
        let given = fields.into_iter().filter(|(_, raw)| raw.get() != "null").collect();
        Ok(Self { prefix, fields: JsonObject(given) })
    }

    /// Returns the position of a member in the request.
    #[must_use]
    pub fn source(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// Checks that the object has no other members than these. Accepts sets of custom fields, whose names begin with
    /// `_`.
    ///
    /// # Errors
    /// Fails if there is another member.
    pub fn allow_only(&self, names: &[&str]) -> Result<(), MambuError> {
        match self.fields.0.keys().find(|name| !name.starts_with('_') && !names.contains(&name.as_str())) {
            Some(name) => Err(PARAMETER_NOT_ALLOWED.at(self.source(name))),
            None => Ok(()),
        }
    }

    fn raw(&self, name: &str) -> Option<&str> {
        self.fields.0.get(name).map(|raw| raw.get())
    }

    fn parse_member<T>(&self, name: &str, parse: impl Fn(&str) -> Option<T>) -> Result<Option<T>, MambuError> {
        self.raw(name).map(|raw| parse(raw).ok_or_else(|| INVALID_PARAMETERS.at(self.source(name)))).transpose()
    }

    /// Returns a string.
    ///
    /// # Errors
    /// Fails if the member is not a string.
    pub fn text(&self, name: &str) -> Result<Option<String>, MambuError> {
        self.parse_member(name, |raw| serde_json::from_str(raw).ok())
    }

    /// Returns an id of 1 to 32 characters.
    ///
    /// # Errors
    /// Fails if the member is not a string of that length.
    pub fn id(&self, name: &str) -> Result<Option<String>, MambuError> {
        let id = self.text(name)?;
        if id.as_ref().is_some_and(|id| id.is_empty() || id.chars().count() > MAX_ID) {
            return Err(INVALID_PARAMETERS.at(self.source(name)));
        }
        Ok(id)
    }

    /// Returns an exact amount from a number or a string.
    ///
    /// # Errors
    /// Fails if the member is neither, or has more than 28 digits.
    pub fn amount(&self, name: &str) -> Result<Option<Decimal>, MambuError> {
        self.parse_member(name, |raw| {
            let text = raw.strip_prefix('"').and_then(|raw| raw.strip_suffix('"')).unwrap_or(raw);
            Decimal::from_str_exact(text).or_else(|_| Decimal::from_scientific(text)).ok()
        })
    }

    /// Returns an integer.
    ///
    /// # Errors
    /// Fails if the member is not an integer.
    pub fn integer(&self, name: &str) -> Result<Option<i64>, MambuError> {
        self.parse_member(name, |raw| raw.parse().ok())
    }

    /// Returns a plain date such as `2016-09-06`.
    ///
    /// # Errors
    /// Fails if the member has another format.
    pub fn date(&self, name: &str) -> Result<Option<Date>, MambuError> {
        let read = |text: String| dates::parse_date(&text).ok_or_else(|| INVALID_DATE_FORMAT.at(self.source(name)));
        self.text(name)?.map(read).transpose()
    }

    /// Returns the day of a date-time with an offset, such as `2016-09-06T13:37:50+03:00`.
    ///
    /// # Errors
    /// Fails if the member has another format, including a plain date.
    pub fn date_time(&self, name: &str) -> Result<Option<Date>, MambuError> {
        let read =
            |text: String| dates::parse_date_time(&text).ok_or_else(|| INVALID_DATE_TIME_FORMAT.at(self.source(name)));
        self.text(name)?.map(read).transpose()
    }

    /// Returns an object.
    ///
    /// # Errors
    /// Fails if the member is not an object.
    pub fn object(&self, name: &str) -> Result<Option<Self>, MambuError> {
        let below = format!("{}.", self.source(name));
        let read =
            |raw: &str| Self::object_at(raw.as_bytes(), below).map_err(|_| INVALID_PARAMETERS.at(self.source(name)));
        self.raw(name).map(read).transpose()
    }

    /// Returns an array of objects, empty if the member is absent.
    ///
    /// # Errors
    /// Fails if the member is not an array of objects.
    pub fn objects(&self, name: &str) -> Result<Vec<Self>, MambuError> {
        let wrong = || INVALID_PARAMETERS.at(self.source(name));
        let Some(raw) = self.raw(name) else { return Ok(vec![]) };
        let list: Vec<Box<RawValue>> = serde_json::from_str(raw).map_err(|_| wrong())?;
        let read = |(i, raw): (usize, &RawValue)| {
            Self::object_at(raw.get().as_bytes(), format!("{}[{i}].", self.source(name))).map_err(|_| wrong())
        };
        list.iter().map(AsRef::as_ref).enumerate().map(read).collect()
    }

    /// Returns the value of a required member.
    ///
    /// # Errors
    /// Fails if the value is absent.
    pub fn required<T>(&self, name: &str, given: Option<T>) -> Result<T, MambuError> {
        given.ok_or_else(|| MISSING_REQUIRED_PARAMETER.at(self.source(name)))
    }
}

/// Returns the position of the first text that is too long.
fn find_long_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if text.chars().count() > MAX_TEXT => Some(String::new()),
        Value::Array(list) => {
            list.iter().enumerate().find_map(|(i, value)| Some(format!("[{i}]{}", find_long_text(value)?)))
        }
        Value::Object(object) => {
            object.iter().find_map(|(name, value)| Some(format!(".{name}{}", find_long_text(value)?)))
        }
        _ => None,
    }
}
