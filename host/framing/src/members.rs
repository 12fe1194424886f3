//! Reads members of a JSON object, and validates the object at the same time.

use std::borrow::Cow;
use std::fmt;

use hashbrown::HashSet;
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::Fault;

/// Validates that `record` is one JSON object without duplicate fields and not nested deeper than `max_depth`. Passes each
/// member to `member`: its name, and its value as raw JSON text.
pub fn scan_object<'a>(record: &'a [u8], max_depth: usize, mut member: impl FnMut(&str, &'a str)) -> Result<(), Fault> {
    if too_deep(record, max_depth) {
        return Err(Fault::Depth);
    }
    if record.first() != Some(&b'{') {
        let json = serde_json::from_slice::<serde::de::IgnoredAny>(record).is_ok();
        return Err(if json { Fault::NotAnObject } else { Fault::Json });
    }
    let mut json = serde_json::Deserializer::from_slice(record);
    let members = json.deserialize_map(MembersVisitor).and_then(|members| json.end().map(|()| members));
    let members = members.map_err(|_| Fault::Json)?;
    let (names, values): (Vec<_>, Vec<_>) = members.into_iter().unzip();
    if duplicate(&names).is_some() {
        return Err(Fault::DuplicateField);
    }
    names.iter().zip(values).for_each(|(name, value)| member(name, value.get()));
    Ok(())
}

/// Returns true if an object inside this value has a duplicate field. The value must come from a validated object.
pub fn repeats_a_field(json: &str) -> bool {
    repeated_field(json).is_some()
}

/// Returns the name of a field that an object of this JSON text has twice, if there is one. The text must be valid.
pub fn repeated_field(json: &str) -> Option<String> {
    if !json.starts_with(['{', '[']) {
        return None;
    }
    let bytes = json.as_bytes();
    // Names of the open objects, and the index of the first name of each; `None` for a list.
    let (mut names, mut open): (Vec<Cow<str>>, Vec<Option<usize>>) = (vec![], vec![]);
    let (mut at, mut named) = (0, false);
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'{' => open.push(Some(names.len())),
            b'[' => open.push(None),
            b'}' | b']' => {
                let first = open.pop().flatten().unwrap_or(names.len());
                if let Some(repeated) = duplicate(&names[first..]) {
                    return Some(repeated.to_string());
                }
                names.truncate(first);
            }
            b'"' => {
                let end = end_of_text(bytes, at)?;
                if named {
                    let escaped = serde_json::from_str(&json[at..end]).map(|MemberName(name)| name);
                    names.push(escaped.unwrap_or(Cow::Borrowed(&json[at..end])));
                }
                at = end - 1;
            }
            _ => {}
        }
        // In an object, a name follows the opening bracket or a comma.
        named = match byte {
            b'{' => true,
            b',' => matches!(open.last(), Some(Some(_))),
            b' ' | b'\t' | b'\r' | b'\n' => named,
            _ => false,
        };
        at += 1;
    }
    None
}

/// Maximum number of names that are compared pairwise. For more names a hash set is used: comparing the names of an object
/// with a hundred thousand fields pairwise would take ten seconds.
const FEW_NAMES: usize = 32;

/// Returns a name that occurs twice.
fn duplicate<'a>(names: &'a [Cow<str>]) -> Option<&'a str> {
    if names.len() <= FEW_NAMES {
        let twice = names.iter().enumerate().find(|(index, name)| names[..*index].contains(name));
        return twice.map(|(_, name)| &**name);
    }
    let mut seen = HashSet::with_capacity(names.len());
    names.iter().find(|name| !seen.insert(*name)).map(|name| &**name)
}

/// Returns the text of a JSON scalar as a key. `576` and `"576"` have the same text. Returns `None` for `null`, an empty
/// string, an object and a list.
pub fn scalar_text(json: &str) -> Option<Cow<'_, str>> {
    match json.as_bytes().first()? {
        b'"' => {
            let inner = &json[1..json.len() - 1];
            let text =
                if inner.contains('\\') { serde_json::from_str(json).ok().map(Cow::Owned)? } else { inner.into() };
            (!text.is_empty()).then_some(text)
        }
        b'{' | b'[' | b'n' => None,
        _ => Some(json.into()),
    }
}

