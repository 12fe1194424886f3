//! Media types: framing of a body, accepted media types, and version of the API.

use axum::http::{HeaderMap, StatusCode, header};

use utoipa::ToSchema;

use crate::http::paging::QueryString;
use crate::http::problem::Problem;
use crate::ingest::{ContentCoding, UnknownCoding};
use sluice_framing::{BodyFormat, Charset, JsonFormat};
use sluice_model::message;

/// Version of the API.
pub const API_VERSION: &str = "2025.1.0";

/// Records: an object on each line, or a sequence of objects (RFC 7464).
#[derive(ToSchema)]
#[schema(as = Records, value_type = String, min_length = 1, pattern = r"[^ \t\r\n\x1e]")]
#[allow(dead_code, reason = "describes bodies to readers of the API's document; framing reads them")]
pub struct RecordsBody(String);

/// A table (RFC 4180), with a header.
#[derive(ToSchema)]
#[schema(as = Table, value_type = String, min_length = 1, pattern = r"^[A-Za-z_]+(,[A-Za-z_]+)*\r?\n", example = "client_id,birth_number\r\n1,706213\r\n")]
#[allow(dead_code, reason = "describes bodies to readers of the API's document; framing reads them")]
pub struct TableBody(String);

/// Returns the media type of a format.
pub fn media_type(format: JsonFormat) -> &'static str {
    match format {
        JsonFormat::JsonLines => "application/jsonl",
        JsonFormat::JsonSeq => "application/json-seq",
    }
}

/// Returns the framing of a body of records, by `Content-Type`.
pub fn body_format(headers: &HeaderMap) -> Result<JsonFormat, Problem> {
    let given = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let refusal =
        "Send records as Content-Type: application/jsonl (an object on each line) or application/json-seq (RFC 7464).";
    json_format(given, refusal)
}

/// Returns the framing of a body of source records, by `Content-Type`; of a table by the query as well.
pub fn body_shape(headers: &HeaderMap, query: &QueryString) -> Result<BodyFormat, Problem> {
    let given = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if is_table(given) {
        query.only(&["separator", "quote", "columns"])?;
    }
    shape_of(given, |name| query.get(name))
}

fn is_table(media_type: &str) -> bool {
    media_type.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("text/csv")
}

/// Returns the framing of source records, by a media type and by parameters of a table.
pub fn shape_of<'a>(media_type: &'a str, given: impl Fn(&str) -> Option<&'a str>) -> Result<BodyFormat, Problem> {
    if is_table(media_type) {
        return super::tables::table(media_type.split(';').skip(1), given).map(|table| BodyFormat::Csv(table.into()));
    }
    let refusal = "Send records as Content-Type: application/jsonl (an object a line), application/json-seq (RFC 7464) or \
                   text/csv (RFC 4180).";
    json_format(media_type, refusal).map(BodyFormat::Json)
}

fn format_of(media_type: &str) -> Option<JsonFormat> {
    // Media types have no letter case.
    match media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase().as_str() {
        "application/jsonl" => Some(JsonFormat::JsonLines),
        "application/json-seq" => Some(JsonFormat::JsonSeq),
        _ => None,
    }
}

/// Returns the format of records in JSON. Refuses another charset than UTF-8.
fn json_format(media_type: &str, refusal: &'static str) -> Result<JsonFormat, Problem> {
    let format = format_of(media_type).ok_or_else(|| unsupported(refusal))?;
    for parameter in media_type.split(';').skip(1) {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        let charset = Charset::named(value.trim().trim_matches('"'));
        if name.trim().eq_ignore_ascii_case("charset") && charset != Some(Charset::UTF_8) {
            let detail = "JSON records are in UTF-8 (RFC 8259). Convert the body to UTF-8, and send no other charset.";
            return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "UNSUPPORTED_CHARSET", detail));
        }
    }
    Ok(format)
}

fn unsupported(detail: &'static str) -> Problem {
    Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "UNSUPPORTED_MEDIA_TYPE", detail)
}

/// Returns the content coding of a request's body, by `Content-Encoding`.
pub fn content_coding(headers: &HeaderMap) -> Result<ContentCoding, Problem> {
    let mut given = headers.get_all(header::CONTENT_ENCODING).iter();
    match (given.next(), given.next()) {
        (None, _) => Ok(ContentCoding::Plain),
        (Some(one), None) => Ok(ContentCoding::named(one.to_str().unwrap_or_default())?),
        _ => Err(UnknownCoding.into()),
    }
}

/// Returns the framing of the response, by `Accept`: JSON Lines unless a sequence is requested.
pub fn answer_format(headers: &HeaderMap) -> Result<JsonFormat, Problem> {
    let accepted = accepted(headers)?;
    let wants = |name: &str| accepted.iter().any(|accepted| accepted == name);
    if accepted.is_empty() || wants("*/*") || wants("application/*") || wants("application/jsonl") {
        return Ok(JsonFormat::JsonLines);
    }
    if wants("application/json-seq") {
        return Ok(JsonFormat::JsonSeq);
    }
    // A client that accepts JSON accepts lines of it.
    if wants("application/json") {
        return Ok(JsonFormat::JsonLines);
    }
    Err(Problem::new(
        StatusCode::NOT_ACCEPTABLE,
        "NOT_ACCEPTABLE",
        "The path returns application/jsonl or application/json-seq.",
    ))
}

/// Returns true if the client names JSON Lines. The default of these routes is JSON.
pub fn wants_lines(headers: &HeaderMap) -> Result<bool, Problem> {
    Ok(accepted(headers)?.iter().any(|name| name == media_type(JsonFormat::JsonLines)))
}

/// Returns true if the client accepts an HTML page.
pub fn wants_page(headers: &HeaderMap) -> bool {
    accepted(headers).is_ok_and(|names| names.iter().any(|name| name == "text/html"))
}

/// Refuses a client that does not accept JSON, or asks for another version of the API.
pub fn accepts_json(headers: &HeaderMap) -> Result<(), Problem> {
    let accepted = accepted(headers)?;
    let fits = |name: &String| matches!(name.as_str(), "*/*" | "application/*" | "application/json");
    if accepted.is_empty() || accepted.iter().any(fits) {
        return Ok(());
    }
    Err(Problem::new(StatusCode::NOT_ACCEPTABLE, "NOT_ACCEPTABLE", "The path returns application/json."))
}

fn accepted(headers: &HeaderMap) -> Result<Vec<String>, Problem> {
    let mut names = vec![];
    for value in headers.get_all(header::ACCEPT) {
        for item in value.to_str().unwrap_or_default().split(',') {
            let mut parts = item.split(';').map(str::trim);
            let name = parts.next().unwrap_or_default().to_ascii_lowercase();
            for parameter in parts {
                if let Some(version) = parameter.strip_prefix("api-version=")
                    && version != API_VERSION
                {
                    return Err(Problem::new(
                        StatusCode::NOT_ACCEPTABLE,
                        "UNKNOWN_API_VERSION",
                        message!("The server implements api-version={}.", API_VERSION),
                    ));
                }
            }
            if !name.is_empty() {
                names.push(name);
            }
        }
    }
    Ok(names)
}
