//! Format of a table (`text/csv`), by the parameters of its media type and of the query.

use axum::http::StatusCode;

use crate::http::problem::Problem;
use sluice_framing::{Charset, ColumnNames, CsvDialect, CsvFormat, is_separator};

/// Maximum number of column names in a query.
const MOST_COLUMNS: usize = 4_096;

/// Reads the parameters of `text/csv` (RFC 4180, RFC 7111) and of the query.
pub fn table<'a>(
    parameters: impl Iterator<Item = &'a str>,
    given: impl Fn(&str) -> Option<&'a str>,
) -> Result<CsvFormat, Problem> {
    let mut charset = Charset::UTF_8;
    let mut header = true;
    for parameter in parameters.filter(|parameter| !parameter.is_empty()) {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        let value = value.trim().trim_matches('"');
        match name.trim().to_ascii_lowercase().as_str() {
            "charset" => charset = Charset::named(value).ok_or_else(unknown_charset)?,
            "header" if value.eq_ignore_ascii_case("present") => header = true,
            "header" if value.eq_ignore_ascii_case("absent") => header = false,
            "header" => {
                let detail = "The parameter header of text/csv must be present or absent.";
                return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "UNSUPPORTED_MEDIA_TYPE", detail));
            }
            _ => {}
        }
    }
    let separator = match given("separator") {
        None => b',',
        Some(text) => character(text).ok_or_else(|| {
            let detail = "separator must be one ASCII character such as ; or the word tab: no letter, no digit \
                          and no line break.";
            Problem::bad_request("INVALID_PARAMETER", detail)
        })?,
    };
    let quote = match given("quote") {
        None => Some(b'"'),
        Some("none") => None,
        Some(text) => Some(character(text).filter(|quote| *quote != separator).ok_or_else(|| {
            let detail = "quote must be one ASCII character other than the separator, such as \", or none if fields are \
                          not quoted.";
            Problem::bad_request("INVALID_PARAMETER", detail)
        })?),
    };
    let names = match (given("columns"), header) {
        (None, true) => ColumnNames::Header,
        (None, false) => ColumnNames::Given(None),
        (Some(_), true) => {
            let detail =
                "columns names the fields of a table without a header. Send Content-Type: text/csv; header=absent.";
            return Err(Problem::bad_request("INVALID_PARAMETER", detail));
        }
        (Some(text), false) => ColumnNames::Given(Some(columns(text)?)),
    };
    Ok(CsvFormat { dialect: CsvDialect { separator, quote, charset }, names })
}

fn unknown_charset() -> Problem {
    let detail = "The server does not know the charset, or its characters differ in width. Send the table as utf-8, utf-16le, \
                  utf-16be, or in an encoding with one byte for each character, such as windows-1250 or iso-8859-2.";
    Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "UNSUPPORTED_CHARSET", detail)
}

fn character(text: &str) -> Option<u8> {
    match text.as_bytes() {
        b"tab" => Some(b'\t'),
        [byte] if is_separator(*byte) => Some(*byte),
        _ => None,
    }
}

fn columns(text: &str) -> Result<Vec<String>, Problem> {
    let names: Vec<String> = text.split(',').map(|name| name.trim().to_owned()).collect();
    let unlike = |(place, name): (usize, &String)| !name.is_empty() && !names[..place].contains(name);
    if names.len() > MOST_COLUMNS || !names.iter().enumerate().all(unlike) {
        let detail = "columns must be names separated by commas, without empty or repeated names.";
        return Err(Problem::bad_request("INVALID_PARAMETER", detail));
    }
    Ok(names)
}
