//! The only words that logs, issues, counts and problem documents are made of: fixed in this source, or declared
//! in a plugin's description before it has seen a record. None of them can be made of text that comes along.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use serde::{Serialize, Serializer};

/// Text that is fixed in the source, or was declared.
#[derive(Clone)]
enum Text {
    Fixed(&'static str),
    Declared(Arc<str>),
}

impl Text {
    fn as_str(&self) -> &str {
        match self {
            Text::Fixed(text) => text,
            Text::Declared(text) => text,
        }
    }
}

/// What all kinds of words have in common: they can be read as text, compared and shown.
macro_rules! word {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone)]
        pub struct $name(Text);

        impl std::ops::Deref for $name {
            type Target = str;
            fn deref(&self) -> &str {
                self.0.as_str()
            }
        }
        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                self
            }
        }
        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                self
            }
        }
        impl PartialEq for $name {
            fn eq(&self, other: &Self) -> bool {
                **self == **other
            }
        }
        impl Eq for $name {}
        impl PartialEq<str> for $name {
            fn eq(&self, other: &str) -> bool {
                **self == *other
            }
        }
        impl PartialEq<&str> for $name {
            fn eq(&self, other: &&str) -> bool {
                **self == **other
            }
        }
        impl PartialOrd for $name {
            fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
                Some(self.cmp(other))
            }
        }
        impl Ord for $name {
            fn cmp(&self, other: &Self) -> std::cmp::Ordering {
                (**self).cmp(&**other)
            }
        }
        impl std::hash::Hash for $name {
            fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
                (**self).hash(state);
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self)
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self)
            }
        }
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self)
            }
        }
    };
}

word! {
    /// What happened, or what is wrong: `SCREAMING_SNAKE_CASE`, at most 64 bytes.
    Code
}
word! {
    /// What something is called: a source, an entity type, a plugin, a count, one of a few values. At most 64
    /// letters, digits and `-_.`.
    Name
}
word! {
    /// A plugin's version: at most 32 letters, digits and `.-+`.
    Version
}
word! {
    /// The name of a field, as a description declares it.
    FieldName
}
word! {
    /// Where in a record: declared names, indexes, and `?` for what may not be told. Empty for all of it.
    FieldPath
}

/// Longest code or name.
const MAX_WORD_BYTES: usize = 64;
/// Longest version.
const MAX_VERSION_BYTES: usize = 32;
/// Longest name of a field.
const MAX_FIELD_BYTES: usize = 200;

const fn is_code(text: &str) -> bool {
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        if !(bytes[at].is_ascii_uppercase() || bytes[at].is_ascii_digit() || bytes[at] == b'_') {
            return false;
        }
        at += 1;
    }
    at > 0 && at <= MAX_WORD_BYTES
}

fn is_word(text: &str, most: usize, marks: &[u8]) -> bool {
    (1..=most).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || marks.contains(&byte))
}

fn declared(text: &str) -> Text {
    Text::Declared(text.into())
}

impl Code {
    /// A code that is fixed in the source; anything else than a code is a mistake there.
    pub const fn new(code: &'static str) -> Self {
        assert!(is_code(code));
        Self(Text::Fixed(code))
    }

    /// A code out of a description; none if it is not made like one.
    pub fn declared(code: &str) -> Option<Self> {
        is_code(code).then(|| Self(declared(code)))
    }

    /// A code that was kept: what is kept was a code before.
    pub fn kept(code: &str) -> Self {
        Self::declared(code).unwrap_or(UNDECLARED_CODE)
    }
}

impl From<&'static str> for Code {
    fn from(code: &'static str) -> Self {
        Self::new(code)
    }
}

/// Stands for a code that a plugin has not declared.
pub const UNDECLARED_CODE: Code = Code::new("UNDECLARED_CODE");

impl Name {
    /// A name that is fixed in the source.
    pub const fn new(name: &'static str) -> Self {
        Self(Text::Fixed(name))
    }

    /// A name out of a description; none if it is not made like one.
    pub fn declared(name: &str) -> Option<Self> {
        is_word(name, MAX_WORD_BYTES, b"-_.").then(|| Self(declared(name)))
    }

    /// A name out of the operator's own configuration.
    pub fn configured(name: &str) -> Option<Self> {
        Self::declared(name)
    }

