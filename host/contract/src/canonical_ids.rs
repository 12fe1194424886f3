//! The canonical form of ids: hyphenated, in lower case. Records are rewritten once, where they enter, so that ids that
//! are equal are equal as text in staging and in a target.

use super::description::EntityType;
use super::wire::ColumnKind;

/// Name of a field that identifies a record or a part of one, at any depth.
const OWN_ID: &str = "referenceId";

/// Length of a hyphenated UUID.
const UUID_LENGTH: usize = 36;

/// The fields of an entity type that hold ids.
#[derive(Clone, Debug, Default)]
pub struct CanonicalIds {
    /// Paths of the fields, with `[]` for each list on the way.
    paths: Vec<String>,
}

impl CanonicalIds {
    /// Returns the fields that hold ids: the columns of ids, the references, and each field `referenceId`.
    pub fn new(entity_type: &EntityType) -> Self {
        let columns = entity_type.columns.iter().filter(|column| column.kind == ColumnKind::Id);
        let columns = columns.map(|column| column.path.clone());
        Self { paths: columns.chain(entity_type.references.iter().map(|reference| reference.path.clone())).collect() }
    }

    /// Rewrites the ids of a record in their canonical form, in place. The record is one valid JSON object. Returns true
    /// if that changed anything.
    ///
    /// Ids are canonical almost always. That is decided by a search for hyphens, without reading the JSON.
    pub fn canonicalise(&self, record: &mut [u8]) -> bool {
        may_differ(record) && self.rewrite(record, "")
    }

    /// Rewrites the ids of records that lie end to end, and end at `ends`. Returns true if that changed anything.
    pub fn canonicalise_all(&self, bytes: &mut [u8], ends: &[u32]) -> bool {
        let (mut start, mut changed) = (0, false);
        for &end in ends {
            if let Some(record) = bytes.get_mut(start..end as usize) {
                changed |= self.canonicalise(record);
            }
            start = end as usize;
        }
        changed
    }

    /// Rewrites the ids of a JSON value that is the record's value at `path`. Returns true if that changed anything.
    pub fn canonicalise_value(&self, value: &mut [u8], path: &str) -> bool {
        may_differ(value) && self.rewrite(value, path)
    }

    fn rewrite(&self, json: &mut [u8], start: &str) -> bool {
        let mut path = start.to_owned();
        // Open objects and lists: true for an object, and the length of its path.
        let mut open: Vec<(bool, usize)> = vec![];
        let (mut at, mut named, mut changed) = (0, false, false);
        while let Some(&byte) = json.get(at) {
            match byte {
                b'{' => {
                    open.push((true, path.len()));
                    named = true;
                }
                b'[' => {
                    open.push((false, path.len()));
                    path.push_str("[]");
                    named = false;
                }
                b'}' | b']' => {
                    path.truncate(open.pop().map_or(0, |(_, length)| length));
                    named = false;
                }
                b',' => {
                    if let Some(&(true, length)) = open.last() {
                        path.truncate(length);
                        named = true;
                    }
                }
                b'"' => {
                    let Some(end) = end_of_text(json, at) else { return changed };
                    if named {
                        if !path.is_empty() {
                            path.push('.');
                        }
                        // No declared name has an escape, so an escaped name matches none.
                        path.push_str(&String::from_utf8_lossy(&json[at + 1..end - 1]));
                        named = false;
                    } else if self.is_id(&path) {
                        changed |= rewrite_text(&mut json[at..end]);
                    }
                    at = end;
                    continue;
                }
                _ => {}
            }
            at += 1;
        }
        changed
    }

    fn is_id(&self, path: &str) -> bool {
        path.rsplit('.').next() == Some(OWN_ID) || self.paths.iter().any(|known| known == path)
    }
}

