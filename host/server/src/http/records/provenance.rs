//! Reading the provenance of a record, and replaying a record.

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::app::{App, AsyncApp};
use crate::http::auth::authz::{Caller, CanRead};
use crate::http::problem::Problem;
use crate::http::request::extract::PathParams;
use crate::http::request::media::accepts_json;
use sluice_model::{DOMAINS, Digest, Name, message};
use sluice_pipeline::{MigrationContext, RecordProvenance, provenance, replay};

fn no_record() -> Problem {
    Problem::not_found("NO_SUCH_RECORD", "No record with this reference id is staged.")
}

/// Returns the migration's context, the name of the entity type and the record's id, if the caller may read such records.
fn locate(
    app: &App,
    caller: &Caller<CanRead>,
    (id, entity, reference_id): (&str, &str, &str),
) -> Result<(MigrationContext, Name, Uuid), Problem> {
    let migration = caller.migration(app, id)?;
    let plugins = app.registry.plugins_of(&migration.tenant)?;
    let found = plugins.of_entity_type(entity).and_then(|plugin| Some((plugin, plugin.entity_type(entity)?)));
    let Some((plugin, described)) = found else {
        let types = plugins.domains().iter().flat_map(|plugin| &plugin.description.entity_types);
        let names: Vec<&Name> = types.map(|entity_type| &entity_type.name).collect();
        let detail = message!("There is no such entity type. Entity types: {}.", names);
        return Err(Problem::not_found("NO_SUCH_ENTITY_TYPE", detail));
    };
    if let Some(domain) = DOMAINS.iter().find(|domain| plugin.description.domain == domain.component) {
        caller.domain_migration(app, domain, id)?;
    }
    let reference_id = reference_id.parse().map_err(|_| no_record())?;
    Ok((app.migration_context(migration)?, described.name.clone(), reference_id))
}

/// Read the provenance of a record
///
/// Returns the record's upload, line and bytes, the plugins that mapped and validated it, its issues, and its import.
#[utoipa::path(
    get, path = "/migration-assistance/migrations/{id}/records/{entity}/{reference-id}/provenance",
    tag = "Staged records", operation_id = "readProvenance",
    params(
        ("id" = Uuid, Path, description = "Reference id of the migration."),
        ("entity" = String, Path, description = "Entity type, such as `counterparties`."),
        ("reference-id" = Uuid, Path, description = "Reference id of the record."),
    ),
    responses((status = 200, body = RecordProvenance)),
)]
pub async fn read_provenance(
    State(app): State<AsyncApp>,
    caller: Caller<CanRead>,
    PathParams((id, entity, reference_id)): PathParams<(String, String, String)>,
    headers: HeaderMap,
) -> Result<Json<RecordProvenance>, Problem> {
    accepts_json(&headers)?;
    app.blocking(move |app| {
        let (context, entity_type, reference_id) = locate(app, &caller, (&id, &entity, &reference_id))?;
        caller.note_reading(app, context.migration.reference_id, &entity_type)?;
        let story = provenance(&context, &entity_type, reference_id.into_bytes())?;
        story.map(Json).ok_or_else(no_record)
    })
    .await
}

/// Result of a replay.
#[derive(Serialize, ToSchema)]
#[schema(as = Replay)]
#[serde(rename_all = "camelCase")]
pub struct ReplayResponse {
    /// True if all results are the same.
    same: bool,
    /// Digest of the mapper that made the record.
    #[schema(value_type = String)]
    mapper: Digest,
    /// True if the mapper made the same bytes from the same source records.
    mapped_same: bool,
    /// Digest of the domain plugin that planned the record's import; before an import, of the one that validates it.
    #[schema(value_type = String)]
    domain_plugin: Digest,
    /// True if the domain plugin validates and plans the record as before, and the target has it so.
    judged_same: bool,
}

/// Replay a record
///
/// Runs the plugins that mapped and validated the record again, with the lookups of that time. Changes nothing.
#[utoipa::path(
    get, path = "/migration-assistance/migrations/{id}/records/{entity}/{reference-id}/replay",
    tag = "Staged records", operation_id = "replayRecord",
    params(
        ("id" = Uuid, Path, description = "Reference id of the migration."),
        ("entity" = String, Path, description = "Entity type, such as `counterparties`."),
        ("reference-id" = Uuid, Path, description = "Reference id of the record."),
    ),
    responses(
        (status = 200, body = ReplayResponse),
        (status = 409, body = Problem, content_type = "application/problem+json", description = "No mapper made the record."),
    ),
)]
pub async fn read_replay(
    State(app): State<AsyncApp>,
    caller: Caller<CanRead>,
    PathParams((id, entity, reference_id)): PathParams<(String, String, String)>,
    headers: HeaderMap,
) -> Result<Json<ReplayResponse>, Problem> {
    accepts_json(&headers)?;
    app.blocking(move |app| {
        let (context, entity_type, reference_id) = locate(app, &caller, (&id, &entity, &reference_id))?;
        let id = reference_id.into_bytes();
        if context.area.record(&entity_type, id)?.is_none() {
            return Err(no_record());
        }
        let Some(replayed) = replay(&context, &entity_type, id)? else {
            let detail = "No mapper made this record. It was uploaded in the platform's own shape, or generated.";
            return Err(Problem::conflict("NOT_MAPPED", detail));
        };
        Ok(Json(ReplayResponse {
            same: replayed.mapped_same && replayed.validated_same,
            mapper: replayed.mapper,
            mapped_same: replayed.mapped_same,
            domain_plugin: replayed.domain_plugin,
            judged_same: replayed.validated_same,
        }))
    })
    .await
}
