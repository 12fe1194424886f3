//! Reading the definition of a code. The `type` of a problem document refers to it.

use axum::Json;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use maud::{DOCTYPE, Markup, html};
use sha2::{Digest, Sha256};
use utoipa::ToSchema;

use crate::http::problem::Problem;
use crate::http::request::extract::PathParams;
use crate::http::request::media::{accepts_json, wants_page};
use sluice_codes::{CodeDefinition, ResponsibleParty};
use sluice_model::message;

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:48rem;margin:2rem auto;padding:0 1rem;color:#222}\
    pre{background:#f6f6f6;padding:.6rem;overflow-x:auto}h2{font-size:1rem;margin-bottom:0}p{margin-top:.2rem}";

/// Definition of a code.
#[derive(ToSchema)]
#[schema(as = CodeDefinition)]
#[allow(dead_code, reason = "describes definitions to readers of the API's document; `CodeDefinition` is serialised")]
struct CodeResponse {
    #[schema(example = "NOT_VALIDATED")]
    code: String,
    /// Places where the code stands: `problem`, `job`, `upload`, `record`, `quarantine`, `call`, `log` or `server-log`.
    #[schema(example = json!(["problem"]))]
    places: Vec<String>,
    /// Statuses of the problems with this code.
    #[schema(example = json!([409]))]
    status: Vec<u16>,
    /// Parties that can solve the problem: `record`, `plugin`, `host` or `target`.
    blame: Vec<String>,
    /// One sentence about what happened or what is wrong.
    meaning: String,
    /// Likely cause in a migration.
    cause: String,
    /// Command, setting or request that helps.
    remedy: String,
    /// Example with invented data.
    example: String,
}

/// Read the definition of a code
///
/// Returns meaning, likely cause, remedy and an example, as JSON or with `Accept: text/html` as a page. The `type` of every
/// problem document is this path. Definitions contain no data, so no token is needed.
#[utoipa::path(
    get, path = "/problems/{code}", tag = "Monitoring", operation_id = "readCode", security(()),
    params(("code" = String, Path, description = "The code.", example = "NOT_VALIDATED")),
    responses(
        (status = 200, description = "The definition.", content((CodeResponse = "application/json"), (String = "text/html"))),
        (status = 404, body = Problem, content_type = "application/problem+json", description = "There is no such code."),
        (status = 406, body = Problem, content_type = "application/problem+json", description = "The client accepts none of the available media types."),
    ),
)]
pub async fn read(PathParams(code): PathParams<String>, headers: HeaderMap) -> Result<Response, Problem> {
    let html = wants_page(&headers);
    if !html {
        accepts_json(&headers)?;
    }
    let definition = sluice_codes::find(&code).ok_or_else(|| no_code(&code))?;
    if html {
        let fields = [
            (header::CONTENT_TYPE, "text/html; charset=utf-8".to_owned()),
            (header::CONTENT_SECURITY_POLICY, page_policy()),
        ];
        return Ok((fields, page(definition)).into_response());
    }
    Ok(Json(definition).into_response())
}

/// Returns the problem for a code that does not exist. It names similar codes and does not repeat the client's text.
fn no_code(code: &str) -> Problem {
    let similar: Vec<&'static str> =
        sluice_codes::similar(code).into_iter().map(|definition| definition.code.as_str()).collect();
    let detail = if similar.is_empty() {
        "The server has no such code. A plugin declares codes of its own: GET /plugins/{digest} lists them.".into()
    } else {
        message!("The server has no such code. Similar codes: {}.", similar)
    };
    Problem::not_found("NO_SUCH_CODE", detail)
}

/// Returns the policy of a page: its own style, and nothing else.
fn page_policy() -> String {
    let style = BASE64_STANDARD.encode(Sha256::digest(STYLE));
    format!(
        "default-src 'none'; style-src 'sha256-{style}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
}

/// Returns a definition as an HTML page that loads nothing else.
fn page(definition: &CodeDefinition) -> String {
    let CodeDefinition { code, blame, meaning, cause, remedy, example, .. } = definition;
    let parties: Vec<&str> = blame.iter().map(|party| ResponsibleParty::description(*party)).collect();
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head { meta charset="utf-8"; title { (code) } style { (STYLE) } }
            body {
                h1 { (code) }
                p { (meaning) }
                h2 { "Likely cause" }
                p { (marked(cause)) }
                h2 { "What to do" }
                p { (marked(remedy)) }
                h2 { "Example" }
                pre { (example) }
                h2 { "Where" }
                p { (definition.places_text()) }
                @if !parties.is_empty() {
                    h2 { "Who acts" }
                    p { (parties.join("; or ")) }
                }
            }
        }
    };
    page.into_string()
}

/// Returns a sentence with its code spans marked.
fn marked(sentence: &str) -> Markup {
    html! {
        @for (index, part) in sentence.split('`').enumerate() {
            @if index % 2 == 1 { code { (part) } } @else { (part) }
        }
    }
}
