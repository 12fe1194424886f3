//! Purging a migration.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};

use super::response::migration_response;
use crate::app::AsyncApp;
use crate::http::auth::authz::{Caller, CanMigrate};
use crate::http::conditional;
use crate::http::problem::Problem;
use crate::http::request::extract::PathParams;
use sluice_audit::Action;

/// Purge a migration
///
/// Erases the migration's records. Its figures, its audit trail and the imported records in the target stay. Idempotent.
#[utoipa::path(
    delete, path = "/migration-assistance/migrations/{id}", tag = "Migrations", operation_id = "purgeMigration",
    params(
        ("id" = Uuid, Path, description = "Reference id of the migration."),
        ("If-Match" = Option<String>, Header, description = "`ETag` of the migration that the client has."),
    ),
    responses(
        (status = 204, description = "The records are erased."),
        (status = 409, body = Problem, content_type = "application/problem+json", description = "An upload or a job is running."),
        (status = 412, body = Problem, content_type = "application/problem+json", description = "The migration changed since the `ETag` in `If-Match`."),
    ),
)]
pub async fn purge(
    State(app): State<AsyncApp>,
    caller: Caller<CanMigrate>,
    PathParams(id): PathParams<String>,
    headers: HeaderMap,
) -> Result<StatusCode, Problem> {
    app.blocking(move |app| {
        let migration = caller.whole_migration(app, &id)?;
        let asked = caller.entry(Action::MigrationPurged);
        app.purge(migration.reference_id, jiff::Timestamp::now(), asked, || {
            let migration = caller.whole_migration(app, &id)?;
            conditional::check(&headers, || migration_response(app, caller.grant(), migration))
        })?;
        Ok(StatusCode::NO_CONTENT)
    })
    .await
}
