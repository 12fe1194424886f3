//! JSON whose amounts are never floats: numbers are read from, and written as, the text they are.

use std::collections::BTreeMap;

use jiff::civil::Date;
use rust_decimal::Decimal;
use serde::{Serialize, Serializer};
use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};

use crate::dates;
use crate::error_codes::{
    INVALID_DATE_FORMAT, INVALID_DATE_TIME_FORMAT, INVALID_JSON_SYNTAX, INVALID_PARAMETERS, MISSING_REQUIRED_PARAMETER,
    PARAMETER_NOT_ALLOWED, Refusal,
};

/// Characters that a text may have.
const MOST_TEXT: usize = 255;

/// Characters that an id may have.
const MOST_ID: usize = 32;

/// An amount, written as a JSON number with all its digits.
#[derive(Clone, Copy, Debug)]
pub struct Amount(pub Decimal);

impl Serialize for Amount {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        RawValue::from_string(self.0.to_string()).map_err(serde::ser::Error::custom)?.serialize(serializer)
    }
}

/// A JSON object that is answered. Kept as text, so that what was sent in comes out unchanged.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(transparent)]
pub struct Fields(pub BTreeMap<String, Box<RawValue>>);

impl Fields {
    /// Sets a member.
    pub fn set<T: Serialize + ?Sized>(&mut self, name: &str, value: &T) {
        if let Ok(raw) = to_raw_value(value) {
            self.0.insert(name.to_owned(), raw);
        }
    }

    /// Sets a member if there is a value, and removes it if there is none.
    pub fn set_if<T: Serialize>(&mut self, name: &str, value: Option<T>) {
        match value {
            Some(value) => self.set(name, &value),
            None => drop(self.0.remove(name)),
        }
    }

    /// A member that is a string.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<String> {
        serde_json::from_str(self.0.get(name)?.get()).ok()
    }
}

