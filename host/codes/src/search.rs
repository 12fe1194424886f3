//! Search for definitions.

use crate::definition::CodeDefinition;
use crate::table::DEFINITIONS;

/// Maximum number of similar codes: as many as a reader compares at a glance.
const MOST_SIMILAR: usize = 5;

/// Minimum similarity of a code, from 0 to 1. Below it, names have only some letters in common.
const LEAST_SIMILARITY: f64 = 0.9;

/// Returns every definition, sorted by code.
pub fn all() -> &'static [CodeDefinition] {
    &DEFINITIONS
}

/// Returns the definition of a code. Capitals, hyphens and the path of a problem's `type` do not matter.
pub fn find(code: &str) -> Option<&'static CodeDefinition> {
    find_exact(&normalized(code))
}

/// Returns the definition of a code that is written as the table writes it. Allocates nothing.
pub fn find_exact(code: &str) -> Option<&'static CodeDefinition> {
    let at = DEFINITIONS.binary_search_by(|definition| definition.code.as_str().cmp(code)).ok()?;
    Some(&DEFINITIONS[at])
}

/// Returns the definitions of codes that resemble a misspelt one, the most similar first.
pub fn similar(code: &str) -> Vec<&'static CodeDefinition> {
    let asked = normalized(code);
    let rated = DEFINITIONS.iter().map(|definition| (similarity(&asked, &definition.code), definition));
    let mut rated: Vec<_> = rated.filter(|(similarity, _)| *similarity >= LEAST_SIMILARITY).collect();
    rated.sort_by(|(one, _), (other, _)| other.total_cmp(one));
    rated.into_iter().take(MOST_SIMILAR).map(|(_, definition)| definition).collect()
}

/// Returns a code as the table writes it.
fn normalized(code: &str) -> String {
    let name = code.trim().rsplit('/').next().unwrap_or_default();
    name.to_ascii_uppercase().replace(['-', ' '], "_")
}

/// Returns the similarity of two codes, from 0 to 1: by letters, or by words in any order, whichever is greater.
fn similarity(asked: &str, code: &str) -> f64 {
    let best = |word: &str| code.split('_').map(|other| strsim::jaro_winkler(word, other)).fold(0.0, f64::max);
    let [asked_words, words] = [asked, code].map(|name| name.split('_').count() as f64);
    // A code with all asked words resembles them, even if it has others.
    let share = 0.9 + 0.1 * (asked_words / words).min(1.0);
    let by_words = asked.split('_').map(best).sum::<f64>() / asked_words * share;
    by_words.max(strsim::normalized_damerau_levenshtein(asked, code))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names, and the code that is found.
    const FOUND: &[(&str, Option<&str>)] = &[
        ("NOT_VALIDATED", Some("NOT_VALIDATED")),
        ("not-validated", Some("NOT_VALIDATED")),
        (" /problems/NOT_VALIDATED\n", Some("NOT_VALIDATED")),
        ("REMAP_FAILED", Some("REMAP_FAILED")),
        ("STOPPING", Some("STOPPING")),
        ("NOT_VALID", None),
        ("BERKA_NOT_MIGRATED", None),
        ("", None),
    ];

    #[test]
    fn finds_a_code_by_its_name() {
        for (name, code) in FOUND {
            assert_eq!(find(name).map(|definition| definition.code.as_str()), *code, "{name:?}");
        }
    }

    #[test]
    fn finds_every_code() {
        for definition in all() {
            assert_eq!(find(&definition.code), Some(definition));
        }
    }

    /// Misspelt names, and the code that comes first.
    const SIMILAR: &[(&str, Option<&str>)] = &[
        ("NOT_VALID", Some("NOT_VALIDATED")),
        ("WRONG_FIELDCOUNT", Some("WRONG_FIELD_COUNT")),
        ("REFERENCE_UNKNOWN", Some("UNKNOWN_REFERENCE")),
        ("missing field", Some("MISSING_REQUIRED_FIELD")),
        ("DUPLICAT_KEY", Some("DUPLICATE_KEY")),
        ("QQQQQQ", None),
        ("", None),
    ];

    #[test]
    fn names_similar_codes() {
        for (name, first) in SIMILAR {
            let similar = similar(name);
            assert_eq!(similar.first().map(|definition| definition.code.as_str()), *first, "{name}");
            assert!(similar.len() <= MOST_SIMILAR);
        }
    }
}
