//! Source records as they were uploaded, by what became of them: to be corrected and uploaded again.

use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::caller::{Caller, Read};
use super::extract::Path;
use super::media::{answer_format, media_type};
use super::paging::Query;
use super::problem::Problem;
use super::staged::{send_records, still_let_in};
use super::streamed::streamed;
use crate::app::App;
use sluice_pipeline::Desk;
use sluice_staging::{SourceStatus, StagedEntry, StreamName};

/// What became of a source record.
#[derive(Clone, Copy, Serialize, Deserialize, ToSchema)]
#[schema(as = SourceOutcome)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    Mapped,
    Skipped,
    Rejected,
    Quarantined,
}

impl Outcome {
    /// As staging knows it.
    pub fn status(self) -> SourceStatus {
        match self {
            Outcome::Mapped => SourceStatus::Mapped,
            Outcome::Skipped => SourceStatus::Skipped,
            Outcome::Rejected => SourceStatus::Rejected,
            Outcome::Quarantined => SourceStatus::Quarantined,
        }
    }

    fn parse(name: &str) -> Option<Self> {
        serde_json::from_value(name.into()).ok()
    }
}

/// Which records are wanted.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "describes the query to readers of the API's document; `Query` reads it")]
pub struct Wanted {
    /// Only records that came to one of these, parted by commas: `mapped`, `skipped`, `rejected`, `quarantined`.
    #[param(pattern = "^(mapped|skipped|rejected|quarantined)(,(mapped|skipped|rejected|quarantined))*$")]
    outcome: Option<String>,
    /// Only those that came to it with this code.
    code: Option<String>,
}

/// Read source records as they were uploaded
///
/// In their order, each as it was, by what became of it. Corrected they can be uploaded to the same source again: a
/// record takes the place of the one with its key. A record that had no key that could be read stays among the rejected.
#[utoipa::path(
    get, path = "/migration-assistance/migrations/{id}/sources/{source}/records", tag = "Load",
    operation_id = "streamSourceRecords",
    params(
        ("id" = Uuid, Path, description = "The migration's reference id."),
        ("source" = String, Path, description = "A source of the migration's mapper, such as `client`."),
        Wanted,
    ),
    responses((status = 200, description = "The records.", content((String = "application/jsonl"), (String = "application/json-seq")))),
)]
pub async fn stream(
    State(app): State<Arc<App>>,
    caller: Caller<Read>,
    Path((id, source)): Path<(String, String)>,
    headers: HeaderMap,
    query: Query,
) -> Result<Response, Problem> {
    let answer = answer_format(&headers)?;
    query.only(&["outcome", "code"])?;
    let statuses = statuses(query.get("outcome"))?;
    let code = query.get("code").map(|code| code.as_bytes().to_vec());
    let (opening, let_in) = (app.clone(), still_let_in(app, &caller));
    let opened = tokio::task::spawn_blocking(move || {
        let desk = opening.desk(caller.whole(&opening, &id)?)?;
        known(&desk, &source)?;
        Ok::<_, Problem>((desk, source))
    });
    let (desk, source) = opened.await??;
    Ok(streamed(media_type(answer), "STAGING_FAILED", move |pieces| {
        let wanted = |entry: &StagedEntry| {
            let fits = statuses.is_empty() || entry.status().is_some_and(|status| statuses.contains(&status));
            // What stands beside a mapped record is no code.
            let coded = |code: &Vec<u8>| entry.status() != Some(SourceStatus::Mapped) && entry.extra == *code;
            fits && code.as_ref().is_none_or(coded)
        };
        send_records(&desk.area, StreamName::Source(&source), &wanted, answer, &let_in, pieces)
    }))
}

fn statuses(outcomes: Option<&str>) -> Result<Vec<SourceStatus>, Problem> {
    let Some(outcomes) = outcomes else { return Ok(vec![]) };
    let read = outcomes.split(',').map(|name| Outcome::parse(name).map(Outcome::status));
    read.collect::<Option<_>>().ok_or_else(|| {
        let detail = "outcome must be some of mapped, skipped, rejected, quarantined, parted by commas.";
        Problem::bad_request("INVALID_PARAMETER", detail)
    })
}

/// Fails where nothing was uploaded to a source of this name, and the mapper has none.
fn known(desk: &Desk, source: &str) -> Result<(), Problem> {
    let described = desk.own_mapper()?.is_some_and(|mapper| mapper.source(source).is_some());
    if described || desk.area.sources()?.iter().any(|staged| staged == source) {
        return Ok(());
    }
    Err(Problem::not_found("NO_SUCH_SOURCE", "The migration has no such source: GET …/sources lists what was loaded."))
}
