//! Deciding on many failed records at once.

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::ledger::ledger;
use crate::app::AsyncApp;
use crate::http::auth::authz::{Caller, CanMigrate};
use crate::http::problem::Problem;
use crate::http::request::extract::{BufferedBody, PathParams, json};
use crate::http::request::media::accepts_json;
use sluice_audit::{Action, AuditScope};
use sluice_connector::{FailedFilter, LedgerDecision};

/// A decision on all failed records that match. At least one of `kind`, `code` and `all` is given.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BulkDecisionRequest {
    /// Decision.
    decision: LedgerDecision,
    /// Only records of this kind, such as `loans`.
    kind: Option<String>,
    /// Only records that failed with this code.
    code: Option<String>,
    /// True for all failed records.
    #[serde(default)]
    all: bool,
}

/// Result of a decision on many records.
#[derive(Serialize, ToSchema)]
#[schema(as = BulkDecision)]
pub struct BulkDecisionResponse {
    /// Number of failed records that the decision was about.
    decided: u64,
}

/// Decide on many records whose calls failed
///
/// Decides on all failed records of a kind, with a code, or on all. Abandoned records stay abandoned. The next import
/// applies the decision.
#[utoipa::path(
    put, path = "/migration-assistance/migrations/{id}/ledger", tag = "Platforms", operation_id = "decideOnMany",
    params(("id" = Uuid, Path, description = "Reference id of the migration.")),
    request_body = BulkDecisionRequest,
    responses(
        (status = 200, body = BulkDecisionResponse),
        (status = 409, body = Problem, content_type = "application/problem+json", description = "The migration goes to the embedded platform, or a job is running."),
        (status = 415, body = Problem, content_type = "application/problem+json"),
        (status = 422, body = Problem, content_type = "application/problem+json"),
    ),
)]
pub async fn decide_all(
    State(app): State<AsyncApp>,
    caller: Caller<CanMigrate>,
    PathParams(id): PathParams<String>,
    headers: HeaderMap,
    BufferedBody(bytes): BufferedBody,
) -> Result<Json<BulkDecisionResponse>, Problem> {
    accepts_json(&headers)?;
    app.blocking(move |app| {
        let migration = caller.whole_migration(app, &id)?;
        let example = r#"{"decision":"retry","code":"NO_CONNECTION"}, or {"decision":"retry","all":true}"#;
        let BulkDecisionRequest { decision, kind, code, all } = json(&headers, &bytes, example)?;
        if kind.is_none() && code.is_none() && !all {
            let detail = "The decision names no records. Give a kind, a code, or \"all\":true.";
            return Err(Problem::bad_request("INVALID_PARAMETER", detail));
        }
        let migration_id = migration.reference_id;
        let _guard = app.jobs.begin_exclusive(migration_id)?;
        let ledger = ledger(&app.migration_context(migration)?)?;
        app.audit(AuditScope::Migration(migration_id), caller.entry(Action::CallDecided))?;
        Ok(Json(BulkDecisionResponse { decided: ledger.decide_failed(decision, &FailedFilter { kind, code })? }))
    })
    .await
}
