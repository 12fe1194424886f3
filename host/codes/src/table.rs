//! The table of codes, parsed once.

use std::sync::LazyLock;

use serde::Deserialize;

use crate::definition::{CodeDefinition, CodePlace, ResponsibleParty};

/// Files of the table: names and contents.
const FILES: [(&str, &str); 14] = [
    ("access.toml", include_str!("../table/access.toml")),
    ("calls.toml", include_str!("../table/calls.toml")),
    ("conflict.toml", include_str!("../table/conflict.toml")),
    ("jobs.toml", include_str!("../table/jobs.toml")),
    ("limits.toml", include_str!("../table/limits.toml")),
    ("log.toml", include_str!("../table/log.toml")),
    ("missing.toml", include_str!("../table/missing.toml")),
    ("plugin-causes.toml", include_str!("../table/plugin-causes.toml")),
    ("records-checks.toml", include_str!("../table/records-checks.toml")),
    ("records-host.toml", include_str!("../table/records-host.toml")),
    ("records-read.toml", include_str!("../table/records-read.toml")),
    ("refused.toml", include_str!("../table/refused.toml")),
    ("request.toml", include_str!("../table/request.toml")),
    ("server.toml", include_str!("../table/server.toml")),
];

/// Every definition, by code.
pub(crate) static DEFINITIONS: LazyLock<Vec<CodeDefinition>> = LazyLock::new(|| {
    let files = FILES.iter().flat_map(|(name, text)| entries(name, text));
    let mut definitions: Vec<CodeDefinition> = files.flat_map(CodeEntry::definitions).collect();
    definitions.sort_by(|one, other| one.code.cmp(&other.code));
    definitions
});

/// A file of the table.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CodeFile {
    code: Vec<CodeEntry>,
}

/// An entry of a file.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct CodeEntry {
    code: String,
    /// Other codes with the same definition.
    #[serde(default)]
    also: Vec<String>,
    places: Vec<CodePlace>,
    #[serde(default)]
    status: Vec<u16>,
    #[serde(default)]
    blame: Vec<ResponsibleParty>,
    meaning: String,
    cause: String,
    remedy: String,
    example: String,
}

impl CodeEntry {
    /// Returns a definition for each code of the entry.
    fn definitions(self) -> Vec<CodeDefinition> {
        let definition = CodeDefinition {
            code: self.code,
            places: self.places,
            status: self.status,
            blame: self.blame,
            meaning: self.meaning,
            cause: self.cause,
            remedy: self.remedy,
            example: self.example.trim_end().to_owned(),
        };
        let others = self.also.into_iter().map(|code| CodeDefinition { code, ..definition.clone() });
        let mut definitions: Vec<CodeDefinition> = others.collect();
        definitions.push(definition);
        definitions
    }
}

/// Parses a file of the table.
///
/// # Panics
///
/// Panics if the file does not have the form of the table. A test parses every file.
fn entries(name: &str, text: &str) -> Vec<CodeEntry> {
    let file: CodeFile = toml::from_str(text).unwrap_or_else(|error| panic!("host/codes/table/{name}: {error}"));
    file.code
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    fn folder() -> &'static Path {
        Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/table"))
    }

    #[test]
    fn includes_every_file_of_the_folder() {
        let files = std::fs::read_dir(folder()).unwrap();
        let there: BTreeSet<String> = files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
        assert_eq!(there, FILES.iter().map(|(name, _)| (*name).to_owned()).collect());
    }

    /// A code of two places has one definition, which is true in both.
    #[test]
    fn codes_are_unique_and_sorted() {
        for (name, text) in FILES {
            let entries = entries(name, text);
            assert!(entries.is_sorted_by(|one, other| one.code < other.code), "{name} is not sorted by code");
            for entry in entries {
                assert!(entry.also.is_sorted_by(|one, other| one < other), "{name}: {}", entry.code);
            }
        }
        for pair in DEFINITIONS.windows(2) {
            assert_ne!(pair[0].code, pair[1].code, "the code is defined twice");
        }
    }

    #[test]
    fn codes_have_their_form() {
        let is_code = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
        for CodeDefinition { code, places, status, .. } in DEFINITIONS.iter() {
            assert!(code.bytes().all(is_code) && (1..=64).contains(&code.len()), "{code}");
            assert!(!places.is_empty() && places.is_sorted_by(|one, other| one < other), "{code}: places");
            assert_eq!(places.contains(&CodePlace::Problem), !status.is_empty(), "{code}: only problems have a status");
            assert!(status.iter().all(|status| (400..600).contains(status)), "{code}: status");
            assert!(status.is_sorted_by(|one, other| one < other), "{code}: statuses");
        }
    }

    #[test]
    fn sentences_end_with_a_full_stop() {
        for CodeDefinition { code, meaning, cause, remedy, example, .. } in DEFINITIONS.iter() {
            for (part, most, text) in [("meaning", 1, meaning), ("cause", 3, cause), ("remedy", 3, remedy)] {
                assert!(text.ends_with('.') && !text.ends_with(".."), "{code}: {part}: {text}");
                assert!(text.starts_with(|first: char| first.is_uppercase() || first == '`'), "{code}: {part}: {text}");
                assert!(text.matches(". ").count() < most, "{code}: {part} has too many sentences: {text}");
                assert!(text.trim() == text && !text.contains("  "), "{code}: {part} has blanks: {text}");
                assert!(text.matches('`').count().is_multiple_of(2), "{code}: {part} has an open code span: {text}");
            }
            assert!(!meaning.contains(['`', '\n']) && meaning.len() <= 140, "{code}: a meaning is plain: {meaning}");
            assert!(!example.is_empty() && example.lines().count() <= 5, "{code}: example");
            let fits = |line: &str| line.trim_end() == line && line.chars().count() <= 120;
            assert!(example.lines().all(fits), "{code}: example: {example}");
        }
    }

    /// Every code that plugins may use without declaring it is a code of records.
    #[test]
    fn covers_the_codes_of_the_contract() {
        let lines = include_str!("../../../wit/codes.txt").lines();
        let codes = lines.filter(|line| !line.starts_with('#')).filter_map(|line| line.split_whitespace().next());
        for code in codes {
            let found = crate::find(code).unwrap_or_else(|| panic!("{code} has no definition"));
            assert!(found.places.contains(&CodePlace::Record), "{code} is a code of records");
        }
    }
}
