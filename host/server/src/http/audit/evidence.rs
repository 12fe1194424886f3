//! Reading a migration's signed evidence.

use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};

use crate::app::AsyncApp;
use crate::http::auth::authz::{Caller, CanAudit};
use crate::http::problem::Problem;
use crate::http::request::extract::PathParams;
use crate::http::request::media::answer_format;
use sluice_audit::sign_evidence;
use sluice_pipeline::evidence;

/// Read a migration's evidence
///
/// Returns two lines: the uploads, their plugins and the counts of both sides; and the signature over that line's bytes.
/// `sluice evidence verify` checks it, also against a target database.
#[utoipa::path(
    get, path = "/migration-assistance/migrations/{id}/evidence", tag = "Audit", operation_id = "readEvidence",
    params(("id" = Uuid, Path, description = "Reference id of the migration.")),
    responses(
        (status = 200, body = String, content_type = "application/jsonl"),
        (status = 409, body = Problem, content_type = "application/problem+json", description = "No counts job has run yet."),
    ),
)]
pub async fn read(
    State(app): State<AsyncApp>,
    caller: Caller<CanAudit>,
    PathParams(id): PathParams<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    answer_format(&headers)?;
    app.blocking(move |app| {
        let migration = caller.whole_migration(app, &id)?;
        let plugins = app.registry.plugins_of(&migration.tenant)?;
        let Some(bundle) = evidence(&migration, &app.store, &plugins, &app.trail)? else {
            let detail = "Evidence contains counts, and no counts job has run yet. Run a counts job first.";
            return Err(Problem::conflict("NOT_COUNTED", detail));
        };
        let sealed = sign_evidence(app.trail.signer(), &bundle.text());
        Ok(([(header::CONTENT_TYPE, "application/jsonl")], sealed).into_response())
    })
    .await
}
