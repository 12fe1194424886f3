//! A record's story, and a record run again: what an auditor asks of a single record.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::caller::{Caller, Read};
use super::extract::Path;
use super::media::accepts_json;
use super::problem::Problem;
use crate::app::App;
use sluice_model::{DOMAINS, Digest, Name, told};
use sluice_pipeline::{Desk, Story, provenance, replay};

fn no_record() -> Problem {
    Problem::not_found("NO_SUCH_RECORD", "No record with this reference id is staged.")
}

/// The migration's desk, the entity type's name and the record's id, if the caller may read such records.
fn locate(
    app: &App,
    caller: &Caller<Read>,
    (id, entity, reference_id): (&str, &str, &str),
) -> Result<(Desk, Name, Uuid), Problem> {
    let migration = caller.any_of(app, id)?;
    let plugins = app.registry.of(&migration.tenant)?;
    let found = plugins.of_entity_type(entity).and_then(|plugin| Some((plugin, plugin.entity_type(entity)?)));
    let Some((plugin, described)) = found else {
        let types = plugins.domains().iter().flat_map(|plugin| &plugin.description.entity_types);
        let names: Vec<&Name> = types.map(|entity_type| &entity_type.name).collect();
        let detail = told!("There is no such entity type. There are: {}.", names);
        return Err(Problem::not_found("NO_SUCH_ENTITY_TYPE", detail));
    };
    if let Some(domain) = DOMAINS.iter().find(|domain| plugin.description.domain == domain.component) {
        caller.of_domain(app, domain, id)?;
    }
    let reference_id = reference_id.parse().map_err(|_| no_record())?;
    Ok((app.desk(migration)?, described.name.clone(), reference_id))
}

/// Read where a record came from
///
/// Its upload, line and bytes, the plugins that made and judged it, what was said of it, and what was done with it.
#[utoipa::path(
    get, path = "/migration-assistance/migrations/{id}/records/{entity}/{reference-id}/provenance",
    tag = "Staged records", operation_id = "readProvenance",
    params(
        ("id" = Uuid, Path, description = "The migration's reference id."),
        ("entity" = String, Path, description = "An entity type, such as `counterparties`."),
        ("reference-id" = Uuid, Path, description = "The record's reference id."),
    ),
    responses((status = 200, body = Story)),
)]
pub async fn read_provenance(
    State(app): State<Arc<App>>,
    caller: Caller<Read>,
    Path((id, entity, reference_id)): Path<(String, String, String)>,
    headers: HeaderMap,
) -> Result<Json<Story>, Problem> {
    accepts_json(&headers)?;
    tokio::task::spawn_blocking(move || {
        let (desk, entity_type, reference_id) = locate(&app, &caller, (&id, &entity, &reference_id))?;
        let story = provenance(&desk, &entity_type, reference_id.into_bytes())?;
        story.map(Json).ok_or_else(no_record)
    })
    .await?
}

/// What a replay came to.
#[derive(Serialize, ToSchema)]
#[schema(as = Replay)]
#[serde(rename_all = "camelCase")]
pub struct Shown {
    /// Whether everything came out the same.
    same: bool,
    /// Digest of the mapper that made the record.
    #[schema(value_type = String)]
    mapper: Digest,
    /// Whether it made the very same bytes of the same source records.
    mapped_same: bool,
    /// Digest of the domain plugin that planned the record's import, or, before one, of the one that judges it.
    #[schema(value_type = String)]
    domain_plugin: Digest,
    /// Whether it judges and plans the record as it did, and the target has it so.
    judged_same: bool,
}

/// Run a record again
///
/// Through exactly the plugins that mapped and judged it, with what could be looked up then. Nothing is changed.
#[utoipa::path(
    get, path = "/migration-assistance/migrations/{id}/records/{entity}/{reference-id}/replay",
    tag = "Staged records", operation_id = "replayRecord",
    params(
        ("id" = Uuid, Path, description = "The migration's reference id."),
        ("entity" = String, Path, description = "An entity type, such as `counterparties`."),
        ("reference-id" = Uuid, Path, description = "The record's reference id."),
    ),
    responses(
        (status = 200, body = Shown),
        (status = 409, body = Problem, content_type = "application/problem+json", description = "No mapper made the record."),
    ),
)]
pub async fn read_replay(
    State(app): State<Arc<App>>,
    caller: Caller<Read>,
    Path((id, entity, reference_id)): Path<(String, String, String)>,
    headers: HeaderMap,
) -> Result<Json<Shown>, Problem> {
    accepts_json(&headers)?;
    tokio::task::spawn_blocking(move || {
        let (desk, entity_type, reference_id) = locate(&app, &caller, (&id, &entity, &reference_id))?;
        let id = reference_id.into_bytes();
        if desk.area.record(&entity_type, id)?.is_none() {
            return Err(no_record());
        }
        let Some(replayed) = replay(&desk, &entity_type, id)? else {
            let detail = "No mapper made this record: it was uploaded in the platform's own shape, or generated.";
            return Err(Problem::conflict("NOT_MAPPED", detail));
        };
        Ok(Json(Shown {
            same: replayed.mapped_same && replayed.judged_same,
            mapper: replayed.mapper,
            mapped_same: replayed.mapped_same,
            domain_plugin: replayed.domain_plugin,
            judged_same: replayed.judged_same,
        }))
    })
    .await?
}
