//! Media types: how a body is framed, what a client accepts, and which version it speaks.

use axum::http::{HeaderMap, StatusCode, header};

use utoipa::ToSchema;

use super::paging::Query;
use super::problem::Problem;
use sluice_framing::{Format, Shape};
use sluice_model::told;

/// The version of the API that this server speaks.
pub const API_VERSION: &str = "2025.1.0";

/// Records, an object a line, or as a sequence (RFC 7464).
#[derive(ToSchema)]
#[schema(value_type = String, min_length = 1, pattern = r"[^ \t\r\n\x1e]")]
#[allow(dead_code, reason = "describes bodies to readers of the API's document; framing reads them")]
pub struct Records(String);

/// A table (RFC 4180), with a header.
#[derive(ToSchema)]
#[schema(value_type = String, min_length = 1, pattern = r"^[A-Za-z_]+(,[A-Za-z_]+)*\r?\n", example = "client_id,birth_number\r\n1,706213\r\n")]
#[allow(dead_code, reason = "describes bodies to readers of the API's document; framing reads them")]
pub struct Table(String);

/// The media type of a format.
pub fn media_type(format: Format) -> &'static str {
    match format {
        Format::JsonLines => "application/jsonl",
        Format::JsonSeq => "application/json-seq",
    }
}

/// How the body is framed, by its `Content-Type`.
pub fn body_format(headers: &HeaderMap) -> Result<Format, Problem> {
    let given = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    format_of(given).ok_or_else(|| {
        unsupported(
            "Send records as Content-Type: application/jsonl (an object a line) or application/json-seq (RFC 7464).",
        )
    })
}

/// How a source's records stand in the body, by its `Content-Type`, and of a table by the query too.
pub fn body_shape(headers: &HeaderMap, query: &Query) -> Result<Shape, Problem> {
    let given = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if is_table(given) {
        query.only(&["separator", "quote", "columns"])?;
    }
    shape_of(given, |name| query.get(name))
}

fn is_table(media_type: &str) -> bool {
    media_type.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("text/csv")
}

/// How a source's records stand, by a media type and by what else is said of a table.
pub fn shape_of<'a>(media_type: &'a str, given: impl Fn(&str) -> Option<&'a str>) -> Result<Shape, Problem> {
    if is_table(media_type) {
        return super::tables::table(media_type.split(';').skip(1), given).map(|table| Shape::Csv(table.into()));
    }
    format_of(media_type).map(Shape::Json).ok_or_else(|| {
        unsupported(
            "Send records as Content-Type: application/jsonl (an object a line), application/json-seq (RFC 7464) or \
             text/csv (RFC 4180).",
        )
    })
}

fn format_of(media_type: &str) -> Option<Format> {
    match media_type.split(';').next().unwrap_or_default().trim() {
        "application/jsonl" => Some(Format::JsonLines),
        "application/json-seq" => Some(Format::JsonSeq),
        _ => None,
    }
}

fn unsupported(detail: &'static str) -> Problem {
    Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "UNSUPPORTED_MEDIA_TYPE", detail)
}

/// How records are to be answered, by `Accept`: JSON Lines unless a sequence is asked for.
pub fn answer_format(headers: &HeaderMap) -> Result<Format, Problem> {
    let accepted = accepted(headers)?;
    let wants = |name: &str| accepted.iter().any(|accepted| accepted == name);
    if accepted.is_empty() || wants("*/*") || wants("application/*") || wants("application/jsonl") {
        return Ok(Format::JsonLines);
    }
    if wants("application/json-seq") {
        return Ok(Format::JsonSeq);
    }
    // A client that speaks of JSON in general is content with lines of it.
    if wants("application/json") {
        return Ok(Format::JsonLines);
    }
    Err(Problem::new(
        StatusCode::NOT_ACCEPTABLE,
        "NOT_ACCEPTABLE",
        "This path answers with application/jsonl or application/json-seq.",
    ))
}

/// Whether a client asks for JSON Lines by name, where JSON is the usual answer.
pub fn wants_lines(headers: &HeaderMap) -> Result<bool, Problem> {
    Ok(accepted(headers)?.iter().any(|name| name == media_type(Format::JsonLines)))
}

/// Whether a client asks for a page to read.
pub fn wants_page(headers: &HeaderMap) -> bool {
    accepted(headers).is_ok_and(|names| names.iter().any(|name| name == "text/html"))
}

/// Checks that a client can take JSON of our version.
pub fn accepts_json(headers: &HeaderMap) -> Result<(), Problem> {
    let accepted = accepted(headers)?;
    let fits = |name: &String| matches!(name.as_str(), "*/*" | "application/*" | "application/json");
    if accepted.is_empty() || accepted.iter().any(fits) {
        return Ok(());
    }
    Err(Problem::new(StatusCode::NOT_ACCEPTABLE, "NOT_ACCEPTABLE", "This path answers with application/json."))
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
                        told!("This server speaks api-version={}.", API_VERSION),
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
