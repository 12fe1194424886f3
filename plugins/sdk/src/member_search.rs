//! Search for one member of a JSON object without reading the others.

use std::borrow::Cow;
use std::cell::RefCell;
use std::fmt;

use memchr::memmem::Finder;
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::str_eq::str_eq;

/// A search for members by name. It keeps the prepared finder of each name for the next record.
#[derive(Default)]
pub(crate) struct MemberFinder(RefCell<Vec<(String, Finder<'static>)>>);

impl MemberFinder {
    /// Returns the value of the member with this name as raw JSON text. Returns none if the object has no such member
    /// or is no object. The host has checked before that the object is JSON and has no duplicate names.
    pub fn find<'a>(&self, object: &'a str, name: &str) -> Option<&'a str> {
        let mut finders = self.0.borrow_mut();
        let index = finders.iter().position(|(known, _)| str_eq(known, name)).unwrap_or_else(|| {
            finders.push((name.to_owned(), Finder::new(name).into_owned()));
            finders.len() - 1
        });
        scan(object, name, &finders[index].1).unwrap_or_else(|Inconclusive| {
            let mut json = serde_json::Deserializer::from_str(object);
            json.deserialize_map(MemberReader { name }).ok().flatten()
        })
    }
}

/// The result of a scan that cannot decide. The object must be parsed.
struct Inconclusive;

/// Searches for the name as text. If the object has no escapes and no nested objects, a name in quotes that is followed
/// by a colon is the name of a member.
fn scan<'a>(object: &'a str, name: &str, finder: &Finder) -> Result<Option<&'a str>, Inconclusive> {
    let bytes = object.as_bytes();
    // Such a name also occurs between two texts.
    if name.bytes().all(|byte| matches!(byte, b':' | b',') || byte.is_ascii_whitespace()) {
        return Err(Inconclusive);
    }
    if memchr::memchr2(b'\\', b'{', bytes.get(1..).ok_or(Inconclusive)?).is_some() {
        return Err(Inconclusive);
    }
    for at in finder.find_iter(bytes) {
        let Some(rest) = object[at + name.len()..].strip_prefix('"').filter(|_| object[..at].ends_with('"')) else {
            continue;
        };
        // Without a colon it is a text with the same content.
        let Some(value) = rest.trim_ascii_start().strip_prefix(':') else { continue };
        let value = value.trim_ascii_start();
        let end = match value.bytes().next().ok_or(Inconclusive)? {
            b'[' => return Err(Inconclusive),
            b'"' => memchr::memchr(b'"', &value.as_bytes()[1..]).map(|at| at + 2),
            _ => value.bytes().position(|byte| matches!(byte, b',' | b'}') || byte.is_ascii_whitespace()),
        };
        return Ok(Some(&value[..end.ok_or(Inconclusive)?]));
    }
    Ok(None)
}

/// A reader of one member. It reads the object to its end.
struct MemberReader<'n> {
    name: &'n str,
}

/// The name of a member.
#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de> Visitor<'de> for MemberReader<'_> {
    type Value = Option<&'de str>;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(Name(name)) = map.next_key()? {
            if name == self.name && found.is_none() {
                found = Some(map.next_value::<&RawValue>()?.get());
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The scan and the parser find the same members.
    #[test]
    fn finds_a_member_by_name() {
        let cases = [
            (r#"{"a":1,"b":"x"}"#, "a", Some("1")),
            (r#"{"a":1,"b":"x"}"#, "b", Some(r#""x""#)),
            (r#"{ "a" : -1.50 , "b" : null }"#, "a", Some("-1.50")),
            (r#"{ "a" : -1.50 , "b" : null }"#, "b", Some("null")),
            (r#"{"a":1}"#, "b", None),
            ("{}", "a", None),
            // Texts that equal or contain the name.
            (r#"{"b":"a","a":2}"#, "a", Some("2")),
            (r#"{"ba":1,"ab":2,"a":3}"#, "a", Some("3")),
            (r#"{"b":["a","a"],"a":[1]}"#, "a", Some("[1]")),
            (r#"{"b":"a"}"#, "a", None),
            // Objects that need parsing.
            (r#"{"b":{"a":1},"a":2}"#, "a", Some("2")),
            (r#"{"b":{"a":1}}"#, "a", None),
            (r#"{"b":"\"a\":1","a":2}"#, "a", Some("2")),
            (r#"{"\u0061":3}"#, "a", Some("3")),
            (r#"{"b":"{","a":4}"#, "a", Some("4")),
            (r#"{"a":{"a":1}}"#, "a", Some(r#"{"a":1}"#)),
            (r#"{"":1}"#, "", Some("1")),
            (r#"{"x":":5",":":1}"#, ":", Some("1")),
            (r#"{"x":",:",",":2}"#, ",", Some("2")),
            (r#"{"číslo":"ž"}"#, "číslo", Some(r#""ž""#)),
            // Text that is no object.
            ("", "a", None),
            ("[", "a", None),
            (r#"{"a""#, "a", None),
            (r#"{"a":"#, "a", None),
            (r#"{"a":"x"#, "a", None),
        ];
        let finder = MemberFinder::default();
        for (object, name, expected) in cases {
            assert_eq!(finder.find(object, name), expected, "{name} of {object}");
        }
    }
}
