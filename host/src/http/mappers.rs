//! The mappers that this server has.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use serde::Serialize;
use utoipa::ToSchema;

use super::caller::{Caller, Read};
use super::media::accepts_json;
use super::paging::Whole;
use super::problem::Problem;
use crate::app::App;
use crate::model::{Digest, Name, Version};

/// A mapper.
#[derive(Serialize, ToSchema)]
#[schema(as = Mapper)]
#[serde(rename_all = "camelCase")]
pub struct Shown {
    #[schema(value_type = String, example = "berka")]
    name: Name,
    #[schema(value_type = String)]
    version: Version,
    /// SHA-256 of the component.
    #[schema(value_type = String)]
    digest: Digest,
    /// In the order in which they should be uploaded.
    sources: Vec<Source>,
    /// The entity types that it produces.
    #[schema(value_type = Vec<String>)]
    entity_types: Vec<Name>,
}

/// A table of the old system.
#[derive(Serialize, ToSchema)]
struct Source {
    #[schema(value_type = String, example = "client")]
    name: Name,
    /// Fields that identify a record.
    key: Vec<String>,
    /// Further fields by which other records look it up.
    lookups: Vec<String>,
}

/// List this server's mappers
#[utoipa::path(
    get, path = "/migration-assistance/mappers", tag = "Mappers", operation_id = "listMappers",
    responses((status = 200, body = Whole<Shown>)),
)]
pub async fn list(
    State(app): State<Arc<App>>,
    _: Caller<Read>,
    headers: HeaderMap,
) -> Result<Json<Whole<Shown>>, Problem> {
    accepts_json(&headers)?;
    let shown = app.plugins.mappers().map(|mapper| {
        let described = &mapper.description;
        let sources = described.sources.iter().map(|source| Source {
            name: source.name.clone(),
            key: source.key.clone(),
            lookups: source.lookups.clone(),
        });
        Shown {
            name: described.name.clone(),
            version: described.version.clone(),
            digest: mapper.digest,
            sources: sources.collect(),
            entity_types: described.entity_types.clone(),
        }
    });
    Ok(Whole::new(shown.collect()))
}
