//! The mappers that this server has.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use serde_json::{Value, json};

use super::media::accepts_json;
use super::problem::Problem;
use crate::app::App;

/// `GET /migration-assistance/mappers`: each with its sources in the order in which they should be uploaded.
pub async fn list(State(app): State<Arc<App>>, headers: HeaderMap) -> Result<Json<Value>, Problem> {
    accepts_json(&headers)?;
    let items: Vec<Value> = app
        .plugins
        .mappers()
        .map(|mapper| {
            let described = &mapper.description;
            let sources: Vec<Value> = described
                .sources
                .iter()
                .map(|source| json!({"name": source.name, "key": source.key, "lookups": source.lookups}))
                .collect();
            json!({
                "name": described.name,
                "version": described.version,
                "digest": mapper.digest,
                "sources": sources,
                "entityTypes": described.entity_types,
            })
        })
        .collect();
    Ok(Json(json!({"total": items.len(), "items": items})))
}
