//! The mappers that migrations may choose from.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::caller::{Caller, Read};
use super::media::accepts_json;
use super::paging::Whole;
use super::problem::Problem;
use crate::app::App;
use sluice_model::{Digest, KeptPlugin, Name, Version};

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
    #[serde(flatten)]
    described: Described,
}

/// What it says of itself.
#[derive(Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Described {
    /// In the order in which they should be uploaded.
    sources: Vec<Source>,
    /// The entity types that it produces.
    entity_types: Vec<String>,
}

/// A table of the old system.
#[derive(Serialize, Deserialize, ToSchema)]
struct Source {
    #[schema(example = "client")]
    name: String,
    /// Fields that identify a record.
    key: Vec<String>,
    /// Further fields by which other records look it up.
    lookups: Vec<String>,
}

fn shown(KeptPlugin { name, version, digest, inspection, .. }: KeptPlugin) -> Shown {
    Shown { name, version, digest, described: serde_json::from_str(&inspection).unwrap_or_default() }
}

/// List the mappers that the client's migrations may choose from
///
/// Where there are several of one name, the first of them is meant by it: an approved one before others, the tenant's own
/// before the server's, the newest before older ones.
#[utoipa::path(
    get, path = "/migration-assistance/mappers", tag = "Mappers", operation_id = "listMappers",
    responses((status = 200, body = Whole<Shown>)),
)]
pub async fn list(
    State(app): State<Arc<App>>,
    caller: Caller<Read>,
    headers: HeaderMap,
) -> Result<Json<Whole<Shown>>, Problem> {
    accepts_json(&headers)?;
    tokio::task::spawn_blocking(move || {
        let mappers = app.registry.mappers(caller.grant().tenant.as_ref())?;
        Ok(Whole::new(mappers.into_iter().map(shown).collect()))
    })
    .await?
}
