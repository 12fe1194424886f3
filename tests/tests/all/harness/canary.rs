//! Canaries: values that occur nowhere else, which tests put into records and search for in all other places.

use std::collections::BTreeSet;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::path::{Path, PathBuf};

fn chance() -> u64 {
    RandomState::new().build_hasher().finish()
}

const LETTERS: &[u8; 36] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";

fn in_letters(mut number: u64, length: usize) -> String {
    let mut letters = vec![];
    for _ in 0..length {
        letters.push(LETTERS[(number % 36) as usize]);
        number /= 36;
    }
    String::from_utf8(letters).unwrap()
}

/// A generator of canaries. All texts have one prefix, and all numbers one of two, so a search for the prefixes finds
/// every canary.
pub struct Canaries {
    mark: String,
    /// Two prefixes, so that a sum of ten numbers does not look like one of them.
    digits: [String; 2],
    planted: u64,
    numbers: u64,
}

impl Canaries {
    pub fn new() -> Self {
        // Ten digits that hardly any number of the host has, the first not 0.
        let digits = || (chance() % 9_000_000_000 + 1_000_000_000).to_string();
        Self {
            mark: format!("CANARY{}", in_letters(chance(), 6)),
            digits: [digits(), digits()],
            planted: 0,
            numbers: 0,
        }
    }

    /// Returns a new text of 16 letters and digits, which could be a code.
    pub fn text(&mut self) -> String {
        self.planted += 1;
        format!("{}{}", self.mark, in_letters(self.planted, 4))
    }

    /// Returns a new whole number of 15 digits.
    pub fn number(&mut self) -> u64 {
        self.planted += 1;
        self.numbers += 1;
        assert!(self.numbers < 200_000, "all numbers of this length are used");
        let digits = &self.digits[self.numbers as usize % 2];
        format!("{digits}{:05}", self.numbers / 2).parse().unwrap()
    }

    pub fn planted(&self) -> u64 {
        self.planted
    }

    /// Returns every encoding of the prefixes to search for, each with its name.
    pub fn encodings(&self) -> Vec<(&'static str, Vec<u8>)> {
        let mark = &self.mark;
        let hex = |text: &str| text.bytes().map(|byte| format!("{byte:02x}")).collect::<String>();
        let mut encodings = vec![
            ("as it is", mark.clone()),
            ("in lower case", mark.to_lowercase()),
            ("in hexadecimal", hex(mark)),
            ("in upper-case hexadecimal", hex(mark).to_uppercase()),
            ("as a UUID", as_uuid(&hex(mark))),
            ("backwards", mark.chars().rev().collect()),
            ("a number", self.digits[0].clone()),
            ("another number", self.digits[1].clone()),
            ("a number in hexadecimal", hex(&self.digits[0])),
            ("another number in hexadecimal", hex(&self.digits[1])),
            ("its first four bytes as a number", u32::from_be_bytes(*b"CANA").to_string()),
        ];
        let base64 = ["in base64", "in base64, a byte later", "in base64, two bytes later"];
        for (shift, name) in base64.into_iter().enumerate() {
            encodings.push((name, in_base64(mark.as_bytes(), shift)));
        }
        let mut encodings: Vec<_> = encodings.into_iter().map(|(name, text)| (name, text.into_bytes())).collect();
        encodings.push(("in UTF-16", mark.encode_utf16().flat_map(u16::to_le_bytes).collect()));
        encodings
    }
}

fn as_uuid(hex: &str) -> String {
    // Only the characters before the last group.
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

/// Returns the base64 characters of bytes that begin `shift` bytes after a multiple of three. Leaves out the characters
/// that depend on neighbouring bytes.
fn in_base64(bytes: &[u8], shift: usize) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let padded = [&vec![0; shift], bytes].concat();
    let mut text = String::new();
    for three in padded.chunks_exact(3) {
        let number = three.iter().fold(0usize, |number, byte| number << 8 | usize::from(*byte));
        text.extend([18, 12, 6, 0].map(|bits| char::from(ALPHABET[number >> bits & 63])));
    }
    text.split_off(if shift == 0 { 0 } else { shift + 1 })
}

