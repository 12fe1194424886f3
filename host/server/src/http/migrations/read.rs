//! Reading and listing migrations.

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;

use super::response::{MigrationResponse, migration_response};
use crate::app::AsyncApp;
use crate::http::auth::authz::{Caller, CanAudit};
use crate::http::conditional;
use crate::http::paging::{PageQuery, PageResponse, QueryString};
use crate::http::problem::Problem;
use crate::http::request::extract::PathParams;
use crate::http::request::media::accepts_json;

/// List the migrations that the client sees, the newest first
#[utoipa::path(
    get, path = "/migration-assistance/migrations", tag = "Migrations", operation_id = "listMigrations",
    params(PageQuery),
    responses((status = 200, body = PageResponse<MigrationResponse>)),
)]
pub async fn list(
    State(app): State<AsyncApp>,
    caller: Caller<CanAudit>,
    headers: HeaderMap,
    query: QueryString,
) -> Result<Json<PageResponse<MigrationResponse>>, Problem> {
    accepts_json(&headers)?;
    let page = query.page(&[])?;
    app.blocking(move |app| {
        let (migrations, total) = app.store.migrations(caller.grant(), page)?;
        let shown = migrations.into_iter().map(|migration| migration_response(app, caller.grant(), migration));
        Ok(PageResponse::new(shown.collect::<Result<_, _>>()?, total, page))
    })
    .await
}

/// Read a migration
#[utoipa::path(
    get, path = "/migration-assistance/migrations/{id}", tag = "Migrations", operation_id = "readMigration",
    params(
        ("id" = Uuid, Path, description = "Reference id of the migration."),
        ("If-None-Match" = Option<String>, Header, description = "`ETag` that the client has."),
    ),
    responses(
        (status = 200, body = MigrationResponse, headers(("ETag" = String))),
        (status = 304, description = "Not changed since the client's `ETag`."),
    ),
)]
pub async fn read(
    State(app): State<AsyncApp>,
    caller: Caller<CanAudit>,
    PathParams(id): PathParams<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    accepts_json(&headers)?;
    app.blocking(move |app| {
        let migration = caller.migration(app, &id)?;
        Ok(conditional::show(&headers, migration_response(app, caller.grant(), migration)?))
    })
    .await
}
