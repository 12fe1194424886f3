//! Generated tables (CSV) with random damage: quotes, separators, encodings, truncation, repeated lines.

use crate::Random;

/// A generated table with its damage.
#[derive(Clone, Debug)]
pub struct DamagedTable {
    /// Name of the encoding.
    pub charset: &'static str,
    /// Separator between fields.
    pub separator: u8,
    /// Bytes.
    pub body: Vec<u8>,
}

const CHARSETS: [&str; 4] = ["utf-8", "windows-1250", "utf-16le", "utf-16be"];
const VALUES: [&str; 12] =
    ["1", "706213", "", "Acme", "Nov\u{e1}k & Co", "x y", "12.50", "-", "'", "a\nb", "a\r\n\r\nb", "p;q,r\ts"];

impl DamagedTable {
    /// Generates a table whose header begins with these names.
    pub fn new(random: &mut Random, names: &[&str]) -> Self {
        let charset = CHARSETS[random.below(CHARSETS.len())];
        let separator = b",;\t|"[random.below(4)];
        let ends = ["\n", "\r\n", "\r"][random.below(3)];
        let (columns, rows) = (names.len() + random.below(4), random.below(25));
        let quoted = random.one_in(3);
        let mut lines = vec![];
        let header: Vec<String> = (0..columns)
            .map(|column| names.get(column).map_or(format!("column{column}"), |name| (*name).to_owned()))
            .collect();
        lines.push(join(&header, separator, quoted));
        for row in 0..rows {
            let mut fields = vec![row.to_string(), "706213".to_owned()];
            fields.resize_with(columns.max(2), || VALUES[random.below(VALUES.len())].to_owned());
            fields.truncate(columns);
            lines.push(join(&fields, separator, quoted));
        }
        // Lines are repeated, or exchanged for blank ones, below the header.
        for _ in 0..random.below(3) {
            let (line, at) = (lines[random.below(lines.len())].clone(), 1 + random.below(lines.len()));
            let blank = ["".to_owned(), char::from(separator).to_string().repeat(columns.saturating_sub(1))];
            lines.insert(at, if random.one_in(2) { line } else { blank[random.below(2)].clone() });
        }
        let mut text = lines.join(ends);
        if !random.one_in(4) {
            text += ends;
        }
        let mut body = encode(&text, charset);
        let start = encode(&lines[0], charset).len();
        for _ in 0..random.below(5) {
            damage(random, &mut body, start, separator);
        }
        if random.one_in(6) {
            body.extend(std::iter::repeat_n(0, 2 * random.below(20)));
        }
        Self { charset, separator, body }
    }
}

/// Joins fields to a row. A field is quoted if it has to be, or if `quoted` is true.
fn join(fields: &[String], separator: u8, quoted: bool) -> String {
    let special = |field: &str| field.bytes().any(|byte| byte == separator || b"\"\r\n".contains(&byte));
    let field = |field: &String| match quoted || special(field) {
        true => format!("\"{}\"", field.replace('"', "\"\"")),
        false => field.clone(),
    };
    fields.iter().map(field).collect::<Vec<_>>().join(&char::from(separator).to_string())
}

fn encode(text: &str, charset: &str) -> Vec<u8> {
    match charset {
        "utf-16le" => text.encode_utf16().flat_map(u16::to_le_bytes).collect(),
        "utf-16be" => text.encode_utf16().flat_map(u16::to_be_bytes).collect(),
        "windows-1250" => text.chars().map(|character| u8::try_from(u32::from(character)).unwrap_or(b'?')).collect(),
        _ => text.as_bytes().to_vec(),
    }
}

/// Damages a table at a random place. Most damage is below the header, which ends at `start`: a table with another header
/// is refused as a whole.
fn damage(random: &mut Random, body: &mut Vec<u8>, start: usize, separator: u8) {
    if body.is_empty() {
        return;
    }
    let from = if random.one_in(12) { 0 } else { start.min(body.len() - 1) };
    let at = from + random.below(body.len() - from);
    let inserted: &[u8] = match random.below(10) {
        0..=2 => b"\"",
        3 => &[separator],
        4 => b"\"\"",
        5 => [&b"\xff"[..], b"\0", b"\xef\xbb\xbf", b"\x1a"][random.below(4)],
        6 => {
            body.truncate(at);
            return;
        }
        7 => {
            body.remove(at);
            return;
        }
        8 => [&b"\n"[..], b"\r", b"\r\n"][random.below(3)],
        _ => {
            let length = random.below(30).min(body.len() - at);
            let part = body[at..at + length].to_vec();
            body.splice(at..at, part);
            return;
        }
    };
    body.splice(at..at, inserted.iter().copied());
}
