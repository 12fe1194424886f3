//! Names of a table's header, as they may be shown.

use std::fmt;

/// Maximum number of characters of a name that are shown.
const MAX_CHARACTERS: usize = 64;

/// A name of a column in an uploaded table. It comes from the table, so it exists only if the table's first row was
/// recognised as a header: one of its names is a field that the mapper's description declares. The first row of a table
/// without a header is a record, and none of its values may be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderName(String);

impl HeaderName {
    /// Returns the names of a header. Returns `None` if none of them is among the `declared` fields, apart from blanks and
    /// letter case.
    pub fn of_header(names: &[impl AsRef<str>], declared: &[String]) -> Option<Vec<Self>> {
        let known = |name: &str| declared.iter().any(|field| Self::are_alike(name, field));
        let recognised = names.iter().any(|name| known(name.as_ref()));
        recognised.then(|| names.iter().map(|name| Self(visible(name.as_ref()))).collect())
    }

    /// Returns true if two names differ at most in letter case, and in blanks and hyphens.
    pub fn are_alike(one: &str, other: &str) -> bool {
        simple(one) == simple(other)
    }
}

impl fmt::Display for HeaderName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Returns true for a character that a reader does not see.
fn is_hidden(character: char) -> bool {
    (character.is_whitespace() && character != ' ')
        || character.is_control()
        || matches!(character, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}' | '\u{feff}')
}

/// Returns a name without blanks around it, in lower case, with one sign for blanks and hyphens.
fn simple(name: &str) -> String {
    let trimmed = name.trim_matches(|character: char| character.is_whitespace() || is_hidden(character));
    trimmed
        .to_lowercase()
        .chars()
        .map(|character| if " -\u{a0}".contains(character) { '_' } else { character })
        .collect()
}

/// Returns a name with its hidden characters written as `\u{…}`.
fn visible(name: &str) -> String {
    let mut shown = String::new();
    for character in name.chars().take(MAX_CHARACTERS) {
        match character {
            character if is_hidden(character) => shown.extend(character.escape_unicode()),
            character => shown.push(character),
        }
    }
    if name.chars().nth(MAX_CHARACTERS).is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_a_header_only() {
        let declared = ["client_id".to_owned(), "district".to_owned()];
        let shown = |names: &[&str]| {
            let names = HeaderName::of_header(names, &declared)?;
            Some(names.iter().map(ToString::to_string).collect::<Vec<_>>().join("|"))
        };
        assert_eq!(shown(&["1", "706213", "Novák"]), None);
        assert_eq!(shown(&["client_id\u{a0}", "Příjmení"]).as_deref(), Some("client_id\\u{a0}|Příjmení"));
        assert_eq!(shown(&["\u{feff}Client ID", "x"]).as_deref(), Some("\\u{feff}Client ID|x"));
        assert_eq!(shown(&["district", &"x".repeat(70)]).map(|names| names.chars().count()), Some(9 + 65));
    }
}
