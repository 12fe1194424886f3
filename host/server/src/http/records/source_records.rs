//! Reading source records as they were uploaded, by outcome, so that they can be corrected and uploaded again.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::send_records::{client_still_valid, send_records};
use crate::app::AsyncApp;
use crate::http::auth::authz::{Caller, CanRead};
use crate::http::paging::QueryString;
use crate::http::problem::Problem;
use crate::http::request::extract::PathParams;
use crate::http::request::media::{answer_format, media_type};
use crate::http::streamed::streamed;
use sluice_pipeline::MigrationContext;
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
}

/// Read source records as they were uploaded
///
/// Returns the records in their order and unchanged. A corrected record can be uploaded to the same source again, and
/// replaces the record with the same key. A record without a readable key cannot be replaced. It stays counted as rejected.
#[utoipa::path(
    get, path = "/migration-assistance/migrations/{id}/sources/{source}/records", tag = "Load",
    operation_id = "streamSourceRecords",
    params(
        ("id" = Uuid, Path, description = "Reference id of the migration."),
        ("source" = String, Path, description = "Source of the migration's mapper, such as `client`."),
        SourceRecordsQuery,
    ),
    responses((status = 200, description = "The records.", content((String = "application/jsonl"), (String = "application/json-seq")))),
)]
pub async fn stream(
    State(app): State<AsyncApp>,
    caller: Caller<CanRead>,
    PathParams((id, source)): PathParams<(String, String)>,
    headers: HeaderMap,
    query: QueryString,
) -> Result<Response, Problem> {
    let answer = answer_format(&headers)?;
    query.only(&["outcome", "code"])?;
    let statuses = statuses(query.get("outcome"))?;
    let code = query.get("code").map(str::to_owned);
    let opened = app.blocking(move |app| {
        let context = app.migration_context(caller.whole_migration(app, &id)?)?;
        check_source(&context, &source)?;
        Ok::<_, Problem>((context.area, source, client_still_valid(app.clone(), &caller)))
    });
    let (area, source, still_valid) = opened.await?;
    Ok(streamed(media_type(answer), "STAGING_FAILED", move |pieces| {
        let wanted = |entry: &StagedEntry| {
            let fits = statuses.is_empty() || entry.status().is_some_and(|status| statuses.contains(&status));
            let coded = |code: &String| entry.code() == Some(code);
            fits && code.as_ref().is_none_or(coded)
        };
        send_records(&area, StreamName::Source(&source), &wanted, answer, &still_valid, pieces)
    }))
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
