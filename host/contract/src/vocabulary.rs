//! What a plugin may say of records: its declared codes, the platform's, and paths of declared fields. What it
//! says beyond that is taken for what it may be, a piece of a record, and goes where records are.

use std::sync::LazyLock;

use hashbrown::{HashMap, HashSet};

use super::failure::Confidential;
use sluice_model::{Code, FieldName, FieldPath, Name, Step, UNDECLARED_CODE};

/// The platform's own codes, which every plugin may use.
static PLATFORM_CODES: LazyLock<HashSet<&'static str>> = LazyLock::new(|| {
    let lines = include_str!("../../../wit/codes.txt").lines();
    lines.filter(|line| !line.starts_with('#')).filter_map(|line| line.split_whitespace().next()).collect()
});

/// Stands for a path with a name in it that a plugin has not declared.
const UNDECLARED_FIELD: Code = Code::new("UNDECLARED_FIELD");

/// Undeclared texts of one batch that are kept: the author needs to see one or two, and a plugin that does this
/// to every record should not fill the disk.
const MAX_UNDECLARED: usize = 20;

/// Steps of a path: records are not nested deeper in anything that a domain has.
const MAX_STEPS: usize = 16;

/// Indexes of lists have at most so many digits.
const MAX_INDEX_DIGITS: usize = 4;

/// Something that a plugin said without having declared it.
#[derive(Clone, Debug)]
pub struct Undeclared {
    /// The record's position in the batch, where it was said of one.
    pub position: Option<u32>,
    /// What kind of thing it is.
    pub code: Code,
    /// What it said.
    pub text: Confidential,
}

/// A plugin's declared words.
#[derive(Clone)]
pub struct Vocabulary {
    codes: HashSet<Code>,
    /// By source or entity type.
    fields: HashMap<Name, HashSet<FieldName>>,
}

impl Vocabulary {
    /// With these codes, and no field yet.
    pub fn new(codes: Vec<Code>) -> Self {
        Self { codes: codes.into_iter().collect(), fields: HashMap::new() }
    }

    /// Adds names of fields. What cannot be told apart in a path is left out, and not shown.
    pub fn add_fields<'a>(&mut self, stream: &Name, names: impl IntoIterator<Item = &'a String>) {
        let names = names.into_iter().filter_map(|name| FieldName::declared(name));
        self.fields.entry(stream.clone()).or_default().extend(names);
    }

    /// The declared codes, in order.
    pub fn codes(&self) -> Vec<Code> {
        let mut codes: Vec<Code> = self.codes.iter().cloned().collect();
        codes.sort();
        codes
    }

    /// The code, if it is declared; else what stands for it, and a note.
    pub fn code(&self, said: &str, position: Option<u32>, undeclared: &mut Vec<Undeclared>) -> Code {
        if let Some(code) = PLATFORM_CODES.get(said) {
            return Code::new(code);
        }
        self.codes.get(said).cloned().unwrap_or_else(|| {
            note(undeclared, position, UNDECLARED_CODE, said);
            UNDECLARED_CODE
        })
    }

    /// The path as far as it is declared for this source or entity type; what is not is noted.
    pub fn path(&self, stream: &str, said: &str, position: u32, undeclared: &mut Vec<Undeclared>) -> FieldPath {
        let none = HashSet::new();
        let (path, whole) = read_path(said, self.fields.get(stream).unwrap_or(&none));
        if !whole {
            note(undeclared, Some(position), UNDECLARED_FIELD, said);
        }
        path
    }

    /// The path, if all of it is declared for one of the streams.
    pub fn declared_path(&self, path: &str) -> Option<FieldPath> {
        let mut read = self.fields.values().map(|fields| read_path(path, fields));
        read.find_map(|(path, whole)| whole.then_some(path))
    }
}

fn note(undeclared: &mut Vec<Undeclared>, position: Option<u32>, code: Code, said: &str) {
    if undeclared.len() < MAX_UNDECLARED {
        undeclared.push(Undeclared { position, code, text: Confidential::word(said) });
    }
}

/// The part of the path that is made of these names, with `?` for the rest; and whether there is no rest.
fn read_path(path: &str, fields: &HashSet<FieldName>) -> (FieldPath, bool) {
    let mut steps = vec![];
    let mut whole = true;
    for part in path.split('.').filter(|_| !path.is_empty()) {
        let Some(read) = read_part(part, fields, steps.is_empty()).filter(|read| steps.len() + read.len() <= MAX_STEPS)
        else {
            steps.push(Step::Hidden);
            whole = false;
            break;
        };
        steps.extend(read);
    }
    (FieldPath::of(steps), whole)
}

/// `name`, `name[0]`, `name[0][1]`, `?`; or, at the front, `[0]`.
fn read_part<'f>(part: &str, fields: &'f HashSet<FieldName>, first: bool) -> Option<Vec<Step<'f>>> {
    let (name, indexes) = part.split_at(part.find('[').unwrap_or(part.len()));
    let mut steps = vec![];
    match name {
        "" if first && !indexes.is_empty() => {}
        "?" => steps.push(Step::Hidden),
        name => steps.push(Step::Field(fields.get(name)?)),
    }
    for index in indexes.split_inclusive(']') {
        let digits = index.strip_prefix('[')?.strip_suffix(']')?;
        let plain = (1..=MAX_INDEX_DIGITS).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
        // As a number, so that it is not written in more ways than one.
        steps.push(Step::Item(plain.then(|| digits.parse().ok())??));
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

    /// What is said as a path of `client`, and what is shown; `?` at the end of what is shown is noted unless it
    /// was said.
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
        for (said, shown) in PATHS {
            let mut undeclared = vec![];
            assert_eq!(vocabulary().path("client", said, 3, &mut undeclared), *shown, "{said}");
            let hidden = shown.ends_with('?') && !said.ends_with('?');
            assert_eq!(undeclared.len(), usize::from(hidden), "{said}");
            for undeclared in undeclared {
                assert_eq!((undeclared.position, undeclared.code), (Some(3), UNDECLARED_FIELD));
                assert_eq!(undeclared.text.for_quarantine(), *said);
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
        for (said, shown) in cases {
            let mut undeclared = vec![];
            assert_eq!(vocabulary().code(said, None, &mut undeclared), shown, "{said}");
            assert_eq!(undeclared.len(), usize::from(said != shown), "{said}");
        }
        let mut undeclared = vec![];
        (0..1_000).for_each(|_| drop(vocabulary().code("NOVAK", None, &mut undeclared)));
        assert_eq!(undeclared.len(), MAX_UNDECLARED);
    }

    #[test]
    fn the_platforms_codes_are_codes() {
        assert!(PLATFORM_CODES.len() >= 10 && PLATFORM_CODES.iter().all(|code| Code::declared(code).is_some()));
    }
}
