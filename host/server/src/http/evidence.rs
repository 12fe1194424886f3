//! A migration's evidence, signed.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};

use super::caller::{Caller, Read};
use super::extract::Path;
use super::media::answer_format;
use super::problem::Problem;
use crate::app::App;
use sluice_audit::seal_evidence;
use sluice_pipeline::evidence;

/// Read a migration's evidence
///
/// Two lines: what was uploaded, by which plugins, counted on both sides; and the signature over that line's bytes.
/// `sluice evidence verify` checks it, also against a target database.
#[utoipa::path(
    get, path = "/migration-assistance/migrations/{id}/evidence", tag = "Audit", operation_id = "readEvidence",
    params(("id" = Uuid, Path, description = "The migration's reference id.")),
    responses(
        (status = 200, body = String, content_type = "application/jsonl"),
        (status = 409, body = Problem, content_type = "application/problem+json", description = "Nothing was counted yet."),
    ),
)]
pub async fn read(
    State(app): State<Arc<App>>,
    caller: Caller<Read>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    answer_format(&headers)?;
    tokio::task::spawn_blocking(move || {
        let migration = caller.whole(&app, &id)?;
        let plugins = app.registry.of(&migration.tenant)?;
        let Some(bundle) = evidence(&migration, &app.store, &plugins, &app.trail)? else {
            let detail = "Nothing was counted yet, so there is nothing to give evidence of. Run a counts job first.";
            return Err(Problem::conflict("NOT_COUNTED", detail));
        };
        let sealed = seal_evidence(app.trail.signer(), &bundle.text());
        Ok(([(header::CONTENT_TYPE, "application/jsonl")], sealed).into_response())
    })
    .await?
}