/// Returns the value of a member of a validated JSON object as raw JSON text, if the object has it. Only quotes and
/// brackets are read before the member, and nothing after it.
pub fn member_of<'a>(object: &'a str, name: &str) -> Option<&'a str> {
    let bytes = object.as_bytes();
    let blank = |at: usize| {
        let rest = bytes.get(at..).unwrap_or_default();
        at + rest.iter().take_while(|byte| byte.is_ascii_whitespace()).count()
    };
    let mut at = blank(0);
    // A comma precedes each member except the first.
    while matches!(bytes.get(at)?, b'{' | b',') {
        let start = blank(at + 1);
        let after = end_of_value(bytes, start)?;
        let key = object.get(start + 1..after - 1).filter(|_| bytes[start] == b'"')?;
        let colon = blank(after);
        let value = blank(colon + 1);
        let end = end_of_value(bytes, value)?;
        let found = match key.contains('\\') {
            false => key == name,
            true => serde_json::from_str::<MemberName>(&object[start..after]).is_ok_and(|key| key.0 == name),
        };
        if found {
            return object.get(value..end);
        }
        at = blank(end);
    }
    None
}

/// Returns the end of the value that begins at `start`.
fn end_of_value(json: &[u8], start: usize) -> Option<usize> {
    let (mut at, mut depth) = (start, 0usize);
    loop {
        match json.get(at)? {
            b'"' => at = end_of_text(json, at)?,
            b'{' | b'[' => (at, depth) = (at + 1, depth + 1),
            b'}' | b']' => (at, depth) = (at + 1, depth.checked_sub(1)?),
            _ if depth > 0 => at += 1,
            // A number, or `true`, `false` or `null`.
            _ => {
                let end = |byte: &u8| matches!(byte, b',' | b'}' | b']' | b' ' | b'\t' | b'\n' | b'\r');
                return Some(json[at..].iter().position(end).map_or(json.len(), |length| at + length));
            }
        }
        if depth == 0 {
            return Some(at);
        }
    }
}

/// Returns the end of the string that begins at `start`.
fn end_of_text(json: &[u8], start: usize) -> Option<usize> {
    let mut at = start + 1;
    loop {
        at += memchr::memchr2(b'"', b'\\', json.get(at..)?)?;
        if json[at] == b'"' {
            return Some(at + 1);
        }
        at += 2;
    }
}

/// Returns true if objects and lists are nested deeper than `max_depth`. Counting brackets is cheap and almost always
/// sufficient. Only a record with more brackets than that is read again without the brackets in strings.
fn too_deep(record: &[u8], max_depth: usize) -> bool {
    let opening = memchr::memchr2_iter(b'{', b'[', record);
    if opening.take(max_depth + 1).count() <= max_depth {
        return false;
    }
    let (mut depth, mut in_string, mut escaped) = (0usize, false, false);
    for &byte in record {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => depth += 1,
            b'}' | b']' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > max_depth {
            return true;
        }
    }
    false
}

#[derive(Deserialize)]
struct MemberName<'a>(#[serde(borrow)] Cow<'a, str>);

struct MembersVisitor;

