//! Staged records of a domain: loading them in the platform's own shape, reading, and removing them.

use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use uuid::Uuid;

use super::media::{accepts_json, answer_format, body_format, media_type};
use super::migrations::find;
use super::problem::Problem;
use super::upload::{Incoming, Stream};
use crate::app::App;
use crate::framing::Format;
use crate::model::{Domain, Migration, Name, told};
use crate::pipeline::{delete_records, load_records};
use crate::plugin::DomainPlugin;
use crate::staging::{StagedBatch, StagingArea, StreamName};

/// The migration, the domain's plugin and the type's name, if the migration covers the domain and it has the type.
fn locate(app: &App, domain: Domain, id: &str, entity: &str) -> Result<(Migration, Arc<DomainPlugin>, Name), Problem> {
    let migration = find(app, id)?;
    if !migration.covers(domain.component) {
        let detail = told!("The migration does not cover {}.", domain.component);
        return Err(Problem::not_found("DOMAIN_NOT_COVERED", detail));
    }
    let plugin = app.plugins.domain(domain.component).ok_or_else(|| {
        Problem::not_found("NO_SUCH_DOMAIN", told!("This server has no plugin for {}.", domain.component))
    })?;
    let Some(entity_type) = plugin.entity_type(entity) else {
        let names: Vec<&Name> = plugin.description.entity_types.iter().map(|entity_type| &entity_type.name).collect();
        let detail = told!("{} has no such entity type. It has: {}.", domain.component, names);
        return Err(Problem::not_found("NO_SUCH_ENTITY_TYPE", detail));
    };
    Ok((migration, plugin.clone(), entity_type.name.clone()))
}

/// `PUT /{domain}/migrations/{id}/staging/{entity}`
pub async fn load(
    State(app): State<Arc<App>>,
    Extension(domain): Extension<Domain>,
    Path((id, entity)): Path<(String, String)>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let (migration, plugin, entity) = locate(&app, domain, &id, &entity)?;
    let format = body_format(&headers)?;
    let answer = answer_format(&headers)?;
    let stream = Stream { kind: "staging", name: entity.clone() };
    let incoming = Incoming { app, migration, stream, answer, of_source: false };
    incoming
        .take(body, move |desk, body, results| {
            let now = jiff::Timestamp::now();
            let upload = desk.store.begin_upload(desk.migration.reference_id, &entity, None, now)?;
            load_records(desk, &plugin, &entity, upload, format, body, results)
        })
        .await
}

/// `PUT /{domain}/migrations/{id}/staging/{entity}/delete`
pub async fn delete(
    State(app): State<Arc<App>>,
    Extension(domain): Extension<Domain>,
    Path((id, entity)): Path<(String, String)>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let (migration, _, entity) = locate(&app, domain, &id, &entity)?;
    let format = body_format(&headers)?;
    let answer = answer_format(&headers)?;
    let stream = Stream { kind: "staging", name: entity.clone() };
    let incoming = Incoming { app, migration, stream, answer, of_source: false };
    incoming.take(body, move |desk, body, results| delete_records(desk, &entity, format, body, results)).await
}

/// `GET /{domain}/migrations/{id}/staging/{entity}/{referenceId}`
pub async fn read(
    State(app): State<Arc<App>>,
    Extension(domain): Extension<Domain>,
    Path((id, entity, reference_id)): Path<(String, String, String)>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    accepts_json(&headers)?;
    tokio::task::spawn_blocking(move || {
        let (migration, _, entity) = locate(&app, domain, &id, &entity)?;
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

/// `GET /{domain}/migrations/{id}/staging/{entity}/stream`
pub async fn stream(
    State(app): State<Arc<App>>,
    Extension(domain): Extension<Domain>,
    Path((id, entity)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let answer = answer_format(&headers)?;
    let (migration, _, entity) = locate(&app, domain, &id, &entity)?;
    let area = app.desk(migration)?.area;
    let (send, receive) = tokio::sync::mpsc::channel(2);
    tokio::task::spawn_blocking(move || send_records(&area, &entity, answer, &send));
    let pieces = tokio_stream::wrappers::ReceiverStream::new(receive);
    Ok(([(header::CONTENT_TYPE, media_type(answer))], Body::from_stream(pieces)).into_response())
}

fn send_records(
    area: &StagingArea,
    entity: &str,
    format: Format,
    send: &tokio::sync::mpsc::Sender<Result<Vec<u8>, std::io::Error>>,
) {
    let mut batch = StagedBatch::default();
    let mut sent = || {
        let mut reader = area.reader(StreamName::Records(entity), 0)?;
        while reader.next_batch(&mut batch, STREAM_RECORDS, STREAM_BYTES)? {
            let mut piece = Vec::with_capacity(batch.bytes.len() + batch.len() * 2);
            for position in 0..batch.len() {
                if format == Format::JsonSeq {
                    piece.push(0x1e);
                }
                piece.extend_from_slice(batch.body(position));
                piece.push(b'\n');
            }
            // Nobody reads any more: there is no use in going on.
            if send.blocking_send(Ok(piece)).is_err() {
                break;
            }
        }
        Ok::<_, crate::staging::StagingError>(())
    };
    if let Err(error) = sent() {
        tracing::error!(code = "STAGING_FAILED", %error, "a stream of staged records broke off");
        let _ = send.blocking_send(Err(std::io::Error::other("staging could not be read")));
    }
}