/// The same JSON with every number as a string of its digits, but for the counts that are no amounts.
#[must_use]
pub fn digits_as_text(raw: &str) -> Value {
    fn below(name: &str, raw: &RawValue) -> Value {
        match raw.get().as_bytes().first() {
            Some(b'0'..=b'9' | b'-') if name != "number" => Value::String(raw.get().to_owned()),
            Some(b'{' | b'[') if name != "scheduleSettings" => digits_as_text(raw.get()),
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

/// A JSON object that was sent, with the place it has in the request.
pub struct Input {
    at: String,
    pub fields: Fields,
}

impl Input {
    /// A request's body.
    ///
    /// # Errors
    /// No JSON object, or a text in it is longer than 255 characters.
    pub fn read(body: &[u8]) -> Result<Self, Refusal> {
        Self::object_at(body, String::new())
    }

    /// A request's body that is an array of objects.
    ///
    /// # Errors
    /// No such array, or a text in it is longer than 255 characters.
    pub fn read_list(body: &[u8]) -> Result<Vec<Self>, Refusal> {
        let list: Vec<Box<RawValue>> = serde_json::from_slice(body).map_err(|_| INVALID_JSON_SYNTAX.plain())?;
        list.iter().enumerate().map(|(i, raw)| Self::object_at(raw.get().as_bytes(), format!("[{i}]."))).collect()
    }

    fn object_at(text: &[u8], at: String) -> Result<Self, Refusal> {
        let fields: BTreeMap<String, Box<RawValue>> =
            serde_json::from_slice(text).map_err(|_| INVALID_JSON_SYNTAX.plain())?;
        for (name, raw) in &fields {
            let value: Value = serde_json::from_str(raw.get()).unwrap_or(Value::Null);
            if let Some(path) = too_long(&value) {
                return Err(INVALID_PARAMETERS.at(format!("{at}{name}{path}")));
            }
        }
        let given = fields.into_iter().filter(|(_, raw)| raw.get() != "null").collect();
        Ok(Self { at, fields: Fields(given) })
    }

    /// Where a member is in the request.
    #[must_use]
    pub fn source(&self, name: &str) -> String {
        format!("{}{name}", self.at)
    }

    /// Refuses members that are not these. Sets of custom fields, whose names begin with `_`, are let through.
    ///
    /// # Errors
    /// There is another.
    pub fn only(&self, names: &[&str]) -> Result<(), Refusal> {
        match self.fields.0.keys().find(|name| !name.starts_with('_') && !names.contains(&name.as_str())) {
            Some(name) => Err(PARAMETER_NOT_ALLOWED.at(self.source(name))),
            None => Ok(()),
        }
    }

    fn raw(&self, name: &str) -> Option<&str> {
        self.fields.0.get(name).map(|raw| raw.get())
    }

    fn parsed<T>(&self, name: &str, parse: impl Fn(&str) -> Option<T>) -> Result<Option<T>, Refusal> {
        self.raw(name).map(|raw| parse(raw).ok_or_else(|| INVALID_PARAMETERS.at(self.source(name)))).transpose()
    }

    /// # Errors
    /// Not a string.
    pub fn text(&self, name: &str) -> Result<Option<String>, Refusal> {
        self.parsed(name, |raw| serde_json::from_str(raw).ok())
    }

    /// An id: 1..=32 characters.
    ///
    /// # Errors
    /// Not a string of that length.
    pub fn id(&self, name: &str) -> Result<Option<String>, Refusal> {
        let id = self.text(name)?;
        if id.as_ref().is_some_and(|id| id.is_empty() || id.chars().count() > MOST_ID) {
            return Err(INVALID_PARAMETERS.at(self.source(name)));
        }
        Ok(id)
    }

    /// An exact amount, from a number or a string.
    ///
    /// # Errors
    /// Neither, or more digits than 28.
    pub fn amount(&self, name: &str) -> Result<Option<Decimal>, Refusal> {
        self.parsed(name, |raw| {
            let text = raw.strip_prefix('"').and_then(|raw| raw.strip_suffix('"')).unwrap_or(raw);
            Decimal::from_str_exact(text).or_else(|_| Decimal::from_scientific(text)).ok()
        })
    }

    /// # Errors
    /// Not a whole number.
    pub fn integer(&self, name: &str) -> Result<Option<i64>, Refusal> {
        self.parsed(name, |raw| raw.parse().ok())
    }

    /// A plain date, `2016-09-06`.
    ///
    /// # Errors
    /// Anything else.
    pub fn date(&self, name: &str) -> Result<Option<Date>, Refusal> {
        let read = |text: String| dates::read_date(&text).ok_or_else(|| INVALID_DATE_FORMAT.at(self.source(name)));
        self.text(name)?.map(read).transpose()
    }

    /// The day of a date-time with its offset, `2016-09-06T13:37:50+03:00`.
    ///
    /// # Errors
    /// Anything else, a plain date too.
    pub fn date_time(&self, name: &str) -> Result<Option<Date>, Refusal> {
        let read =
            |text: String| dates::read_date_time(&text).ok_or_else(|| INVALID_DATE_TIME_FORMAT.at(self.source(name)));
        self.text(name)?.map(read).transpose()
    }

    /// # Errors
    /// Not an object.
    pub fn object(&self, name: &str) -> Result<Option<Self>, Refusal> {
        let below = format!("{}.", self.source(name));
        let read =
            |raw: &str| Self::object_at(raw.as_bytes(), below).map_err(|_| INVALID_PARAMETERS.at(self.source(name)));
        self.raw(name).map(read).transpose()
    }

    /// # Errors
    /// Not an array of objects.
    pub fn objects(&self, name: &str) -> Result<Vec<Self>, Refusal> {
        let wrong = || INVALID_PARAMETERS.at(self.source(name));
        let Some(raw) = self.raw(name) else { return Ok(vec![]) };
        let list: Vec<Box<RawValue>> = serde_json::from_str(raw).map_err(|_| wrong())?;
        let read = |(i, raw): (usize, &RawValue)| {
            Self::object_at(raw.get().as_bytes(), format!("{}[{i}].", self.source(name))).map_err(|_| wrong())
        };
        list.iter().map(AsRef::as_ref).enumerate().map(read).collect()
    }

    /// What was given, or a refusal because it was not.
    ///
    /// # Errors
    /// It was not given.
    pub fn required<T>(&self, name: &str, given: Option<T>) -> Result<T, Refusal> {
        given.ok_or_else(|| MISSING_REQUIRED_PARAMETER.at(self.source(name)))
    }
}

/// Where in this value a text is too long.
fn too_long(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if text.chars().count() > MOST_TEXT => Some(String::new()),
        Value::Array(list) => list.iter().enumerate().find_map(|(i, value)| Some(format!("[{i}]{}", too_long(value)?))),
        Value::Object(object) => object.iter().find_map(|(name, value)| Some(format!(".{name}{}", too_long(value)?))),
        _ => None,
    }
}
