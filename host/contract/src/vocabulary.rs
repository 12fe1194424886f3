//! The vocabulary of a plugin: its declared codes, the platform's codes, and the names of declared fields. Any other text
//! may be data of a record, so it is kept only where records are kept.

use std::sync::LazyLock;

use hashbrown::{HashMap, HashSet};

use super::failure::Confidential;
use sluice_model::{Code, FieldName, FieldPath, Name, PathStep, UNDECLARED_CODE};

/// Codes of the platform, which every plugin may use.
static PLATFORM_CODES: LazyLock<HashSet<&'static str>> = LazyLock::new(|| {
    let lines = include_str!("../../../wit/codes.txt").lines();
    lines.filter(|line| !line.starts_with('#')).filter_map(|line| line.split_whitespace().next()).collect()
});

/// Code of a path with an undeclared name.
const UNDECLARED_FIELD: Code = Code::new("UNDECLARED_FIELD");

/// Maximum number of undeclared texts that are kept of one batch. The author needs a few, and a plugin that returns one
/// for every record must not fill the disk.
const MAX_UNDECLARED: usize = 20;

/// Maximum number of steps in a path. No domain nests records deeper.
const MAX_STEPS: usize = 16;

/// Maximum number of digits of an index.
const MAX_INDEX_DIGITS: usize = 4;

/// A text that a plugin used without declaring it.
#[derive(Clone, Debug)]
pub struct UndeclaredText {
    /// Position of the record in the batch, if the text was about one.
    pub position: Option<u32>,
    /// `UNDECLARED_CODE` or `UNDECLARED_FIELD`.
    pub code: Code,
    /// The text.
    pub text: Confidential,
}

/// The declared codes and names of fields of a plugin.
#[derive(Clone)]
pub struct Vocabulary {
    codes: HashSet<Code>,
    /// Names of fields by source or entity type.
    fields: HashMap<Name, HashSet<FieldName>>,
}

impl Vocabulary {
    /// Returns a vocabulary with these codes and without fields.
    pub fn new(codes: Vec<Code>) -> Self {
        Self { codes: codes.into_iter().collect(), fields: HashMap::new() }
    }

    /// Adds names of fields. Skips names that would be ambiguous in a path; they are not shown.
    pub fn add_fields<'a>(&mut self, stream: &Name, names: impl IntoIterator<Item = &'a String>) {
        let names = names.into_iter().filter_map(|name| FieldName::from_description(name));
        self.fields.entry(stream.clone()).or_default().extend(names);
    }

    /// Returns the declared codes, sorted.
    pub fn codes(&self) -> Vec<Code> {
        let mut codes: Vec<Code> = self.codes.iter().cloned().collect();
        codes.sort();
        codes
    }

    /// Returns the code if it is declared. Otherwise returns `UNDECLARED_CODE` and adds the text to `undeclared`.
    pub fn code(&self, text: &str, position: Option<u32>, undeclared: &mut Vec<UndeclaredText>) -> Code {
        if let Some(code) = PLATFORM_CODES.get(text) {
            return Code::new(code);
        }
        self.codes.get(text).cloned().unwrap_or_else(|| {
            note(undeclared, position, UNDECLARED_CODE, text);
            UNDECLARED_CODE
        })
    }

    /// Returns the path as far as it is declared for this source or entity type. Adds an undeclared path to `undeclared`.
    pub fn path(&self, stream: &str, text: &str, position: u32, undeclared: &mut Vec<UndeclaredText>) -> FieldPath {
        let none = HashSet::new();
        let (path, whole) = read_path(text, self.fields.get(stream).unwrap_or(&none));
        if !whole {
            note(undeclared, Some(position), UNDECLARED_FIELD, text);
        }
        path
    }

    /// Returns the path if all its names are declared for one of the sources or entity types.
    pub fn declared_path(&self, path: &str) -> Option<FieldPath> {
        let mut read = self.fields.values().map(|fields| read_path(path, fields));
        read.find_map(|(path, whole)| whole.then_some(path))
    }
}

/// Adds an undeclared text, up to [`MAX_UNDECLARED`].
fn note(undeclared: &mut Vec<UndeclaredText>, position: Option<u32>, code: Code, text: &str) {
    if undeclared.len() < MAX_UNDECLARED {
        undeclared.push(UndeclaredText { position, code, text: Confidential::word(text) });
    }
}

