//! Words: codes, names, versions and field paths. Logs, issues, counts and messages are made of them. A word is fixed
//! in the source, or a plugin's description declares it before the plugin sees a record. So no word can quote a record.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use serde::{Serialize, Serializer};

/// Text that is fixed in the source or declared in a description.
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

/// Defines a kind of word that can be read as text, compared, formatted and serialised.
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
    /// A code of an event or of an issue: `SCREAMING_SNAKE_CASE`, at most 64 bytes.
    Code
}
word! {
    /// A name of a source, an entity type, a plugin, a count or an enumerated value. At most 64 letters, digits and
    /// `-_.`.
    Name
}
word! {
    /// A version of a plugin: at most 32 letters, digits and `.-+`.
    Version
}
word! {
    /// A name of a field, as a description declares it.
    FieldName
}
word! {
    /// A path to a field of a record: declared names, indexes, and `?` for a name that is not declared. The empty path
    /// is the record itself.
    FieldPath
}

/// Maximum length of a code or a name in bytes.
const MAX_WORD_BYTES: usize = 64;
/// Maximum length of a version in bytes.
const MAX_VERSION_BYTES: usize = 32;
/// Maximum length of a field's name in bytes.
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

fn is_word(text: &str, max_bytes: usize, marks: &[u8]) -> bool {
    (1..=max_bytes).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || marks.contains(&byte))
}

fn declared(text: &str) -> Text {
    Text::Declared(text.into())
}

impl Code {
    /// Makes a code that is fixed in the source.
    ///
    /// # Panics
    ///
    /// Panics if the text is not a code, at compile time in a constant.
    pub const fn new(code: &'static str) -> Self {
        assert!(is_code(code));
        Self(Text::Fixed(code))
    }

    /// Reads a code of a description. Returns `None` if the text is not a code.
    pub fn from_description(code: &str) -> Option<Self> {
        is_code(code).then(|| Self(declared(code)))
    }

    /// Reads a stored code. It was a code when it was stored.
    pub fn from_storage(code: &str) -> Self {
        Self::from_description(code).unwrap_or(UNDECLARED_CODE)
    }
}

impl From<&'static str> for Code {
    fn from(code: &'static str) -> Self {
        Self::new(code)
    }
}

/// Code that replaces a code which the plugin has not declared.
pub const UNDECLARED_CODE: Code = Code::new("UNDECLARED_CODE");

impl Name {
    /// Makes a name that is fixed in the source.
    pub const fn new(name: &'static str) -> Self {
        Self(Text::Fixed(name))
    }

    /// Reads a name of a description. Returns `None` if the text is not a name.
    pub fn from_description(name: &str) -> Option<Self> {
        is_word(name, MAX_WORD_BYTES, b"-_.").then(|| Self(declared(name)))
    }

    /// Reads a name of the operator's configuration. Returns `None` if the text is not a name.
    pub fn from_config(name: &str) -> Option<Self> {
        Self::from_description(name)
    }

    /// Reads a stored name. It was a name when it was stored.
    pub fn from_storage(name: &str) -> Self {
        Self::from_description(name).unwrap_or(Self::new("?"))
    }
}

impl From<&'static str> for Name {
    fn from(name: &'static str) -> Self {
        Self::new(name)
    }
}

impl Version {
    /// Reads a version of a description. Returns `None` if the text is not a version.
    pub fn from_description(version: &str) -> Option<Self> {
        is_word(version, MAX_VERSION_BYTES, b".-+").then(|| Self(declared(version)))
    }

    /// Reads a stored version. It was a version when it was stored.
    pub fn from_storage(version: &str) -> Self {
        Self::from_description(version).unwrap_or(Self(Text::Fixed("?")))
    }
}

impl FieldName {
    /// Reads a field's name of a description. Returns `None` if it holds a control character or one of `.[]/?`. Every
    /// other character is allowed, because field names of old systems vary.
    pub fn from_description(name: &str) -> Option<Self> {
        let fits = (1..=MAX_FIELD_BYTES).contains(&name.len());
        let plain = !name.chars().any(|character| character.is_control() || ".[]/?".contains(character));
        (fits && plain).then(|| Self(declared(name)))
    }
}

/// A step of a field path.
pub enum PathStep<'a> {
    /// A field.
    Field(&'a FieldName),
    /// An item of a list.
    Item(u16),
    /// A name that may not be shown.
    Redacted,
}

impl FieldPath {
    /// The path of the record itself.
    pub const WHOLE_RECORD: FieldPath = FieldPath(Text::Fixed(""));

    /// Joins these steps to a path.
    pub fn of<'a>(steps: impl IntoIterator<Item = PathStep<'a>>) -> Self {
        let mut path = String::new();
        for step in steps {
            let name = match step {
                PathStep::Item(index) => {
                    path += &format!("[{index}]");
                    continue;
                }
                PathStep::Field(name) => name,
                PathStep::Redacted => "?",
            };
            if !path.is_empty() {
                path.push('.');
            }
            path += name;
        }
        Self(declared(&path))
    }

    /// Returns the path within a produced record of this entity type.
    pub fn within(&self, entity_type: &Name) -> Self {
        Self(declared(&format!("{entity_type}/{self}")))
    }

    /// Reads a stored path.
    pub fn from_storage(path: &str) -> Self {
        Self(declared(path))
    }
}

/// The name and the version of a plugin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PluginTitle {
    /// Name of the plugin.
    pub name: Name,
    /// Version of the plugin.
    pub version: Version,
}

impl fmt::Display for PluginTitle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name, self.version)
    }
}

word! {
    /// A currency: three upper-case letters.
    Currency
}

impl Currency {
    /// Reads a currency. Returns `None` if the text is not three upper-case letters.
    pub fn parse(letters: &str) -> Option<Self> {
        let fits = letters.len() == 3 && letters.bytes().all(|letter| letter.is_ascii_uppercase());
        fits.then(|| Self(declared(letters)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Texts, and for each whether it is a code, a name, a version and a field's name.
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
    fn words_have_a_form() {
        let long = "A".repeat(201);
        for (text, expected) in WORDS.iter().chain(&[(long.as_str(), [false; 4])]) {
            let found = [
                Code::from_description(text).is_some(),
                Name::from_description(text).is_some(),
                Version::from_description(text).is_some(),
                FieldName::from_description(text).is_some(),
            ];
            assert_eq!(found, *expected, "{text}");
        }
    }

    #[test]
    fn paths_consist_of_steps() {
        let [addresses, code] = ["addresses", "postalCode"].map(|name| FieldName::from_description(name).unwrap());
        let path =
            FieldPath::of([PathStep::Field(&addresses), PathStep::Item(0), PathStep::Field(&code), PathStep::Redacted]);
        assert_eq!(path, "addresses[0].postalCode.?");
        assert_eq!(path.within(&Name::new("counterparties")), "counterparties/addresses[0].postalCode.?");
    }
}
