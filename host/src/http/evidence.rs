//! A migration's evidence, signed.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};

use super::media::answer_format;
use super::migrations::find;
use super::problem::Problem;
use crate::app::App;
use crate::audit::seal_evidence;
use crate::pipeline::evidence;

/// `GET /migration-assistance/migrations/{id}/evidence`: two lines, the bundle and its signature.
pub async fn read(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    answer_format(&headers)?;
    tokio::task::spawn_blocking(move || {
        let migration = find(&app, &id)?;
        let Some(bundle) = evidence(&migration, &app.store, &app.plugins, &app.trail)? else {
            let detail = "Nothing was counted yet, so there is nothing to give evidence of. Run a counts job first.";
            return Err(Problem::conflict("NOT_COUNTED", detail));
        };
        let sealed = seal_evidence(app.trail.signer(), &bundle.text());
        Ok(([(header::CONTENT_TYPE, "application/jsonl")], sealed).into_response())
    })
    .await?
}
