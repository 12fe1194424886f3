//! JSON Schemas of the domain records. They are the same for every client and contain no data, so they need no token.

use axum::Json;
use axum::extract::Path;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use super::problem::Problem;
use sluice_embedded::RECORD_SCHEMAS;

/// A schema that the server has.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SchemaResponse {
    /// Entity type of the records that the schema describes.
    #[schema(example = "counterparties")]
    entity_type: &'static str,
    /// Path of the schema.
    #[schema(example = "/schemas/counterparties")]
    path: String,
}

/// List the schemas of domain records
#[utoipa::path(
    get, path = "/schemas", tag = "Records", operation_id = "listSchemas", security(()),
    responses((status = 200, body = [SchemaResponse])),
)]
pub async fn list() -> Json<Vec<SchemaResponse>> {
    let schemas = RECORD_SCHEMAS.iter().map(|(entity_type, _)| entity_type);
    Json(schemas.map(|entity_type| SchemaResponse { entity_type, path: format!("/schemas/{entity_type}") }).collect())
}

/// Read the JSON Schema of a domain record
#[utoipa::path(
    get, path = "/schemas/{entity}", tag = "Records", operation_id = "readSchema", security(()),
    params(("entity" = String, Path, description = "Entity type, such as `counterparties`.")),
    responses((status = 200, body = Object, content_type = "application/schema+json")),
)]
pub async fn read(Path(entity): Path<String>) -> Result<Response, Problem> {
    let found = RECORD_SCHEMAS.iter().find(|(entity_type, _)| *entity_type == entity);
    let Some((_, schema)) = found else {
        let detail = "There is no such entity type. `GET /schemas` lists the entity types.";
        return Err(Problem::not_found("NO_SUCH_ENTITY_TYPE", detail));
    };
    Ok(([(header::CONTENT_TYPE, "application/schema+json")], *schema).into_response())
}
