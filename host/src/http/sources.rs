//! Source tables of the old system.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use super::caller::{Caller, Migrate, Read};
use super::extract::Path;
use super::media::{Records, accepts_json, answer_format, body_format};
use super::paging::Whole;
use super::problem::Problem;
use super::upload::{Incoming, Kind};
use crate::app::App;
use crate::model::{Code, Name, told};
use crate::pipeline::{Failure, count_sources, load_source};

/// Load a source table
///
/// Its records go through the migration's mapper; the answer is a result for each, in order, as soon as it is durable.
#[utoipa::path(
    put, path = "/migration-assistance/migrations/{id}/sources/{source}", tag = "Load", operation_id = "loadSource",
    params(("id" = Uuid, Path, description = "The migration's reference id."), ("source" = String, Path, description = "A source of the migration's mapper, such as `client`.")),
    request_body(content((Records = "application/jsonl"), (Records = "application/json-seq")), description = "An object a line, or a sequence of objects (RFC 7464)."),
    responses(
        (status = 200, description = "A result for each record.", content((String = "application/jsonl"), (String = "application/json-seq"))),
        (status = 409, body = Problem, content_type = "application/problem+json", description = "The migration has no mapper, or an upload or a job is running."),
        (status = 415, body = Problem, content_type = "application/problem+json"),
    ),
)]
pub async fn load(
    State(app): State<Arc<App>>,
    caller: Caller<Migrate>,
    Path((id, source)): Path<(String, String)>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let migration = caller.whole(&app, &id)?;
    let format = body_format(&headers)?;
    let answer = answer_format(&headers)?;
    let (known, chosen) = (app.clone(), (migration.tenant.clone(), migration.mapper.clone()));
    // It may have to be compiled first.
    let found = tokio::task::spawn_blocking(move || {
        let (tenant, Some(mapper)) = chosen else { return Ok(None) };
        Ok::<_, Failure>(known.registry.of(&tenant)?.mapper(mapper.digest)?)
    });
    let Some(mapper) = found.await?? else {
        let detail = "The migration has no mapper. Set one with PUT …/mapper, or upload to staging.";
        return Err(Problem::conflict("NO_MAPPER", detail));
    };
    let Some(described) = mapper.source(&source).cloned() else {
        let names: Vec<&Name> = mapper.description.sources.iter().map(|source| &source.name).collect();
        let detail = told!("{} has no such source. It has: {}.", mapper.title(), names);
        return Err(Problem::not_found("NO_SUCH_SOURCE", detail));
    };
    let kind = Kind::Source { mapper: mapper.digest };
    let incoming =
        Incoming { app, migration, author: caller.author().clone(), stream: described.name.clone(), answer, kind };
    incoming
        .take(body, move |desk, upload, body, results| {
            load_source(desk, &mapper, &described, upload, format, body, results)
        })
        .await
}

/// What became of a source's records.
#[derive(Serialize, ToSchema)]
#[schema(as = Source)]
pub struct Shown {
    #[schema(value_type = String, example = "client")]
    source: Name,
    outcomes: Vec<Outcome>,
}

/// How many records came to this.
#[derive(Serialize, ToSchema)]
struct Outcome {
    /// `mapped`, `skipped`, `rejected` or `quarantined`.
    outcome: &'static str,
    /// Why, unless they were mapped.
    #[schema(value_type = Option<String>)]
    code: Option<Code>,
    count: u64,
}

/// Count what became of each source's records
#[utoipa::path(
    get, path = "/migration-assistance/migrations/{id}/sources", tag = "Load", operation_id = "countSources",
    params(("id" = Uuid, Path, description = "The migration's reference id.")),
    responses((status = 200, body = Whole<Shown>)),
)]
pub async fn list(
    State(app): State<Arc<App>>,
    caller: Caller<Read>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Json<Whole<Shown>>, Problem> {
    accepts_json(&headers)?;
    tokio::task::spawn_blocking(move || {
        let desk = app.desk(caller.whole(&app, &id)?)?;
        let shown = count_sources(&desk)?.into_iter().map(|(source, outcomes)| {
            let outcomes = outcomes.into_iter().map(|((outcome, code), count)| Outcome { outcome, code, count });
            Shown { source, outcomes: outcomes.collect() }
        });
        Ok(Whole::new(shown.collect()))
    })
    .await?
}
