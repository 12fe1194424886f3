//! Cancelling and pausing a job.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::app::AsyncApp;
use crate::http::auth::authz::{Caller, CanMigrate};
use crate::http::problem::Problem;
use crate::http::request::extract::{BufferedBody, PathParams, json};
use sluice_audit::{Action, AuditScope};

/// Cancel a job
///
/// The job stops at its next batch. Its results so far stay, and starting the same job again continues from there.
#[utoipa::path(
    put, path = "/migration-assistance/migrations/{id}/jobs/{job}/cancel", tag = "Jobs", operation_id = "cancelJob",
    params(("id" = Uuid, Path, description = "Reference id of the migration."), ("job" = Uuid, Path, description = "Id of the job.")),
    responses(
        (status = 202, description = "The job will stop."),
        (status = 409, body = Problem, content_type = "application/problem+json", description = "The job has ended already."),
    ),
)]
pub async fn cancel(
    State(app): State<AsyncApp>,
    caller: Caller<CanMigrate>,
    PathParams((id, job)): PathParams<(String, String)>,
) -> Result<StatusCode, Problem> {
    app.blocking(move |app| {
        let (migration, job) = caller.job(app, &id, &job)?;
        match app.jobs.progress(job.id) {
            Some(progress) => {
                let asked = caller.entry(Action::JobCancelAsked).job(job.id, job.kind);
                app.audit(AuditScope::Migration(migration.reference_id), asked)?;
                progress.cancel();
                Ok(StatusCode::ACCEPTED)
            }
            None => Err(Problem::conflict("JOB_ENDED", "The job has ended already.")),
        }
    })
    .await
}

/// The state of a job's pause.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PauseRequest {
    /// True if the job pauses, false if it continues.
    paused: bool,
}

/// Pause a job, or continue it
///
/// A paused import into a platform sends no calls; calls that were sent are completed. A request without a body pauses
/// the job. A pause outlives a restart of the server: the job that continues begins paused.
#[utoipa::path(
    put, path = "/migration-assistance/migrations/{id}/jobs/{job}/pause", tag = "Jobs", operation_id = "pauseJob",
    params(("id" = Uuid, Path, description = "Reference id of the migration."), ("job" = Uuid, Path, description = "Id of the job.")),
    request_body(content = Option<PauseRequest>, description = "Without a body, the job pauses."),
    responses(
        (status = 202, description = "The job will pause or continue."),
        (status = 409, body = Problem, content_type = "application/problem+json", description = "The job has ended already, or cannot be paused."),
        (status = 415, body = Problem, content_type = "application/problem+json"),
        (status = 422, body = Problem, content_type = "application/problem+json"),
    ),
)]
pub async fn pause(
    State(app): State<AsyncApp>,
    caller: Caller<CanMigrate>,
    PathParams((id, job)): PathParams<(String, String)>,
    headers: HeaderMap,
    BufferedBody(bytes): BufferedBody,
) -> Result<StatusCode, Problem> {
    app.blocking(move |app| {
        let (migration, job) = caller.job(app, &id, &job)?;
        let paused = bytes.is_empty() || json::<PauseRequest>(&headers, &bytes, r#"{"paused":true}"#)?.paused;
        let Some(progress) = app.jobs.progress(job.id) else {
            return Err(Problem::conflict("JOB_ENDED", "The job has ended already."));
        };
        if migration.target.is_none() {
            let detail =
                "Only jobs that call a platform's API can be paused. Cancel the job: when it is started again, it continues from there.";
            return Err(Problem::conflict("NOT_TO_BE_PAUSED", detail));
        }
        let action = if paused { Action::JobPaused } else { Action::JobResumed };
        app.audit(AuditScope::Migration(migration.reference_id), caller.entry(action).job(job.id, job.kind))?;
        app.store.set_paused(migration.reference_id, job.kind, paused)?;
        progress.pause(paused);
        Ok(StatusCode::ACCEPTED)
    })
    .await
}
