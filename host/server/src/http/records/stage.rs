//! Staging and removing records of a domain.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;

use super::staged_path::{StagedPath, StagedPathParams, find_entity_type};
use crate::app::{App, AsyncApp};
use crate::http::auth::authz::{Caller, CanMigrate};
use crate::http::problem::Problem;
use crate::http::request::extract::PathParams;
use crate::http::request::media::{RecordsBody, answer_format, body_format, content_coding};
use crate::http::streamed::streamed_results;
use crate::ingest::{ContentCoding, UploadIngest, UploadKind};
use sluice_framing::{BodyFormat, JsonFormat};
use sluice_model::{Migration, Name};
use sluice_pipeline::{delete_records, load_records};
use sluice_plugin_host::DomainPlugin;

/// Stage records
///
/// Stages records in the platform's own shape, without a mapper. Returns a result for each record, in order, as soon as it is
/// durable.
#[utoipa::path(
    put, path = "/{domain}/migrations/{id}/staging/{entity}", tag = "Load", operation_id = "stageRecords",
    params(StagedPathParams, ("Content-Encoding" = Option<String>, Header, description = "`gzip` or `zstd`, if the body is compressed.")),
    request_body(content((RecordsBody = "application/jsonl"), (RecordsBody = "application/json-seq")), description = "An object on each line, or a sequence of objects (RFC 7464)."),
    responses(
        (status = 200, description = "A result for each record.", content((String = "application/jsonl"), (String = "application/json-seq"))),
        (status = 409, body = Problem, content_type = "application/problem+json", description = "An upload or a job is running."),
        (status = 415, body = Problem, content_type = "application/problem+json"),
    ),
)]
pub async fn load(
    State(app): State<AsyncApp>,
    caller: Caller<CanMigrate>,
    PathParams(path): PathParams<StagedPath>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let author = caller.author().clone();
    let StagingRequest { migration, plugin, entity, shape, coding, answer } =
        app.blocking(move |app| staging_request(app, &caller, &path, &headers)).await?;
    let (kind, stream) = (UploadKind::Records, entity.clone());
    let ingest = UploadIngest { app, migration, author, stream, coding, shape, answer, kind, source: None };
    let load = ingest.stream_results::<Problem>(body, move |context, upload, body, results| {
        load_records(context, &plugin, &entity, upload, body, results)
    });
    Ok(streamed_results(answer, load.await?))
}

/// Remove staged records
#[utoipa::path(
    put, path = "/{domain}/migrations/{id}/staging/{entity}/delete", tag = "Load", operation_id = "removeRecords",
    params(StagedPathParams, ("Content-Encoding" = Option<String>, Header, description = "`gzip` or `zstd`, if the body is compressed.")),
    request_body(content((RecordsBody = "application/jsonl"), (RecordsBody = "application/json-seq")), description = "A reference id as a JSON string on each line, or a sequence of them."),
    responses(
        (status = 200, description = "A result for each record.", content((String = "application/jsonl"), (String = "application/json-seq"))),
        (status = 409, body = Problem, content_type = "application/problem+json", description = "An upload or a job is running."),
        (status = 415, body = Problem, content_type = "application/problem+json"),
    ),
)]
pub async fn delete(
    State(app): State<AsyncApp>,
    caller: Caller<CanMigrate>,
    PathParams(path): PathParams<StagedPath>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let author = caller.author().clone();
    let StagingRequest { migration, entity, shape, coding, answer, .. } =
        app.blocking(move |app| staging_request(app, &caller, &path, &headers)).await?;
    let (kind, stream) = (UploadKind::Deletion, entity.clone());
    let ingest = UploadIngest { app, migration, author, stream, coding, shape, answer, kind, source: None };
    let removal = ingest.stream_results::<Problem>(body, move |context, _, body, results| {
        delete_records(context, &entity, body, results)
    });
    Ok(streamed_results(answer, removal.await?))
}

/// A request that stages or removes records.
struct StagingRequest {
    migration: Migration,
    plugin: Arc<DomainPlugin>,
    /// Name of the entity type.
    entity: Name,
    shape: BodyFormat,
    coding: ContentCoding,
    answer: JsonFormat,
}

fn staging_request<N>(
    app: &App,
    caller: &Caller<N>,
    path: &StagedPath,
    headers: &HeaderMap,
) -> Result<StagingRequest, Problem> {
    let (migration, plugin, entity) = find_entity_type(app, caller, path)?;
    let (shape, coding) = (BodyFormat::Json(body_format(headers)?), content_coding(headers)?);
    let answer = answer_format(headers)?;
    Ok(StagingRequest { migration, plugin, entity, shape, coding, answer })
}