/// Returns the declared part of a path, with `?` for the rest, and true if the whole path is declared.
fn read_path(path: &str, fields: &HashSet<FieldName>) -> (FieldPath, bool) {
    let mut steps = vec![];
    let mut whole = true;
    for part in path.split('.').filter(|_| !path.is_empty()) {
        let Some(read) = read_part(part, fields, steps.is_empty()).filter(|read| steps.len() + read.len() <= MAX_STEPS)
        else {
            steps.push(PathStep::Redacted);
            whole = false;
            break;
        };
        steps.extend(read);
    }
    (FieldPath::of(steps), whole)
}

/// Reads one part of a path: `name`, `name[0]`, `name[0][1]`, `?`, or `[0]` at the front.
fn read_part<'f>(part: &str, fields: &'f HashSet<FieldName>, first: bool) -> Option<Vec<PathStep<'f>>> {
    let (name, indexes) = part.split_at(part.find('[').unwrap_or(part.len()));
    let mut steps = vec![];
    match name {
        "" if first && !indexes.is_empty() => {}
        "?" => steps.push(PathStep::Redacted),
        name => steps.push(PathStep::Field(fields.get(name)?)),
    }
    for index in indexes.split_inclusive(']') {
        let digits = index.strip_prefix('[')?.strip_suffix(']')?;
        let plain = (1..=MAX_INDEX_DIGITS).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
        // The index is kept as a number, so that it has one form.
        steps.push(PathStep::Item(plain.then(|| digits.parse().ok())??));
    }
    Some(steps)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vocabulary() -> Vocabulary {
        let mut vocabulary = Vocabulary::new(vec![Code::new("BERKA_LOOKUP_ONLY")]);
        let names = ["addresses", "postalCode", "Příjmení dlužníka", "not.apart"].map(String::from);
        vocabulary.add_fields(&Name::new("client"), &names);
        vocabulary
    }

    /// Paths of `client` and the paths that are shown. A `?` at the end that the plugin did not write is noted.
    const PATHS: &[(&str, &str)] = &[
        ("", ""),
        ("addresses", "addresses"),
        ("addresses[0].postalCode", "addresses[0].postalCode"),
        ("addresses[0][0012]", "addresses[0][12]"),
        ("[3].postalCode", "[3].postalCode"),
        ("Příjmení dlužníka", "Příjmení dlužníka"),
        ("addresses.?", "addresses.?"),
        ("Novak", "?"),
        ("Novak.postalCode", "?"),
        ("addresses.Novak.postalCode", "addresses.?"),
        ("addresses[7001234567]", "?"),
        ("addresses[Novak]", "?"),
        ("addresses[1", "?"),
        ("addresses]", "?"),
        ("addresses[]", "?"),
        ("addresses..postalCode", "addresses.?"),
        (".", "?"),
        ("not.apart", "?"),
        ("postalcode", "?"),
    ];

    #[test]
    fn paths_are_shown_as_far_as_they_are_declared() {
        for (text, shown) in PATHS {
            let mut undeclared = vec![];
            assert_eq!(vocabulary().path("client", text, 3, &mut undeclared), *shown, "{text}");
            let hidden = shown.ends_with('?') && !text.ends_with('?');
            assert_eq!(undeclared.len(), usize::from(hidden), "{text}");
            for undeclared in undeclared {
                assert_eq!((undeclared.position, undeclared.code), (Some(3), UNDECLARED_FIELD));
                assert_eq!(undeclared.text.for_quarantine(), *text);
            }
        }
        assert_eq!(vocabulary().path("loan", "postalCode", 0, &mut vec![]), "?");
        let deep = vec!["addresses"; 100].join(".");
        assert!(vocabulary().path("client", &deep, 0, &mut vec![]).len() < 200);
    }

    #[test]
    fn codes_are_shown_where_they_are_declared() {
        let cases = [
            ("BERKA_LOOKUP_ONLY", "BERKA_LOOKUP_ONLY"),
            ("MISSING_REQUIRED_FIELD", "MISSING_REQUIRED_FIELD"),
            ("NOVAK_JAN", "UNDECLARED_CODE"),
            ("#", "UNDECLARED_CODE"),
            ("", "UNDECLARED_CODE"),
        ];
        for (text, shown) in cases {
            let mut undeclared = vec![];
            assert_eq!(vocabulary().code(text, None, &mut undeclared), shown, "{text}");
            assert_eq!(undeclared.len(), usize::from(text != shown), "{text}");
        }
        let mut undeclared = vec![];
        (0..1_000).for_each(|_| drop(vocabulary().code("NOVAK", None, &mut undeclared)));
        assert_eq!(undeclared.len(), MAX_UNDECLARED);
    }

    #[test]
    fn the_platforms_codes_are_codes() {
        assert!(PLATFORM_CODES.len() >= 10 && PLATFORM_CODES.iter().all(|code| Code::from_description(code).is_some()));
    }
}
