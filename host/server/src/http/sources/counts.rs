//! Counting source records by outcome.

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::AsyncApp;
use crate::http::auth::authz::{Caller, CanAudit};
use crate::http::paging::ListResponse;
use crate::http::problem::Problem;
use crate::http::request::extract::PathParams;
use crate::http::request::media::accepts_json;
use sluice_model::{Code, Name};
use sluice_pipeline::count_sources;

/// Outcomes of a source's records.
#[derive(Serialize, ToSchema)]
#[schema(as = Source)]
pub struct SourceResponse {
    #[schema(value_type = String, example = "client")]
    source: Name,
    outcomes: Vec<OutcomeCount>,
}

/// Number of records with an outcome.
#[derive(Serialize, ToSchema)]
struct OutcomeCount {
    /// `mapped`, `skipped`, `rejected` or `quarantined`.
    outcome: &'static str,
    /// Code of the reason, unless the records were mapped.
    #[schema(value_type = Option<String>)]
    code: Option<Code>,
    count: u64,
}

/// Count each source's records by outcome
#[utoipa::path(
    get, path = "/migration-assistance/migrations/{id}/sources", tag = "Load", operation_id = "countSources",
    params(("id" = Uuid, Path, description = "Reference id of the migration.")),
    responses((status = 200, body = ListResponse<SourceResponse>)),
)]
pub async fn list(
    State(app): State<AsyncApp>,
    caller: Caller<CanAudit>,
    PathParams(id): PathParams<String>,
    headers: HeaderMap,
) -> Result<Json<ListResponse<SourceResponse>>, Problem> {
    accepts_json(&headers)?;
    app.blocking(move |app| {
        let context = app.migration_context(caller.whole_migration(app, &id)?)?;
        let shown = count_sources(&context)?.into_iter().map(|(source, outcomes)| {
            let outcomes = outcomes.into_iter().map(|((outcome, code), count)| OutcomeCount { outcome, code, count });
            SourceResponse { source, outcomes: outcomes.collect() }
        });
        Ok(ListResponse::new(shown.collect()))
    })
    .await
}