    /// A name that was kept: what is kept was a name before.
    pub fn kept(name: &str) -> Self {
        Self::declared(name).unwrap_or(Self::new("?"))
    }
}

impl From<&'static str> for Name {
    fn from(name: &'static str) -> Self {
        Self::new(name)
    }
}

impl Version {
    /// A version out of a description.
    pub fn declared(version: &str) -> Option<Self> {
        is_word(version, MAX_VERSION_BYTES, b".-+").then(|| Self(declared(version)))
    }

    /// A version that was kept: what is kept was a version before.
    pub fn kept(version: &str) -> Self {
        Self::declared(version).unwrap_or(Self(Text::Fixed("?")))
    }
}

impl FieldName {
    /// The name of a field out of a description: an old system's may hold almost anything.
    pub fn declared(name: &str) -> Option<Self> {
        let fits = (1..=MAX_FIELD_BYTES).contains(&name.len());
        let plain = !name.chars().any(|character| character.is_control() || ".[]/?".contains(character));
        (fits && plain).then(|| Self(declared(name)))
    }
}

/// A step of a path.
pub enum Step<'a> {
    /// A field.
    Field(&'a FieldName),
    /// An item of a list.
    Item(u16),
    /// Something that may not be told.
    Hidden,
}

impl FieldPath {
    /// The record as a whole.
    pub const WHOLE: FieldPath = FieldPath(Text::Fixed(""));

    /// The path of these steps.
    pub fn of<'a>(steps: impl IntoIterator<Item = Step<'a>>) -> Self {
        let mut path = String::new();
        for step in steps {
            let name = match step {
                Step::Item(index) => {
                    path += &format!("[{index}]");
                    continue;
                }
                Step::Field(name) => name,
                Step::Hidden => "?",
            };
            if !path.is_empty() {
                path.push('.');
            }
            path += name;
        }
        Self(declared(&path))
    }

    /// The same in a record of this entity type that was made from another.
    pub fn within(&self, entity_type: &Name) -> Self {
        Self(declared(&format!("{entity_type}/{self}")))
    }

    /// A path that was kept.
    pub fn kept(path: &str) -> Self {
        Self(declared(path))
    }
}

/// What a plugin is called: its name and its version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Title {
    /// Its name.
    pub name: Name,
    /// Its version.
    pub version: Version,
}

impl fmt::Display for Title {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name, self.version)
    }
}

word! {
    /// A currency: three upper-case letters.
    Currency
}

impl Currency {
    /// The currency that these letters may stand for: what is not three upper-case letters is none.
    pub fn read(letters: &str) -> Option<Self> {
        let fits = letters.len() == 3 && letters.bytes().all(|letter| letter.is_ascii_uppercase());
        fits.then(|| Self(declared(letters)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Text, and whether it is a code, a name, a version, a field's name.
    const WORDS: &[(&str, [bool; 4])] = &[
        ("DUPLICATE_KEY", [true, true, false, true]),
        ("berka", [false, true, true, true]),
        ("1.0.0-rc+1", [false, false, true, false]),
        ("Příjmení dlužníka", [false, false, false, true]),
        ("a.b", [false, true, true, false]),
        ("Jan Novak", [false, false, false, true]),
        ("a\nb", [false, false, false, false]),
        ("a/b", [false, false, false, false]),
        ("", [false, false, false, false]),
    ];

    #[test]
    fn are_made_like_this() {
        let long = "A".repeat(201);
        for (text, expected) in WORDS.iter().chain(&[(long.as_str(), [false; 4])]) {
            let found = [
                Code::declared(text).is_some(),
                Name::declared(text).is_some(),
                Version::declared(text).is_some(),
                FieldName::declared(text).is_some(),
            ];
            assert_eq!(found, *expected, "{text}");
        }
    }

    #[test]
    fn paths_are_made_of_steps() {
        let [addresses, code] = ["addresses", "postalCode"].map(|name| FieldName::declared(name).unwrap());
        let path = FieldPath::of([Step::Field(&addresses), Step::Item(0), Step::Field(&code), Step::Hidden]);
        assert_eq!(path, "addresses[0].postalCode.?");
        assert_eq!(path.within(&Name::new("counterparties")), "counterparties/addresses[0].postalCode.?");
    }
}
