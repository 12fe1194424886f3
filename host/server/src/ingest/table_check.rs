//! Checks of a body before its first record: a body that cannot be right is refused once, and not record by record.

use sluice_contract::SourceTable;
use sluice_framing::{BodyFormat, ColumnNames, CsvFormat, ForeignFormat};
use sluice_model::{FieldName, HeaderName, Message, message};

/// Maximum number of a table's names in a message.
const MAX_NAMES: usize = 40;

/// Separators that tables have, with the value of the query parameter.
const SEPARATORS: [(u8, &str); 5] = [(b',', ","), (b';', ";"), (b'\t', "tab"), (b'|', "|"), (b':', ":")];

/// Returns the message about a table without a column of the key, or none if it has all of them.
pub fn missing_key(source: &SourceTable, table: &CsvFormat, separator: u8, names: &[String]) -> Option<Message> {
    let missing: Vec<FieldName> =
        source.key_fields().into_iter().filter(|field| !names.iter().any(|name| **name == **field)).collect();
    if missing.is_empty() {
        return None;
    }
    match &table.names {
        ColumnNames::Given(Some(_)) => {
            return Some(message!(
                "The parameter columns does not name {}, which identifies the records of the source {}.",
                missing,
                source.name.clone()
            ));
        }
        ColumnNames::Given(None) => {
            return Some(message!(
                "The columns of a table without a header have numbers, and none is called {}, which identifies the \
                 records of the source {}. Name the columns with the parameter columns.",
                missing,
                source.name.clone()
            ));
        }
        ColumnNames::Header => {}
    }
    let declared: Vec<String> = source.key.iter().chain(&source.lookups).cloned().collect();
    if let Some((separator, found)) = likely_separator(source, separator, names, &declared) {
        return Some(message!(
            "The table has no column {}, which identifies the records of the source {}. With the separator {} it has the \
             columns {}. Send the parameter separator (in the command: --separator).",
            missing,
            source.name.clone(),
            separator,
            found
        ));
    }
    let Some(mut found) = HeaderName::of_header(names, &declared) else {
        return Some(message!(
            "The table has no column {}, which identifies the records of the source {}. None of its {} columns has a name \
             that the mapper declares. Check separator and encoding. If the table has no header, send Content-Type: \
             text/csv; header=absent, and the names as the parameter columns.",
            missing,
            source.name.clone(),
            names.len()
        ));
    };
    found.truncate(MAX_NAMES);
    let alike = |field: &FieldName| names.iter().any(|name| HeaderName::are_alike(name, field));
    let hint = if missing.iter().all(alike) {
        "A name differs only in blanks, hidden characters or letter case: correct it in the header."
    } else {
        "Name the column in the header as the mapper expects it, or use another mapper."
    };
    Some(message!(
        "The table has no column {}, which identifies the records of the source {}. Its columns are {}. {}",
        missing,
        source.name.clone(),
        found,
        hint
    ))
}

/// Returns the separator with which the header has each column of the key, and the names that it then has.
fn likely_separator(
    source: &SourceTable,
    separator: u8,
    names: &[String],
    declared: &[String],
) -> Option<(&'static str, Vec<HeaderName>)> {
    let header = names.join(&char::from(separator).to_string());
    SEPARATORS.iter().filter(|(other, _)| *other != separator).find_map(|(other, name)| {
        let split: Vec<&str> = header.split(char::from(*other)).map(|name| name.trim_matches(['"', '\''])).collect();
        let has = |field: &String| split.iter().any(|name| HeaderName::are_alike(name, field));
        let mut found = HeaderName::of_header(&split, declared).filter(|_| source.key.iter().all(has))?;
        found.truncate(MAX_NAMES);
        Some((*name, found))
    })
}

