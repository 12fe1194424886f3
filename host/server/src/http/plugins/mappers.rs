//! Listing the mappers that migrations may use.

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::app::AsyncApp;
use crate::http::auth::authz::{Caller, CanAudit};
use crate::http::paging::ListResponse;
use crate::http::problem::Problem;
use crate::http::request::media::accepts_json;
use sluice_model::{Digest, Name, RegisteredPlugin, Version};

/// A mapper.
#[derive(Serialize, ToSchema)]
#[schema(as = Mapper)]
#[serde(rename_all = "camelCase")]
pub struct MapperResponse {
    #[schema(value_type = String, example = "berka")]
    name: Name,
    #[schema(value_type = String)]
    version: Version,
    /// SHA-256 of the component.
    #[schema(value_type = String)]
    digest: Digest,
    #[serde(flatten)]
    described: MapperSummary,
}

/// Description of a mapper.
#[derive(Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct MapperSummary {
    /// Sources, in the order in which they should be uploaded.
    sources: Vec<MapperSource>,
    /// Entity types that the mapper produces.
    entity_types: Vec<String>,
}

/// A table of the old system.
#[derive(Serialize, Deserialize, ToSchema)]
struct MapperSource {
    #[schema(example = "client")]
    name: String,
    /// Fields that identify a record.
    key: Vec<String>,
    /// Other fields by which a mapper looks records up.
    lookups: Vec<String>,
}

fn mapper_response(RegisteredPlugin { name, version, digest, inspection, .. }: RegisteredPlugin) -> MapperResponse {
    MapperResponse { name, version, digest, described: serde_json::from_str(&inspection).unwrap_or_default() }
}

/// List the mappers that the client's migrations may use
///
/// A name means the first mapper with this name in the list: approved mappers come before others, the tenant's own before
/// the server's, newer before older ones.
#[utoipa::path(
    get, path = "/migration-assistance/mappers", tag = "Mappers", operation_id = "listMappers",
    responses((status = 200, body = ListResponse<MapperResponse>)),
)]
pub async fn list(
    State(app): State<AsyncApp>,
    caller: Caller<CanAudit>,
    headers: HeaderMap,
) -> Result<Json<ListResponse<MapperResponse>>, Problem> {
    accepts_json(&headers)?;
    app.blocking(move |app| {
        let mappers = app.registry.mappers(caller.grant().tenant.as_ref())?;
        Ok(ListResponse::new(mappers.into_iter().map(mapper_response).collect()))
    })
    .await
}
