//! Staged records of a domain: loading them in the platform's own shape, reading, and removing them.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use utoipa::IntoParams;
use uuid::Uuid;

use super::caller::{Caller, Migrate, Read};
use super::extract::Path;
use super::media::{Records, accepts_json, answer_format, body_format, media_type};
use super::pieces::Coding;
use super::problem::Problem;
use super::streamed::{Pieces, streamed};
use super::upload::Incoming;
use super::work::Kind;
use crate::app::App;
use sluice_framing::{Format, Shape};
use sluice_model::{Domain, Grant, Migration, Name, told};
use sluice_pipeline::{delete_records, load_records};
use sluice_plugin_host::DomainPlugin;
use sluice_staging::{StagedBatch, StagedEntry, StagingArea, StagingError, StreamName};

/// Domain, migration and entity type, as they stand in a path.
type Place = (String, String, String);

/// The same, for readers of the API's document.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[allow(dead_code, reason = "describes the path to readers of the API's document; `Path` reads it")]
struct StagedAt {
    /// A domain's path: `counterparty-management`, `collateral-management`, `financing-solution`, `financing-execution` or `administrate`.
    domain: String,
    /// The migration's reference id.
    id: Uuid,
    /// An entity type of the domain, such as `counterparties`.
    entity: String,
}

/// The migration, the domain's plugin and the type's name, if the migration covers the domain and it has the type.
fn locate<N>(
    app: &App,
    caller: &Caller<N>,
    (domain, id, entity): (&str, &str, &str),
) -> Result<(Migration, Arc<DomainPlugin>, Name), Problem> {
    let Some(domain) = Domain::by_path(domain) else {
        return Err(Problem::no_path());
    };
    let migration = caller.of_domain(app, domain, id)?;
    if !migration.covers(domain.component) {
        let detail = told!("The migration does not cover {}.", domain.component);
        return Err(Problem::not_found("DOMAIN_NOT_COVERED", detail));
    }
    let plugins = app.registry.of(&migration.tenant)?;
    let plugin = plugins.domain(domain.component).ok_or_else(|| {
        Problem::not_found("NO_SUCH_DOMAIN", told!("This server has no plugin for {}.", domain.component))
    })?;
    let Some(entity_type) = plugin.entity_type(entity) else {
        let names: Vec<&Name> = plugin.description.entity_types.iter().map(|entity_type| &entity_type.name).collect();
        let detail = told!("{} has no such entity type. It has: {}.", domain.component, names);
        return Err(Problem::not_found("NO_SUCH_ENTITY_TYPE", detail));
    };
    Ok((migration, plugin.clone(), entity_type.name.clone()))
}

/// Stage records
///
/// In the platform's own shape, without a mapper; the answer is a result for each, in order, as soon as it is durable.
#[utoipa::path(
    put, path = "/{domain}/migrations/{id}/staging/{entity}", tag = "Load", operation_id = "stageRecords",
    params(StagedAt, ("Content-Encoding" = Option<String>, Header, description = "`gzip` or `zstd`, where the body is compressed.")),
    request_body(content((Records = "application/jsonl"), (Records = "application/json-seq")), description = "An object a line, or a sequence of objects (RFC 7464)."),
    responses(
        (status = 200, description = "A result for each record.", content((String = "application/jsonl"), (String = "application/json-seq"))),
        (status = 409, body = Problem, content_type = "application/problem+json", description = "An upload or a job is running."),
        (status = 415, body = Problem, content_type = "application/problem+json"),
    ),
)]
pub async fn load(
    State(app): State<Arc<App>>,
    caller: Caller<Migrate>,
    Path((domain, id, entity)): Path<Place>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let (migration, plugin, entity) = locate(&app, &caller, (&domain, &id, &entity))?;
    let (shape, coding) = (Shape::Json(body_format(&headers)?), Coding::of(&headers)?);
    let answer = answer_format(&headers)?;
    let (author, stream) = (caller.author().clone(), entity.clone());
    let incoming = Incoming { app, migration, author, stream, coding, shape, answer, kind: Kind::Records };
    incoming
        .take(body, move |desk, upload, body, results| load_records(desk, &plugin, &entity, upload, body, results))
        .await
}

/// Remove staged records
#[utoipa::path(
    put, path = "/{domain}/migrations/{id}/staging/{entity}/delete", tag = "Load", operation_id = "removeRecords",
    params(StagedAt, ("Content-Encoding" = Option<String>, Header, description = "`gzip` or `zstd`, where the body is compressed.")),
    request_body(content((Records = "application/jsonl"), (Records = "application/json-seq")), description = "A reference id a line, as a JSON string, or a sequence of them."),
    responses(
        (status = 200, description = "A result for each record.", content((String = "application/jsonl"), (String = "application/json-seq"))),
        (status = 409, body = Problem, content_type = "application/problem+json", description = "An upload or a job is running."),
        (status = 415, body = Problem, content_type = "application/problem+json"),
    ),
)]
pub async fn delete(
    State(app): State<Arc<App>>,
    caller: Caller<Migrate>,
    Path((domain, id, entity)): Path<Place>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let (migration, _, entity) = locate(&app, &caller, (&domain, &id, &entity))?;
    let (shape, coding) = (Shape::Json(body_format(&headers)?), Coding::of(&headers)?);
    let answer = answer_format(&headers)?;
    let (author, stream) = (caller.author().clone(), entity.clone());
    let incoming = Incoming { app, migration, author, stream, coding, shape, answer, kind: Kind::Deletion };
    incoming.take(body, move |desk, _, body, results| delete_records(desk, &entity, body, results)).await
}