/// Returns the message about a body in another format than its request names.
pub fn foreign_format(foreign: ForeignFormat, format: &BodyFormat) -> Message {
    let is_table = matches!(format, BodyFormat::Csv(_));
    let wanted = if is_table { "a table (CSV)" } else { "JSON Lines" };
    match foreign {
        ForeignFormat::Gzip => {
            "The body is compressed with gzip. Send Content-Encoding: gzip, or give the file a name that \
                                ends in .gz."
                .into()
        }
        ForeignFormat::Zstandard => {
            "The body is compressed with Zstandard. Send Content-Encoding: zstd, or give the file a \
                                     name that ends in .zst."
                .into()
        }
        ForeignFormat::OtherCompression => message!(
            "The body is compressed in a way that the server does not accept. Send {} uncompressed, or compressed with gzip or \
             Zstandard.",
            wanted
        ),
        ForeignFormat::Zip => message!("The body is a zip archive. Unpack it, and send {} for each source.", wanted),
        ForeignFormat::Workbook => {
            "The body is a workbook of a spreadsheet. Save each sheet as CSV (UTF-8), and send it as \
                                    text/csv."
                .into()
        }
        ForeignFormat::Document => message!("The body is a document or a database. Export its records as {}.", wanted),
        ForeignFormat::Markup => message!("The body is XML or HTML. Export its records as {}.", wanted),
        ForeignFormat::Utf16(low_first) => {
            let name = if low_first { "utf-16le" } else { "utf-16be" };
            match is_table {
                true => message!(
                    "The table is in UTF-16. Send Content-Type: text/csv; charset={} (in the command: --charset).",
                    name
                ),
                false => message!(
                    "The body is in UTF-16 ({}). JSON Lines are in UTF-8: convert it, such as with iconv -f {} -t utf-8.",
                    name,
                    name
                ),
            }
        }
        ForeignFormat::NotUtf16 => {
            "The table is not in UTF-16, which its charset names. Name its encoding: Content-Type: \
                                    text/csv; charset=utf-8 (in the command: --charset)."
                .into()
        }
        ForeignFormat::JsonArray => {
            "The body is a JSON array. JSON Lines have one object on each line, without brackets and \
                                     commas between them. Convert it with jq -c '.[]' FILE.json > FILE.jsonl, and send the result."
                .into()
        }
        ForeignFormat::IndentedJson => {
            "The body is JSON over several lines. JSON Lines have one object on each line. Convert \
                                        it with jq -c . FILE.json > FILE.jsonl, and send the result."
                .into()
        }
        ForeignFormat::Json => {
            "The body is JSON, and not a table. Send JSON Lines as Content-Type: application/jsonl.".into()
        }
    }
}

#[cfg(test)]
mod tests {
    use sluice_framing::{Charset, CsvDialect};
    use sluice_model::Name;

    use super::*;

    #[test]
    fn tables_without_their_key() {
        let dialect = CsvDialect { separator: b',', quote: Some(b'"'), charset: Charset::UTF_8 };
        let source = SourceTable {
            name: Name::new("client"),
            key: vec!["client_id".into()],
            lookups: vec!["account_id".into()],
        };
        let given = |names: &[&str]| ColumnNames::Given(Some(names.iter().map(|name| (*name).to_owned()).collect()));
        let cases: &[(ColumnNames, &[&str], &[&str])] = &[
            (ColumnNames::Header, &["client_id", "x"], &[]),
            (ColumnNames::Header, &["client_id;birth_number"], &["separator ; ", "client_id, birth_number"]),
            (ColumnNames::Header, &["client_id\u{a0}", "birth_number"], &["client_id\\u{a0}, birth_number", "blanks"]),
            (ColumnNames::Header, &["account_id", "birth_number"], &["account_id, birth_number", "another mapper"]),
            (ColumnNames::Header, &["1", "Novák"], &["None of its 2 columns", "header=absent"]),
            (given(&["id"]), &["id"], &["does not name client_id"]),
            (ColumnNames::Given(None), &["1", "2"], &["have numbers", "client_id"]),
        ];
        for (columns, names, parts) in cases {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            let message = missing_key(&source, &CsvFormat { dialect, names: columns.clone() }, b',', &names);
            let text = message.map(|message| message.to_string()).unwrap_or_default();
            assert_eq!(text.is_empty(), parts.is_empty(), "{names:?}: {text}");
            assert!(parts.iter().all(|part| text.contains(part)), "{names:?}: {text}");
            assert!(!text.contains("Novák"), "{text}");
        }
    }
}
