//! A migration into a platform that is entered through its API: the plan as a document, and the ledger of what was sent.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::caller::{Caller, Migrate, Read};
use super::extract::{Content, Path, json};
use super::media::{accepts_json, wants_page};
use super::paging::{Listing, Paged, Query};
use super::plan_page::page;
use super::problem::Problem;
use crate::app::App;
use sluice_audit::{Action, Scope};
use sluice_connector::{Decision, EntityState, Key, Ledger, Line};
use sluice_model::{Name, told};
use sluice_pipeline::{Desk, PLAN};

fn no_plan() -> Problem {
    Problem::conflict("NO_PLAN", "Nothing is planned yet. Start it with PUT …/jobs/plan.")
}

/// Read the plan of a migration into a platform
///
/// What the platform asks whoever migrates: volumes, calls by step, samples with every value masked, how long it takes,
/// queries to check the result. As JSON, or with `Accept: text/html` as a page to hand on. Nothing of a record is in it.
#[utoipa::path(
    get, path = "/migration-assistance/migrations/{id}/plan", tag = "Platforms", operation_id = "readPlan",
    params(("id" = Uuid, Path, description = "The migration's reference id.")),
    responses(
        (status = 200, description = "The plan that was made last.", content((serde_json::Value = "application/json"), (String = "text/html"))),
        (status = 409, body = Problem, content_type = "application/problem+json", description = "Nothing is planned yet."),
    ),
)]
pub async fn plan(
    State(app): State<Arc<App>>,
    caller: Caller<Read>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let html = wants_page(&headers);
    if !html {
        accepts_json(&headers)?;
    }
    tokio::task::spawn_blocking(move || {
        let desk = app.desk(caller.whole(&app, &id)?)?;
        let (_, made) = desk.area.lines(PLAN, 0, 0)?;
        let (mut lines, _) = desk.area.lines(PLAN, made.checked_sub(1).ok_or_else(no_plan)?, 1)?;
        let document = lines.pop().ok_or_else(no_plan)?;
        if html {
            let document: serde_json::Value = serde_json::from_slice(&document).unwrap_or_default();
            return Ok(([(header::CONTENT_TYPE, "text/html; charset=utf-8")], page(&document)).into_response());
        }
        Ok(([(header::CONTENT_TYPE, "application/json")], document).into_response())
    })
    .await?
}

/// A record's plan, as the ledger has it.
#[derive(Serialize, ToSchema)]
#[schema(as = LedgerEntry)]
#[serde(rename_all = "camelCase")]
pub struct Shown {
    /// What kind of plan, such as `loans`.
    #[schema(value_type = String)]
    kind: Name,
    /// The record.
    reference_id: Uuid,
    state: EntityState,
    /// The step that failed.
    #[schema(value_type = Option<String>)]
    step: Option<Name>,
    /// Why: the platform's code, or one of ours.
    code: Option<String>,
    /// The HTTP status with which the platform refused it; 0 where it was not the platform.
    status: Option<u16>,
    /// Calls that have happened.
    calls: u64,
    #[schema(format = DateTime)]
    at: String,
}

impl From<Line> for Shown {
    fn from(line: Line) -> Self {
        Self {
            kind: line.kind,
            reference_id: Uuid::from_bytes(line.id),
            state: line.state,
            step: line.step,
            code: line.code.map(|code| code.to_string()),
            status: line.status,
            calls: line.calls,
            at: line.at,
        }
    }
}

fn ledger(desk: &Desk) -> Result<Ledger, Problem> {
    if desk.migration.target.is_none() {
        let detail = "The migration goes to the embedded platform, and not to one with an API of its own.";
        return Err(Problem::conflict("NO_PLATFORM", detail));
    }
    Ok(Ledger::open(&desk.area.ledger()?)?)
}

/// List what the ledger has of each record
#[utoipa::path(
    get, path = "/migration-assistance/migrations/{id}/ledger", tag = "Platforms", operation_id = "listLedger",
    params(
        ("id" = Uuid, Path, description = "The migration's reference id."), Paged,
        ("state" = Option<EntityState>, Query, description = "Only those that stand so."),
    ),
    responses(
        (status = 200, body = Listing<Shown>),
        (status = 409, body = Problem, content_type = "application/problem+json", description = "The migration goes to no platform with an API of its own."),
    ),
)]
pub async fn list(
    State(app): State<Arc<App>>,
    caller: Caller<Read>,
    Path(id): Path<String>,
    headers: HeaderMap,
    query: Query,
) -> Result<Json<Listing<Shown>>, Problem> {
    accepts_json(&headers)?;
    let page = query.page(&["state"])?;
    let state = match query.get("state") {
        None => None,
        Some(text) => Some(serde_json::from_value(text.into()).map_err(|_| {
            let detail = "state has to be open, waiting, done, failed, abandoned or undone.";
            Problem::bad_request("INVALID_PARAMETER", detail)
        })?),
    };
    tokio::task::spawn_blocking(move || {
        let desk = app.desk(caller.whole(&app, &id)?)?;
        let (lines, total) = ledger(&desk)?.lines(state, page.offset, page.limit)?;
        Ok(Listing::new(lines.into_iter().map(Shown::from).collect(), total, page))
    })
    .await?
}

