//! Starting a job.

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use uuid::Uuid;

use super::response::no_job;
use super::tasks::{JobRequest, task};
use crate::app::{AsyncApp, TenantWork};
use crate::http::auth::authz::{Caller, CanMigrate};
use crate::http::migrations::mapper::store_mapper;
use crate::http::problem::Problem;
use crate::http::request::extract::{BufferedBody, PathParams};
use crate::http::request::media::accepts_json;
use sluice_audit::Action;
use sluice_model::{JobKind, MapperRef};
use sluice_pipeline::ValidateOptions;
use sluice_pipeline::jobs::Task;

/// Start a job
///
/// Returns the job's id as a JSON string. Some kinds of jobs accept options as a JSON object. A client that was granted
/// some of the migration's domains can start a validation: it validates the records of these domains, and does not change
/// the status of the migration.
#[utoipa::path(
    put, path = "/migration-assistance/migrations/{id}/jobs/{job}", tag = "Jobs", operation_id = "startJob",
    params(("id" = Uuid, Path, description = "Reference id of the migration."), ("job" = JobKind, Path, description = "Kind of the job.")),
    request_body(content = Option<JobRequest>, content_type = "application/json", description = "Options of the job. Other kinds of jobs have no options."),
    responses(
        (status = 200, body = Uuid, content_type = "application/json"),
        (status = 409, body = Problem, content_type = "application/problem+json", description = "The migration's state does not allow the job. The code and the detail name the reason."),
        (status = 415, body = Problem, content_type = "application/problem+json"),
        (status = 422, body = Problem, content_type = "application/problem+json", description = "The body names something that does not exist, such as a source."),
        (status = 502, body = Problem, content_type = "application/problem+json", description = "The target cannot be used."),
    ),
)]
pub async fn start(
    State(app): State<AsyncApp>,
    caller: Caller<CanMigrate>,
    PathParams((id, kind)): PathParams<(String, String)>,
    headers: HeaderMap,
    BufferedBody(bytes): BufferedBody,
) -> Result<Json<Uuid>, Problem> {
    accepts_json(&headers)?;
    app.blocking(move |app| {
        let kind = JobKind::parse(&kind);
        let migration = match kind {
            Some(JobKind::Validate) => caller.migration(app, &id)?,
            _ => caller.whole_migration(app, &id)?,
        };
        let kind = kind.ok_or_else(no_job)?;
        let domains = caller.grant().restricted_to(&migration);
        let mut context = app.migration_context(migration)?;
        let task = match kind {
            JobKind::Validate => Task::Validate(ValidateOptions { domains }),
            _ => task(&context, kind, &headers, &bytes)?,
        };
        if let Task::Remap(options) = &task
            && context.migration.mapper.as_ref().is_none_or(|own| own.digest != options.mapper.digest)
        {
            let id = context.migration.reference_id;
            let _guard = app.jobs.begin_exclusive(id)?;
            let (digest, name) = (options.mapper.digest, options.mapper.description.name.clone());
            store_mapper(app, &caller, id, Some(MapperRef { digest, name }))?;
            context = app.migration_context(caller.whole_migration(app, &id.to_string())?)?;
        }
        let permit = app.permits.begin(&context.migration.tenant, TenantWork::Job)?;
        Ok(Json(app.jobs.start(context, task, caller.entry(Action::JobStarted), permit)?))
    })
    .await
}