/// Returns true if a JSON text may have an id that is not canonical: a string with the hyphens of a UUID and an
/// upper-case digit, or an escaped ASCII character.
fn may_differ(json: &[u8]) -> bool {
    let upper = |text: &[u8]| text.iter().any(|byte| (b'A'..=b'F').contains(byte));
    for hyphen in memchr::memchr_iter(b'-', json) {
        let Some(quote) = hyphen.checked_sub(9) else { continue };
        let text = json.get(quote..quote + UUID_LENGTH + 2);
        if let Some([b'"', id @ .., b'"']) = text
            && upper(id)
        {
            return true;
        }
    }
    let mut rest = json;
    while let Some(at) = memchr::memchr(b'\\', rest) {
        if rest[at..].starts_with(b"\\u00") {
            return true;
        }
        rest = rest.get(at + 2..).unwrap_or_default();
    }
    false
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

/// Rewrites a JSON string in place, if it is a UUID. Returns true if that changed it. A string that had escapes is
/// shorter afterwards, and spaces follow it.
fn rewrite_text(text: &mut [u8]) -> bool {
    let mut id = [0; UUID_LENGTH];
    let Some(()) = decode(&text[1..text.len() - 1], &mut id) else { return false };
    if !is_uuid(&id) {
        return false;
    }
    id.make_ascii_lowercase();
    if text[1..text.len() - 1] == id {
        return false;
    }
    text[1..=UUID_LENGTH].copy_from_slice(&id);
    text[UUID_LENGTH + 1] = b'"';
    text[UUID_LENGTH + 2..].fill(b' ');
    true
}

/// Decodes ASCII text of exactly the length of a UUID, with escapes by number or without.
fn decode(text: &[u8], out: &mut [u8; UUID_LENGTH]) -> Option<()> {
    let (mut rest, mut length) = (text, 0);
    while let [first, after @ ..] = rest {
        let byte = if *first == b'\\' {
            let digits = std::str::from_utf8(after.strip_prefix(b"u00")?.get(..2)?).ok()?;
            rest = &after[5..];
            u8::from_str_radix(digits, 16).ok()?
        } else {
            rest = after;
            *first
        };
        *out.get_mut(length)? = byte;
        length += 1;
    }
    (length == UUID_LENGTH).then_some(())
}

fn is_uuid(text: &[u8; UUID_LENGTH]) -> bool {
    text.iter().enumerate().all(|(place, byte)| match place {
        8 | 13 | 18 | 23 => *byte == b'-',
        _ => byte.is_ascii_hexdigit(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::description::{Column, Reference};
    use sluice_model::Name;

    const UPPER: &str = "AAAAAAAA-0000-4000-8000-0000000000AB";
    const LOWER: &str = "aaaaaaaa-0000-4000-8000-0000000000ab";

    fn ids() -> CanonicalIds {
        let column = |path: &str, kind| Column { name: Name::new("c"), path: path.into(), kind };
        CanonicalIds::new(&EntityType {
            name: Name::new("things"),
            columns: vec![
                column("referenceId", ColumnKind::Id),
                column("name", ColumnKind::Text),
                column("inside.id", ColumnKind::Id),
                column("parts", ColumnKind::Json),
            ],
            references: vec![
                Reference { path: "others[]".into(), entity_type: "things".into() },
                Reference { path: "parts[].to".into(), entity_type: "things".into() },
            ],
            amounts: vec![],
        })
    }

    /// Ids become canonical wherever an id stands, and nothing else changes. `U` stands for an id in upper case.
    #[test]
    fn ids_become_canonical() {
        let changed = [
            r#"{"referenceId":"U"}"#,
            r#"{ "name" : "n", "others" : [ "U" , "U" ], "amount":1.50 }"#,
            r#"{"inside":{"id":"U"},"parts":[{"to":"U"},{"referenceId":"U","deep":[{"referenceId":"U"}]}]}"#,
        ];
        for record in changed {
            let mut upper = record.replace('U', UPPER).into_bytes();
            assert!(ids().canonicalise(&mut upper), "{record}");
            assert_eq!(String::from_utf8(upper).unwrap(), record.replace('U', LOWER));
            let mut lower = record.replace('U', LOWER).into_bytes();
            assert!(!ids().canonicalise(&mut lower), "{record}");
        }
        let same = [
            r#"{"name":"U","text":"U","id":"U","inside":{"name":"U"},"other":["U"],"U":1}"#,
            r#"{"referenceId":"AAAAAAAA00004000800000000000000AB"}"#,
            r#"{"referenceId":"{U}","others":["U U"],"inside":{"id":"urn:uuid:U"}}"#,
            r#"{"referenceId":"GAAAAAAA-0000-4000-8000-0000000000AB"}"#,
            r#"{"name":"\"referenceId\":\"U\""}"#,
            r#"{"others":[["U"]]}"#,
            r#"{"referenceId"#,
            r#"{"referenceId":"U"#,
        ];
        for record in same {
            let text = record.replace('U', UPPER);
            let mut bytes = text.clone().into_bytes();
            assert!(!ids().canonicalise(&mut bytes), "{record}");
            assert_eq!(String::from_utf8(bytes).unwrap(), text);
        }
    }

    /// An escaped id becomes canonical as well. The record keeps its length.
    #[test]
    fn escaped_ids_become_canonical() {
        for (escaped, changed) in [("\\u0041", true), ("\\u0061", true), ("\\u00e4", false), ("\\n", false)] {
            let text = format!(r#"{{"referenceId":"{escaped}{}","others":["x"]}}"#, &LOWER[1..]);
            let mut bytes = text.clone().into_bytes();
            assert_eq!(ids().canonicalise(&mut bytes), changed, "{text}");
            let expected = format!(r#"{{"referenceId":"{LOWER}"     ,"others":["x"]}}"#);
            assert_eq!(String::from_utf8(bytes).unwrap(), if changed { expected } else { text });
        }
    }

    /// The records of a batch, and the value of a column, become canonical.
    #[test]
    fn batches_and_values_become_canonical() {
        let records = [r#"{"referenceId":"U"}"#, r#"{"name":"U"}"#, "not json", r#"{"others":["U"]}"#];
        let texts: Vec<String> = records.iter().map(|record| record.replace('U', UPPER)).collect();
        let mut ends = vec![];
        for text in &texts {
            ends.push(ends.last().unwrap_or(&0) + text.len() as u32);
        }
        let mut bytes = texts.concat().into_bytes();
        assert!(ids().canonicalise_all(&mut bytes, &ends));
        let expected =
            [records[0].replace('U', LOWER), texts[1].clone(), texts[2].clone(), records[3].replace('U', LOWER)];
        assert_eq!(String::from_utf8(bytes).unwrap(), expected.concat());

        let mut value = format!(r#"[{{"to":"{UPPER}","name":"{UPPER}"}}]"#).into_bytes();
        assert!(ids().canonicalise_value(&mut value, "parts"));
        assert_eq!(String::from_utf8(value).unwrap(), format!(r#"[{{"to":"{LOWER}","name":"{UPPER}"}}]"#));
    }
}