/// Read a staged record
#[utoipa::path(
    get, path = "/{domain}/migrations/{id}/staging/{entity}/{reference-id}", tag = "Staged records",
    operation_id = "readRecord",
    params(
        ("domain" = String, Path, description = "A domain's path: `counterparty-management`, `collateral-management`, `financing-solution`, `financing-execution` or `administrate`."),
        ("id" = Uuid, Path, description = "The migration's reference id."),
        ("entity" = String, Path, description = "An entity type of the domain, such as `counterparties`."),
        ("reference-id" = Uuid, Path, description = "The record's reference id."),
    ),
    responses((status = 200, body = Object, description = "The record as it is staged.")),
)]
pub async fn read(
    State(app): State<Arc<App>>,
    caller: Caller<Read>,
    Path((domain, id, entity, reference_id)): Path<(String, String, String, String)>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    accepts_json(&headers)?;
    tokio::task::spawn_blocking(move || {
        let (migration, _, entity) = locate(&app, &caller, (&domain, &id, &entity))?;
        let no_record = || Problem::not_found("NO_SUCH_RECORD", "No record with this reference id is staged.");
        let reference_id: Uuid = reference_id.parse().map_err(|_| no_record())?;
        let body = app.desk(migration)?.area.read(&entity, reference_id.into_bytes())?.ok_or_else(no_record)?;
        Ok(([(header::CONTENT_TYPE, "application/json")], body).into_response())
    })
    .await?
}

/// Records read at once for a stream.
const STREAM_RECORDS: usize = 1_000;
const STREAM_BYTES: usize = 256 * 1024;

/// Read all staged records of an entity type
#[utoipa::path(
    get, path = "/{domain}/migrations/{id}/staging/{entity}/stream", tag = "Staged records",
    operation_id = "streamRecords",
    params(StagedAt),
    responses((status = 200, description = "The records as they are staged.", content((String = "application/jsonl"), (String = "application/json-seq")))),
)]
pub async fn stream(
    State(app): State<Arc<App>>,
    caller: Caller<Read>,
    Path((domain, id, entity)): Path<Place>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let answer = answer_format(&headers)?;
    let (migration, _, entity) = locate(&app, &caller, (&domain, &id, &entity))?;
    let area = app.desk(migration)?.area;
    let still_let_in = still_let_in(app, &caller);
    Ok(streamed(media_type(answer), "STAGING_FAILED", move |pieces| {
        send_records(&area, StreamName::Records(&entity), &|_| true, answer, &still_let_in, pieces)
    }))
}

/// Whether the caller has not been revoked meanwhile: a token's end does not cut a long reading short.
pub(super) fn still_let_in<N>(app: Arc<App>, caller: &Caller<N>) -> impl Fn() -> bool + Send + 'static {
    let grant = Grant { until: None, ..caller.grant().clone() };
    move || matches!(app.access.still_holds(&grant, jiff::Timestamp::now()), Ok(true))
}

/// Sends the wanted records of a stream as they are, in their order.
pub(super) fn send_records(
    area: &StagingArea,
    stream: StreamName,
    wanted: &dyn Fn(&StagedEntry) -> bool,
    format: Format,
    holds: &dyn Fn() -> bool,
    pieces: &Pieces,
) -> Result<(), StagingError> {
    let mut batch = StagedBatch::default();
    let mut reader = area.reader(stream, 0)?;
    while reader.next_batch(&mut batch, STREAM_RECORDS, STREAM_BYTES)? {
        // A client that is revoked reads no further.
        if !holds() {
            pieces.break_off("the client is let in no longer");
            break;
        }
        let mut piece = Vec::with_capacity(batch.bytes.len() + batch.len() * 2);
        for (position, entry) in batch.entries.iter().enumerate() {
            if !wanted(entry) {
                continue;
            }
            let start = piece.len();
            if format == Format::JsonSeq {
                piece.push(0x1e);
            }
            piece.extend_from_slice(batch.body(position));
            if format == Format::JsonLines {
                // What came in a sequence may have ends of lines between its tokens; within them there are none.
                let ends = piece[start..].iter_mut().filter(|byte| matches!(**byte, b'\n' | b'\r'));
                ends.for_each(|byte| *byte = b' ');
            }
            piece.push(b'\n');
        }
        if !piece.is_empty() && !pieces.send(piece) {
            break;
        }
    }
    Ok(())
}