/// A named place to search, with its bytes.
pub struct SearchedPlace {
    pub name: String,
    pub bytes: Vec<u8>,
}

/// Returns every file below a directory, without those for which `spared` returns true.
pub fn files(dir: &Path, spared: impl Fn(&Path) -> bool) -> Vec<SearchedPlace> {
    let mut places = vec![];
    let mut open: Vec<PathBuf> = vec![dir.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(dir).unwrap();
            if spared(name) {
                continue;
            }
            // File names are searched too.
            let named = name.display().to_string();
            places.push(SearchedPlace { name: format!("the name of {named}"), bytes: named.clone().into_bytes() });
            if path.is_dir() {
                open.push(path);
            } else {
                places.push(SearchedPlace { name: named, bytes: std::fs::read(&path).unwrap() });
            }
        }
    }
    places
}

/// Returns a line for each encoding of a canary that a place contains.
pub fn search(canaries: &Canaries, places: &[SearchedPlace]) -> BTreeSet<String> {
    let encodings = canaries.encodings();
    let mut found = BTreeSet::new();
    for place in places {
        for (name, guise) in &encodings {
            let Some(at) = find(&place.bytes, guise) else { continue };
            let around = &place.bytes[at.saturating_sub(60)..(at + 60).min(place.bytes.len())];
            found.insert(format!("{}: a canary, {name}: {}", place.name, String::from_utf8_lossy(around)));
        }
    }
    found
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    let (first, rest) = wanted.split_first().unwrap();
    let mut from = 0;
    loop {
        let at = from + bytes[from..].iter().position(|byte| byte == first)?;
        if bytes[at + 1..].starts_with(rest) {
            return Some(at);
        }
        from = at + 1;
    }
}

/// The search finds every encoding in every kind of place, and nothing else.
#[test]
fn search_finds_every_encoding() {
    let mut canaries = Canaries::new();
    let (text, number) = (canaries.text(), canaries.number());
    let hex = |text: &str| text.bytes().map(|byte| format!("{byte:02x}")).collect::<String>();
    let disguised = [
        text.clone(),
        text.to_lowercase(),
        hex(&text),
        hex(&text).to_uppercase(),
        as_uuid(&hex(&text)),
        text.chars().rev().collect(),
        number.to_string(),
        format!("{}.{}", number / 10, number % 10),
        in_base64(text.as_bytes(), 0),
        in_base64(format!("x{text}").as_bytes(), 0),
        in_base64(format!("xx{text}").as_bytes(), 0),
    ];
    let dir = tempfile::tempdir().unwrap();
    for (index, disguised) in disguised.iter().enumerate() {
        let name = format!("{index}.log");
        std::fs::write(dir.path().join(&name), format!("{{\"message\":\"no such value: {disguised}x\"}}")).unwrap();
        let found = search(&canaries, &files(dir.path(), |_| false));
        assert!(found.len() == 1 && found.first().unwrap().starts_with(&name), "{disguised}: {found:?}");
        assert!(search(&canaries, &files(dir.path(), |file| file == Path::new(&name))).is_empty());
        std::fs::rename(dir.path().join(&name), dir.path().join(format!("{disguised}.log").replace('/', "_"))).unwrap();
        let named = files(dir.path(), |_| false).into_iter().filter(|place| place.name.starts_with("the name"));
        assert_eq!(search(&canaries, &named.collect::<Vec<_>>()).len(), 1, "{disguised}");
        for entry in std::fs::read_dir(dir.path()).unwrap() {
            std::fs::remove_file(entry.unwrap().path()).unwrap();
        }
    }
    let other = Canaries::new();
    let innocent = SearchedPlace { name: "another flock".into(), bytes: other.mark.clone().into_bytes() };
    assert!(search(&canaries, &[innocent]).is_empty());
}
