//! Reading the plan of a migration into a platform.

use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse as _, Response};

use super::plan_page::page;
use crate::app::AsyncApp;
use crate::http::auth::authz::{Caller, CanRead};
use crate::http::problem::Problem;
use crate::http::request::extract::PathParams;
use crate::http::request::media::{accepts_json, wants_page};
use sluice_pipeline::PLAN;

fn no_plan() -> Problem {
    Problem::conflict("NO_PLAN", "There is no plan yet. Make one with PUT …/jobs/plan.")
}

/// Read the plan of a migration into a platform
///
/// Returns the information that a platform asks for before a migration: volumes, calls by step, samples with masked values,
/// the duration, and queries that check the result. Returns JSON, or with `Accept: text/html` a page to hand on. The plan
/// contains no value of a record.
#[utoipa::path(
    get, path = "/migration-assistance/migrations/{id}/plan", tag = "Platforms", operation_id = "readPlan",
    params(("id" = Uuid, Path, description = "Reference id of the migration.")),
    responses(
        (status = 200, description = "The latest plan.", content((serde_json::Value = "application/json"), (String = "text/html"))),
        (status = 409, body = Problem, content_type = "application/problem+json", description = "There is no plan yet."),
    ),
)]
pub async fn read(
    State(app): State<AsyncApp>,
    caller: Caller<CanRead>,
    PathParams(id): PathParams<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let html = wants_page(&headers);
    if !html {
        accepts_json(&headers)?;
    }
    app.blocking(move |app| {
        let context = app.migration_context(caller.whole_migration(app, &id)?)?;
        let (_, made) = context.area.lines(PLAN, 0, 0)?;
        let (mut lines, _) = context.area.lines(PLAN, made.checked_sub(1).ok_or_else(no_plan)?, 1)?;
        let document = lines.pop().ok_or_else(no_plan)?;
        if html {
            let document: serde_json::Value = serde_json::from_slice(&document).unwrap_or_default();
            return Ok(([(header::CONTENT_TYPE, "text/html; charset=utf-8")], page(&document)).into_response());
        }
        Ok(([(header::CONTENT_TYPE, "application/json")], document).into_response())
    })
    .await
}
