//! Choosing a migration's mapper.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::response::{MigrationResponse, migration_response};
use crate::app::{App, AsyncApp};
use crate::http::auth::authz::{Caller, CanMigrate};
use crate::http::conditional;
use crate::http::problem::Problem;
use crate::http::request::extract::{BufferedBody, PathParams, json};
use crate::http::request::media::accepts_json;
use sluice_audit::{Action, AuditScope};
use sluice_catalog::LogEntry;
use sluice_model::{Level, MapperRef, Tenant, message};

/// A migration's mapper.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MapperRequest {
    /// Name of a mapper or digest of its component; null for no mapper.
    #[schema(example = "berka")]
    mapper: Option<String>,
}

/// Returns the mapper that a tenant means by a name or a digest.
pub fn known_mapper(app: &App, tenant: &Tenant, mapper: Option<&str>) -> Result<Option<MapperRef>, Problem> {
    let Some(mapper) = mapper else { return Ok(None) };
    match app.registry.choose(tenant, mapper)? {
        Ok(chosen) => Ok(Some(chosen)),
        Err(names) => {
            let detail = message!("There is no such mapper. Mappers: {}.", names);
            Err(Problem::unprocessable("UNKNOWN_MAPPER", detail))
        }
    }
}

/// Sets a migration's mapper, and saves who did it. The caller excludes other work on the migration.
pub fn store_mapper(
    app: &App,
    caller: &Caller<CanMigrate>,
    id: Uuid,
    mapper: Option<MapperRef>,
) -> Result<(), Problem> {
    app.store.set_mapper(id, mapper.as_ref())?;
    let digest = mapper.as_ref().map(|mapper| mapper.digest);
    app.audit(AuditScope::Migration(id), caller.entry(Action::MapperSet).plugins(digest))?;
    let entry = LogEntry::new(Level::Info, "MAPPER_SET").with("mapper", mapper.map(|mapper| mapper.name));
    Ok(app.store.log(id, &entry)?)
}

/// Set a migration's mapper
///
/// A name means the first mapper with this name in `GET /migration-assistance/mappers`. The answer has the version and the
/// digest of the chosen one.
#[utoipa::path(
    put, path = "/migration-assistance/migrations/{id}/mapper", tag = "Migrations", operation_id = "chooseMapper",
    params(
        ("id" = Uuid, Path, description = "Reference id of the migration."),
        ("If-Match" = Option<String>, Header, description = "`ETag` of the migration that the client has."),
    ),
    request_body = MapperRequest,
    responses(
        (status = 200, body = MigrationResponse, headers(("ETag" = String))),
        (status = 409, body = Problem, content_type = "application/problem+json", description = "An upload or a job is running."),
        (status = 412, body = Problem, content_type = "application/problem+json", description = "The migration changed since the `ETag` in `If-Match`."),
        (status = 415, body = Problem, content_type = "application/problem+json"),
        (status = 422, body = Problem, content_type = "application/problem+json", description = "The server has no such mapper."),
    ),
)]
pub async fn set_mapper(
    State(app): State<AsyncApp>,
    caller: Caller<CanMigrate>,
    PathParams(id): PathParams<String>,
    headers: HeaderMap,
    BufferedBody(bytes): BufferedBody,
) -> Result<Response, Problem> {
    accepts_json(&headers)?;
    let choice: MapperRequest = json(&headers, &bytes, r#"{"mapper":"berka"}, or null for none"#)?;
    app.blocking(move |app| {
        let migration = caller.whole_migration(app, &id)?;
        let mapper = known_mapper(app, &migration.tenant, choice.mapper.as_deref())?;
        let id = migration.reference_id;
        let _guard = app.jobs.begin_exclusive(id)?;
        // Nothing else can change the migration from here on.
        let migration = caller.whole_migration(app, &id.to_string())?;
        conditional::check(&headers, || migration_response(app, caller.grant(), migration))?;
        store_mapper(app, &caller, id, mapper)?;
        let migration = app.store.migration(id)?.ok_or_else(Problem::no_migration)?;
        Ok(conditional::show(&HeaderMap::new(), migration_response(app, caller.grant(), migration)?))
    })
    .await
}