/// A decision on a record whose plan has failed.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Decided {
    decision: Decision,
}

/// Decide on a record that a call has failed for
///
/// It counts with the next import.
#[utoipa::path(
    put, path = "/migration-assistance/migrations/{id}/ledger/{kind}/{reference-id}", tag = "Platforms", operation_id = "decide",
    params(
        ("id" = Uuid, Path, description = "The migration's reference id."),
        ("kind" = String, Path, description = "The kind of the plan, such as `loans`."),
        ("reference-id" = Uuid, Path, description = "The record."),
    ),
    request_body = Decided,
    responses(
        (status = 200, body = Shown),
        (status = 409, body = Problem, content_type = "application/problem+json", description = "It has not failed, or a job is running."),
        (status = 415, body = Problem, content_type = "application/problem+json"),
        (status = 422, body = Problem, content_type = "application/problem+json"),
    ),
)]
pub async fn decide(
    State(app): State<Arc<App>>,
    caller: Caller<Migrate>,
    Path((id, kind, record)): Path<(String, String, String)>,
    headers: HeaderMap,
    Content(bytes): Content,
) -> Result<Json<Shown>, Problem> {
    accepts_json(&headers)?;
    tokio::task::spawn_blocking(move || {
        let migration = caller.whole(&app, &id)?;
        let Decided { decision } = json(&headers, &bytes, r#"{"decision":"retry"}, or skip, or abandon"#)?;
        let not_there = || Problem::not_found("NOT_IN_LEDGER", "The ledger has no such record of this kind.");
        let record: Uuid = record.parse().map_err(|_| not_there())?;
        let migration_id = migration.reference_id;
        let _guard = app.jobs.begin_alone(migration_id)?;
        let desk = app.desk(migration)?;
        let (ledger, key) = (ledger(&desk)?, Key { kind: &kind, id: record.into_bytes() });
        let line = ledger.line(key)?.ok_or_else(not_there)?;
        if !matches!(line.state, EntityState::Failed | EntityState::Abandoned) {
            let detail = told!("It has not failed: it is {}.", line.state.as_str());
            return Err(Problem::conflict("NOT_FAILED", detail));
        }
        app.audit(Scope::Migration(migration_id), caller.entry(Action::CallDecided))?;
        let state = match decision {
            Decision::Retry => EntityState::Open,
            Decision::Skip => {
                ledger.skip_failed(key)?;
                EntityState::Open
            }
            Decision::Abandon => EntityState::Abandoned,
        };
        ledger.set_entity(key, state, None)?;
        Ok(Json(ledger.line(key)?.ok_or_else(not_there)?.into()))
    })
    .await?
}

/// Whether a job waits.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Pause {
    paused: bool,
}

/// Pause a job, or let it go on
///
/// A paused import into a platform sends nothing; calls that are under way are waited for. A restart forgets it.
#[utoipa::path(
    put, path = "/migration-assistance/migrations/{id}/jobs/{job}/pause", tag = "Jobs", operation_id = "pauseJob",
    params(("id" = Uuid, Path, description = "The migration's reference id."), ("job" = Uuid, Path, description = "The job's id.")),
    request_body = Pause,
    responses(
        (status = 202, description = "It will."),
        (status = 409, body = Problem, content_type = "application/problem+json", description = "It has ended already, or cannot be paused."),
        (status = 415, body = Problem, content_type = "application/problem+json"),
        (status = 422, body = Problem, content_type = "application/problem+json"),
    ),
)]
pub async fn pause(
    State(app): State<Arc<App>>,
    caller: Caller<Migrate>,
    Path((id, job)): Path<(String, String)>,
    headers: HeaderMap,
    Content(bytes): Content,
) -> Result<StatusCode, Problem> {
    tokio::task::spawn_blocking(move || {
        let migration = caller.whole(&app, &id)?;
        let job = super::jobs::find(&app, &migration, &job)?;
        let Pause { paused } = json(&headers, &bytes, r#"{"paused":true}"#)?;
        let Some(progress) = app.jobs.progress(job.id) else {
            return Err(Problem::conflict("JOB_ENDED", "The job has ended already."));
        };
        if migration.target.is_none() {
            let detail =
                "Only jobs that call a platform's API can be paused. Cancel it: started again, it goes on from there.";
            return Err(Problem::conflict("NOT_TO_BE_PAUSED", detail));
        }
        let action = if paused { Action::JobPaused } else { Action::JobResumed };
        app.audit(Scope::Migration(migration.reference_id), caller.entry(action).job(job.id, job.kind))?;
        progress.pause(paused);
        Ok(StatusCode::ACCEPTED)
    })
    .await?
}
