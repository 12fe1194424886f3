//! Reading source records as they were uploaded, by outcome, so that they can be corrected and uploaded again.

use axum::extract::State;
use axum::http::{HeaderMap, HeaderName};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::original_records::{RecordFilter, original_records};
use super::send_records::{client_still_valid, send_records};
use crate::app::AsyncApp;
use crate::http::auth::authz::{Caller, CanRead};
use crate::http::paging::QueryString;
use crate::http::problem::Problem;
use crate::http::request::extract::PathParams;
use crate::http::request::media::{answer_format, media_type};
use crate::http::streamed::streamed;
use sluice_framing::JsonFormat;
use sluice_pipeline::{MigrationContext, records_with_issue};
use sluice_staging::{SourceStatus, StagedEntry, StreamName};

/// Outcome of a source record.
#[derive(Clone, Copy, Serialize, Deserialize, ToSchema)]
#[schema(as = SourceOutcome)]
#[serde(rename_all = "lowercase")]
pub enum SourceOutcome {
    /// The mapper made records of it.
    Mapped,
    /// The mapper skipped it.
    Skipped,
    /// It was rejected.
    Rejected,
    /// A plugin failed on it.
    Quarantined,
}

impl SourceOutcome {
    /// Returns the outcome as staging stores it.
    pub fn status(self) -> SourceStatus {
        match self {
            SourceOutcome::Mapped => SourceStatus::Mapped,
            SourceOutcome::Skipped => SourceStatus::Skipped,
            SourceOutcome::Rejected => SourceStatus::Rejected,
            SourceOutcome::Quarantined => SourceStatus::Quarantined,
        }
    }

    fn parse(name: &str) -> Option<Self> {
        serde_json::from_value(name.into()).ok()
    }
}

/// Filter of source records.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "describes the query to readers of the API's document; `QueryString` reads it")]
pub struct SourceRecordsQuery {
    /// Only records with one of these outcomes, separated by commas: `mapped`, `skipped`, `rejected`, `quarantined`.
    #[param(pattern = "^(mapped|skipped|rejected|quarantined)(,(mapped|skipped|rejected|quarantined))*$")]
    outcome: Option<String>,
    /// Only records with this code.
    code: Option<String>,
    /// Only records with an issue that has this code or rule: an issue of the upload, or one that the last validation found
    /// in a record made from them.
    issue: Option<String>,
    /// Only records of the upload with this number.
    upload: Option<u32>,
    /// `json`: the records as they are staged, each a line. `uploaded`: as they were uploaded, with the bytes, the header,
    /// the encoding, the line ends and the media type of the upload.
    #[param(inline, default = "json", pattern = "^(json|uploaded)$")]
    form: Option<String>,
}

/// Read source records as they were uploaded
///
/// Returns the records in their order and unchanged. A corrected record can be uploaded to the same source again, and
/// replaces the record with the same key. A row of a table that was refused without a key is replaced by the record with the
/// key that stands in the place of its key. With `form=uploaded` the header field `Sluice-Upload-Query` has the query with
/// which a corrected table is uploaded, and `Sluice-Records-Not-Kept` the number of records that were too long to be kept.
#[utoipa::path(
    get, path = "/migration-assistance/migrations/{id}/sources/{source}/records", tag = "Load",
    operation_id = "streamSourceRecords",
    params(
        ("id" = Uuid, Path, description = "Reference id of the migration."),
        ("source" = String, Path, description = "Source of the migration's mapper, such as `client`."),
        SourceRecordsQuery,
    ),
    responses(
        (status = 200, description = "The records.", content((String = "application/jsonl"), (String = "application/json-seq"), (String = "text/csv"))),
        (status = 409, body = Problem, content_type = "application/problem+json", description = "The records were uploaded in several formats."),
    ),
)]
pub async fn stream(
    State(app): State<AsyncApp>,
    caller: Caller<CanRead>,
    PathParams((id, source)): PathParams<(String, String)>,
    headers: HeaderMap,
    query: QueryString,
) -> Result<Response, Problem> {
    query.only(&["outcome", "code", "issue", "upload", "form"])?;
    let uploaded = match query.get("form") {
        None | Some("json") => None,
        Some("uploaded") => Some(()),
        Some(_) => return Err(invalid("form must be json or uploaded.")),
    };
    // Records come as they were uploaded, whatever the client accepts.
    let answer = if uploaded.is_some() { JsonFormat::JsonLines } else { answer_format(&headers)? };
    let statuses = statuses(query.get("outcome"))?;
    let number = |text: &str| text.parse::<u32>().map_err(|_| invalid("upload must be the number of an upload."));
    let upload = query.get("upload").map(number).transpose()?;
    let (code, issue) = (query.get("code").map(str::to_owned), query.get("issue").map(str::to_owned));
    app.blocking(move |app| {
        let context = app.migration_context(caller.whole_migration(app, &id)?)?;
        check_source(&context, &source)?;
        caller.note_reading(app, context.migration.reference_id, &source)?;
        let with_issue = issue.map(|issue| records_with_issue(&context, &source, &issue)).transpose()?;
        let unlisted = with_issue.as_ref().map_or(0, |found| found.unlisted);
        let wanted: RecordFilter = Box::new(move |entry: &StagedEntry| {
            (statuses.is_empty() || entry.status().is_some_and(|status| statuses.contains(&status)))
                && code.as_ref().is_none_or(|code| entry.code() == Some(code))
                && upload.is_none_or(|upload| entry.upload == upload)
                && with_issue.as_ref().is_none_or(|found| found.ordinals.contains(&entry.ordinal))
        });
        let (area, still_valid) = (context.area, client_still_valid(app.clone(), &caller));
        let mut response = match uploaded {
            Some(()) => original_records(area, source, wanted, still_valid)?,
            None => streamed(media_type(answer), "STAGING_FAILED", move |pieces| {
                send_records(&area, StreamName::Source(&source), &*wanted, answer, &still_valid, pieces)
            }),
        };
        if unlisted > 0 {
            response.headers_mut().insert(ISSUES_UNLISTED, unlisted.into());
        }
        Ok(response)
    })
    .await
}

/// Header field with the number of issues that are not listed, so that their records are not sent.
const ISSUES_UNLISTED: HeaderName = HeaderName::from_static("sluice-issues-unlisted");

fn invalid(detail: &'static str) -> Problem {
    Problem::bad_request("INVALID_PARAMETER", detail)
}

fn statuses(outcomes: Option<&str>) -> Result<Vec<SourceStatus>, Problem> {
    let Some(outcomes) = outcomes else { return Ok(vec![]) };
    let read = outcomes.split(',').map(|name| SourceOutcome::parse(name).map(SourceOutcome::status));
    read.collect::<Option<_>>().ok_or_else(|| {
        let detail = "outcome must be some of mapped, skipped, rejected, quarantined, separated by commas.";
        Problem::bad_request("INVALID_PARAMETER", detail)
    })
}

/// Fails if the mapper has no source of this name and the migration has no uploads to it.
fn check_source(context: &MigrationContext, source: &str) -> Result<(), Problem> {
    let described = context.own_mapper()?.is_some_and(|mapper| mapper.source(source).is_some());
    if described || context.area.sources()?.iter().any(|staged| staged == source) {
        return Ok(());
    }
    Err(Problem::not_found(
        "NO_SUCH_SOURCE",
        "The migration has no such source. GET …/sources lists the sources that were loaded.",
    ))
}
