//! Source tables of the old system.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::Response;
use serde_json::{Value, json};

use super::media::{accepts_json, answer_format, body_format};
use super::migrations::find;
use super::problem::Problem;
use super::upload::{Incoming, Stream};
use crate::app::App;
use crate::model::{Name, told};
use crate::pipeline::{count_sources, load_source};

/// `PUT /migration-assistance/migrations/{id}/sources/{source}`: maps a table, a result for each record.
pub async fn load(
    State(app): State<Arc<App>>,
    Path((id, source)): Path<(String, String)>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let migration = find(&app, &id)?;
    let format = body_format(&headers)?;
    let answer = answer_format(&headers)?;
    let Some(mapper) = migration.mapper.as_deref().and_then(|name| app.plugins.mapper(name)).cloned() else {
        let detail = "The migration has no mapper. Set one with PUT …/mapper, or upload to staging.";
        return Err(Problem::conflict("NO_MAPPER", detail));
    };
    let Some(described) = mapper.source(&source).cloned() else {
        let names: Vec<&Name> = mapper.description.sources.iter().map(|source| &source.name).collect();
        let detail = told!("{} has no such source. It has: {}.", mapper.title(), names);
        return Err(Problem::not_found("NO_SUCH_SOURCE", detail));
    };
    let stream = Stream { kind: "sources", name: described.name.clone() };
    let incoming = Incoming { app: app.clone(), migration, stream, answer, of_source: true };
    incoming
        .take(body, move |desk, body, results| {
            let now = jiff::Timestamp::now();
            let id = desk.migration.reference_id;
            let upload = desk.store.begin_upload(id, &described.name, Some(&mapper.digest), now)?;
            load_source(desk, &mapper, &described, upload, format, body, results)
        })
        .await
}

/// `GET /migration-assistance/migrations/{id}/sources`: what became of each source's records.
pub async fn list(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Json<Value>, Problem> {
    accepts_json(&headers)?;
    tokio::task::spawn_blocking(move || {
        let desk = app.desk(find(&app, &id)?)?;
        let items: Vec<Value> = count_sources(&desk)?
            .into_iter()
            .map(|(source, outcomes)| {
                let outcomes: Vec<Value> = outcomes
                    .into_iter()
                    .map(|((outcome, code), count)| json!({"outcome": outcome, "code": code, "count": count}))
                    .collect();
                json!({"source": source, "outcomes": outcomes})
            })
            .collect();
        Ok(Json(json!({"total": items.len(), "items": items})))
    })
    .await?
}
