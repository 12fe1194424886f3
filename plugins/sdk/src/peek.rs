//! One member of a JSON object, found without reading the others.

use std::borrow::Cow;
use std::cell::RefCell;
use std::fmt;

use memchr::memmem::Finder;
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::words::same;

/// Names that were searched for in a batch: what a search is prepared with is kept from one record to the next.
#[derive(Default)]
pub(crate) struct Members(RefCell<Vec<(String, Finder<'static>)>>);

impl Members {
    /// The value of the member with this name, as raw JSON text; none where the object has none, or is none. The object
    /// was judged before: it is JSON, and has no name twice.
    pub fn find<'a>(&self, object: &'a str, name: &str) -> Option<&'a str> {
        let mut finders = self.0.borrow_mut();
        let index = finders.iter().position(|(known, _)| same(known, name)).unwrap_or_else(|| {
            finders.push((name.to_owned(), Finder::new(name).into_owned()));
            finders.len() - 1
        });
        at_a_glance(object, name, &finders[index].1).unwrap_or_else(|Unclear| {
            let mut json = serde_json::Deserializer::from_str(object);
            json.deserialize_map(Search { name }).ok().flatten()
        })
    }
}

/// What a search for the name in quotes cannot tell.
struct Unclear;

/// Where nothing is escaped and no object is inside another, a name in quotes with a colon behind it is a member's name.
fn at_a_glance<'a>(object: &'a str, name: &str, finder: &Finder) -> Result<Option<&'a str>, Unclear> {
    let bytes = object.as_bytes();
    // Such a name also stands between one text and the next.
    if name.bytes().all(|byte| matches!(byte, b':' | b',') || byte.is_ascii_whitespace()) {
        return Err(Unclear);
    }
    if memchr::memchr2(b'\\', b'{', bytes.get(1..).ok_or(Unclear)?).is_some() {
        return Err(Unclear);
    }
    for at in finder.find_iter(bytes) {
        let Some(rest) = object[at + name.len()..].strip_prefix('"').filter(|_| object[..at].ends_with('"')) else {
            continue;
        };
        // Or it is a text that says the same.
        let Some(value) = rest.trim_ascii_start().strip_prefix(':') else { continue };
        let value = value.trim_ascii_start();
        let end = match value.bytes().next().ok_or(Unclear)? {
            b'[' => return Err(Unclear),
            b'"' => memchr::memchr(b'"', &value.as_bytes()[1..]).map(|at| at + 2),
            _ => value.bytes().position(|byte| matches!(byte, b',' | b'}') || byte.is_ascii_whitespace()),
        };
        return Ok(Some(&value[..end.ok_or(Unclear)?]));
    }
    Ok(None)
}

/// Reads an object to its end, and keeps one member.
struct Search<'n> {
    name: &'n str,
}

#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de> Visitor<'de> for Search<'_> {
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

    /// At a glance or by reading: the same is found.
    #[test]
    fn finds_members() {
        let cases = [
            (r#"{"a":1,"b":"x"}"#, "a", Some("1")),
            (r#"{"a":1,"b":"x"}"#, "b", Some(r#""x""#)),
            (r#"{ "a" : -1.50 , "b" : null }"#, "a", Some("-1.50")),
            (r#"{ "a" : -1.50 , "b" : null }"#, "b", Some("null")),
            (r#"{"a":1}"#, "b", None),
            ("{}", "a", None),
            // A text that says the same, or has it in it.
            (r#"{"b":"a","a":2}"#, "a", Some("2")),
            (r#"{"ba":1,"ab":2,"a":3}"#, "a", Some("3")),
            (r#"{"b":["a","a"],"a":[1]}"#, "a", Some("[1]")),
            (r#"{"b":"a"}"#, "a", None),
            // What only reading tells.
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
            // What is no object.
            ("", "a", None),
            ("[", "a", None),
            (r#"{"a""#, "a", None),
            (r#"{"a":"#, "a", None),
            (r#"{"a":"x"#, "a", None),
        ];
        let members = Members::default();
        for (object, name, expected) in cases {
            assert_eq!(members.find(object, name), expected, "{name} of {object}");
        }
    }
}
