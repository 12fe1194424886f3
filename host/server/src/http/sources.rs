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
use super::media::{Records, Table, accepts_json, answer_format, body_shape};
use super::paging::{Query, Whole};
use super::pieces::Coding;
use super::problem::Problem;
use super::upload::Incoming;
use super::work::Kind;
use crate::app::App;
use sluice_contract::Source;
use sluice_model::{Code, Migration, Name, told};
use sluice_pipeline::{Failure, count_sources, load_source};
use sluice_plugin_host::MapperPlugin;

/// Load a source table
///
/// Its records go through the migration's mapper; the answer is a result for each, in order, as soon as it is durable.
#[utoipa::path(
    put, path = "/migration-assistance/migrations/{id}/sources/{source}", tag = "Load", operation_id = "loadSource",
    params(
        ("id" = Uuid, Path, description = "The migration's reference id."),
        ("source" = String, Path, description = "A source of the migration's mapper, such as `client`."),
        ("separator" = Option<String>, Query, description = "Of a table: what stands between two fields, one ASCII character or `tab`; a comma unless given."),
        ("quote" = Option<String>, Query, description = "Of a table: what stands around a field, one ASCII character, or `none`; a double quote unless given."),
        ("columns" = Option<String>, Query, description = "Of a table without a header (`text/csv; header=absent`): its fields' names, parted by commas. Without them fields are called `1`, `2` and so on."),
        ("Content-Encoding" = Option<String>, Header, description = "`gzip` or `zstd`, where the body is compressed."),
    ),
    request_body(content((Records = "application/jsonl"), (Records = "application/json-seq"), (Table = "text/csv")), description = "An object a line, a sequence of objects (RFC 7464), or a table (RFC 4180), of which each row is an object of strings named by its header; `charset` and `header` are its parameters. Compressed or not."),
    responses(
        (status = 200, description = "A result for each record.", content((String = "application/jsonl"), (String = "application/json-seq"))),
        (status = 409, body = Problem, content_type = "application/problem+json", description = "The migration has no mapper, or an upload or a job is running."),
        (status = 415, body = Problem, content_type = "application/problem+json", description = "Another media type, charset or encoding than those that are taken."),
        (status = 422, body = Problem, content_type = "application/problem+json", description = "A table's header names no fields."),
    ),
)]
pub async fn load(
    State(app): State<Arc<App>>,
    caller: Caller<Migrate>,
    Path((id, source)): Path<(String, String)>,
    query: Query,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let migration = caller.whole(&app, &id)?;
    let (shape, coding) = (body_shape(&headers, &query)?, Coding::of(&headers)?);
    let answer = answer_format(&headers)?;
    let (mapper, described) = described(&app, &migration, &source).await?;
    let kind = Kind::Source { mapper: mapper.digest };
    let (author, stream) = (caller.author().clone(), described.name.clone());
    let incoming = Incoming { app, migration, author, stream, coding, shape, answer, kind };
    incoming
        .take(body, move |desk, upload, body, results| load_source(desk, &mapper, &described, upload, body, results))
        .await
}

/// The migration's mapper and one of its sources.
pub async fn described(
    app: &Arc<App>,
    migration: &Migration,
    source: &str,
) -> Result<(Arc<MapperPlugin>, Source), Problem> {
    let (app, migration, source) = (app.clone(), migration.clone(), source.to_owned());
    // It may have to be compiled first.
    tokio::task::spawn_blocking(move || described_now(&app, &migration, &source)).await?
}

/// The same, at once.
pub fn described_now(app: &App, migration: &Migration, source: &str) -> Result<(Arc<MapperPlugin>, Source), Problem> {
    let chosen = migration.mapper.as_ref();
    let plugins = chosen.map(|chosen| Ok::<_, Failure>((chosen, app.registry.of(&migration.tenant)?))).transpose()?;
    let mapper = plugins.map(|(chosen, plugins)| plugins.mapper(chosen.digest)).transpose()?.flatten();
    let Some(mapper) = mapper else {
        let detail = "The migration has no mapper. Set one with PUT …/mapper, or upload to staging.";
        return Err(Problem::conflict("NO_MAPPER", detail));
    };
    let Some(described) = mapper.source(source).cloned() else {
        let names: Vec<&Name> = mapper.description.sources.iter().map(|source| &source.name).collect();
        let detail = told!("{} has no such source. It has: {}.", mapper.title(), names);
        return Err(Problem::not_found("NO_SUCH_SOURCE", detail));
    };
    Ok((mapper, described))
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
