//! Reading the ledger of a migration into a platform, and deciding on failed records.

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::app::AsyncApp;
use crate::http::auth::authz::{Caller, CanMigrate, CanRead};
use crate::http::paging::{PageQuery, PageResponse, QueryString};
use crate::http::problem::Problem;
use crate::http::request::extract::{BufferedBody, PathParams, json};
use crate::http::request::media::accepts_json;
use sluice_audit::{Action, AuditScope};
use sluice_connector::{EntityState, Ledger, LedgerDecision, LedgerKey, LedgerLine};
use sluice_model::{Name, message};
use sluice_pipeline::MigrationContext;

/// The plan of a record in the ledger.
#[derive(Serialize, ToSchema)]
#[schema(as = LedgerEntry)]
#[serde(rename_all = "camelCase")]
pub struct LedgerEntryResponse {
    /// Kind of the plan, such as `loans`.
    #[schema(value_type = String)]
    kind: Name,
    /// Reference id of the record.
    reference_id: Uuid,
    state: EntityState,
    /// Step that failed.
    #[schema(value_type = Option<String>)]
    step: Option<Name>,
    /// Reason of the failure: a code of the platform or of the server.
    code: Option<String>,
    /// HTTP status with which the platform refused the call; 0 if the platform did not refuse it.
    status: Option<u16>,
    /// Number of calls that were made.
    calls: u64,
    #[schema(format = DateTime)]
    at: String,
}

impl From<LedgerLine> for LedgerEntryResponse {
    fn from(line: LedgerLine) -> Self {
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

/// Opens the ledger of a migration into a platform.
pub(super) fn ledger(context: &MigrationContext) -> Result<Ledger, Problem> {
    if context.migration.target.is_none() {
        let detail =
            "The migration goes to the embedded platform, which has no ledger. Register a migration with a target.";
        return Err(Problem::conflict("NO_PLATFORM", detail));
    }
    Ok(Ledger::open(&context.area.ledger()?)?)
}

/// List the ledger's records
#[utoipa::path(
    get, path = "/migration-assistance/migrations/{id}/ledger", tag = "Platforms", operation_id = "listLedger",
    params(
        ("id" = Uuid, Path, description = "Reference id of the migration."), PageQuery,
        ("state" = Option<EntityState>, Query, description = "Only records in this state."),
    ),
    responses(
        (status = 200, body = PageResponse<LedgerEntryResponse>),
        (status = 409, body = Problem, content_type = "application/problem+json", description = "The migration goes to the embedded platform."),
    ),
)]
pub async fn list(
    State(app): State<AsyncApp>,
    caller: Caller<CanRead>,
    PathParams(id): PathParams<String>,
    headers: HeaderMap,
    query: QueryString,
) -> Result<Json<PageResponse<LedgerEntryResponse>>, Problem> {
    accepts_json(&headers)?;
    let page = query.page(&["state"])?;
    let state = match query.get("state") {
        None => None,
        Some(text) => Some(serde_json::from_value(text.into()).map_err(|_| {
            let detail = "state must be one of: open, waiting, done, failed, abandoned, undone.";
            Problem::bad_request("INVALID_PARAMETER", detail)
        })?),
    };
    app.blocking(move |app| {
        let context = app.migration_context(caller.whole_migration(app, &id)?)?;
        let (lines, total) = ledger(&context)?.lines(state, page.offset, page.limit)?;
        Ok(PageResponse::new(lines.into_iter().map(LedgerEntryResponse::from).collect(), total, page))
    })
    .await
}

/// A decision on a record's plan.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DecisionRequest {
    /// Decision.
    decision: LedgerDecision,
}

/// Decide on a record's calls
///
/// The next import applies the decision. `retry` sends a failed call again, and skipped calls whose answers are needed; `skip`
/// continues with the call after the failed one; `abandon` leaves the record as it is.
#[utoipa::path(
    put, path = "/migration-assistance/migrations/{id}/ledger/{kind}/{reference-id}", tag = "Platforms", operation_id = "decide",
    params(
        ("id" = Uuid, Path, description = "Reference id of the migration."),
        ("kind" = String, Path, description = "Kind of the plan, such as `loans`."),
        ("reference-id" = Uuid, Path, description = "Reference id of the record."),
    ),
    request_body = DecisionRequest,
    responses(
        (status = 200, body = LedgerEntryResponse),
        (status = 409, body = Problem, content_type = "application/problem+json", description = "The state of the record does not permit the decision, or a job is running."),
        (status = 415, body = Problem, content_type = "application/problem+json"),
        (status = 422, body = Problem, content_type = "application/problem+json"),
    ),
)]
pub async fn decide(
    State(app): State<AsyncApp>,
    caller: Caller<CanMigrate>,
    PathParams((id, kind, record)): PathParams<(String, String, String)>,
    headers: HeaderMap,
    BufferedBody(bytes): BufferedBody,
) -> Result<Json<LedgerEntryResponse>, Problem> {
    accepts_json(&headers)?;
    app.blocking(move |app| {
        let migration = caller.whole_migration(app, &id)?;
        let DecisionRequest { decision } = json(&headers, &bytes, r#"{"decision":"retry"}, or skip, or abandon"#)?;
        let not_there = || Problem::not_found("NOT_IN_LEDGER", "The ledger has no such record of this kind.");
        let record: Uuid = record.parse().map_err(|_| not_there())?;
        let migration_id = migration.reference_id;
        let _guard = app.jobs.begin_exclusive(migration_id)?;
        let context = app.migration_context(migration)?;
        let (ledger, key) = (ledger(&context)?, LedgerKey { kind: &kind, id: record.into_bytes() });
        let line = ledger.line(key)?.ok_or_else(not_there)?;
        let Some(decided) = ledger.decide(key, decision)? else {
            let detail = message!(
                "The decision is not possible: the record's state is {}, and no call of it failed or was skipped. \
                 docs/operate/platforms.md has what leads out of each state.",
                line.state.as_str()
            );
            return Err(Problem::conflict("NOT_FAILED", detail));
        };
        app.audit(AuditScope::Migration(migration_id), caller.entry(Action::CallDecided))?;
        Ok(Json(decided.into()))
    })
    .await
}