impl<'de> Visitor<'de> for MembersVisitor {
    type Value = Vec<(Cow<'de, str>, &'de RawValue)>;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::with_capacity(16);
        while let Some(MemberName(name)) = map.next_key()? {
            members.push((name, map.next_value()?));
        }
        Ok(members)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scans() {
        let deep = format!("{{\"a\":{}1{}}}", "[".repeat(10_000), "]".repeat(10_000));
        let cases: &[(&str, &str, Result<&str, Fault>)] = &[
            ("object", r#"{"a":1,"b":"x"}"#, Ok(r#"a=1 b="x" "#)),
            ("empty", "{}", Ok("")),
            ("array", "[{}]", Err(Fault::NotAnObject)),
            ("scalar", "1", Err(Fault::NotAnObject)),
            ("words", "hello", Err(Fault::Json)),
            ("cut", r#"{"a":"#, Err(Fault::Json)),
            ("more after it", r#"{"a":1}{"b":2}"#, Err(Fault::Json)),
            ("twice", r#"{"a":1,"a":1}"#, Err(Fault::DuplicateField)),
            ("twice by escape", "{\"a\":1,\"\\u0061\":1}", Err(Fault::DuplicateField)),
            ("beyond a double", r#"{"a":1e999}"#, Ok("a=1e999 ")),
            ("deep", &deep, Err(Fault::Depth)),
            ("brackets in a string", r#"{"a":"[[[[[[[["}"#, Ok(r#"a="[[[[[[[[" "#)),
        ];
        for (name, record, expected) in cases {
            let mut seen = String::new();
            let scanned =
                scan_object(record.as_bytes(), 4, |name, value| seen += &format!("{name}={value} ")).map(|()| &*seen);
            assert_eq!(scanned, *expected, "{name}");
        }
    }

    #[test]
    fn finds_the_same_as_it_scans() {
        let records = [
            r#"{"a":1,"b":"x","c":{"a":[1,{"d":"}"}]},"d":null}"#,
            r#"{ "a" : [ ] , "b":{"a":1} ,"c":"a\"b,\"d\":1","d" : -1.5e3 }"#,
            r#"{"\u0061":true,"b,":"{","b":[[],{}],"c":"\\"}"#,
            "{}",
            "{ }",
        ];
        for record in records {
            for wanted in ["a", "b", "c", "d", "absent", ""] {
                let mut scanned = None;
                scan_object(record.as_bytes(), 10, |name, value| {
                    if name == wanted {
                        scanned = Some(value);
                    }
                })
                .unwrap();
                assert_eq!(member_of(record, wanted), scanned, "{wanted} of {record}");
            }
        }
        for broken in [
            "",
            "[",
            "{",
            r#"{"a"#,
            r#"{"a""#,
            r#"{"a":"#,
            r#"{"a":"x"#,
            r#"{"a":"x\"#,
            "{1:2}",
            "{]",
            "{\"b\"}",
            "\"a\"",
        ] {
            assert_eq!(member_of(broken, "a"), None, "{broken}");
        }
    }

    /// An object with a million fields is validated about as fast as many small objects.
    #[test]
    fn a_field_among_very_many_is_found_twice() {
        // Comparing this many fields pairwise would take many minutes.
        let fields: Vec<String> = (0..1_000_000).map(|number| format!("\"{number}\":0")).collect();
        let once = format!("{{{}}}", fields.join(","));
        let twice = format!("{},\"7\":0}}", &once[..once.len() - 1]);
        assert_eq!(scan_object(once.as_bytes(), 4, |_, _| {}), Ok(()));
        assert_eq!(scan_object(twice.as_bytes(), 4, |_, _| {}), Err(Fault::DuplicateField));
        assert!(!repeats_a_field(&once) && repeats_a_field(&twice));
    }

    #[test]
    fn fields_twice_inside() {
        let cases = [
            (r#"{"a":1,"b":{"a":1},"c":[{"a":1},{"a":1}]}"#, false),
            (r#"["a","a",{"a":"a","b":"a,\"a\":"}]"#, false),
            (r#"{"a":{"b":1 , "c":2 , "b" : 1}}"#, true),
            (r#"[[{"a":1e999,"a":"\ud800"}]]"#, true),
            (r#"{"a":[{}],"\u0061":1}"#, true),
            (r#"{"\ud800":1,"\ud801":1}"#, false),
            (r#"{"\ud800":1,"\ud800":1}"#, true),
            ("1", false),
            (r#""a""#, false),
        ];
        for (json, expected) in cases {
            assert_eq!(repeats_a_field(json), expected, "{json}");
        }
    }

    #[test]
    fn keys() {
        let cases = [
            ("576", Some("576")),
            (r#""576""#, Some("576")),
            (r#""a\nb""#, Some("a\nb")),
            ("null", None),
            (r#""""#, None),
            ("[1]", None),
            ("true", Some("true")),
        ];
        for (json, expected) in cases {
            assert_eq!(scalar_text(json).as_deref(), expected, "{json}");
        }
    }
}
