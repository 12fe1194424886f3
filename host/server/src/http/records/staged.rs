//! Reading staged records of a domain.

use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use uuid::Uuid;

use super::send_records::{client_still_valid, send_records};
use super::staged_path::{StagedPath, StagedPathParams, find_entity_type};
use crate::app::AsyncApp;
use crate::http::auth::authz::{Caller, CanRead};
use crate::http::problem::Problem;
use crate::http::request::extract::PathParams;
use crate::http::request::media::{accepts_json, answer_format, media_type};
use crate::http::streamed::streamed;
use sluice_staging::StreamName;

/// Read a staged record
#[utoipa::path(
    get, path = "/{domain}/migrations/{id}/staging/{entity}/{reference-id}", tag = "Staged records",
    operation_id = "readRecord",
    params(
        ("domain" = String, Path, description = "Path of a domain: `counterparty-management`, `collateral-management`, `financing-solution`, `financing-execution` or `administrate`."),
        ("id" = Uuid, Path, description = "Reference id of the migration."),
        ("entity" = String, Path, description = "Entity type of the domain, such as `counterparties`."),
        ("reference-id" = Uuid, Path, description = "Reference id of the record."),
    ),
    responses((status = 200, body = Object, description = "The staged record.")),
)]
pub async fn read(
    State(app): State<AsyncApp>,
    caller: Caller<CanRead>,
    PathParams((domain, id, entity, reference_id)): PathParams<(String, String, String, String)>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    accepts_json(&headers)?;
    app.blocking(move |app| {
        let (migration, _, entity) = find_entity_type(app, &caller, &(domain, id, entity))?;
        let no_record = || Problem::not_found("NO_SUCH_RECORD", "No record with this reference id is staged.");
        let reference_id: Uuid = reference_id.parse().map_err(|_| no_record())?;
        caller.note_reading(app, migration.reference_id, &entity)?;
        let body =
            app.migration_context(migration)?.area.read(&entity, reference_id.into_bytes())?.ok_or_else(no_record)?;
        Ok(([(header::CONTENT_TYPE, "application/json")], body).into_response())
    })
    .await
}

/// Read all staged records of an entity type
#[utoipa::path(
    get, path = "/{domain}/migrations/{id}/staging/{entity}/stream", tag = "Staged records",
    operation_id = "streamRecords",
    params(StagedPathParams),
    responses((status = 200, description = "The staged records.", content((String = "application/jsonl"), (String = "application/json-seq")))),
)]
pub async fn stream(
    State(app): State<AsyncApp>,
    caller: Caller<CanRead>,
    PathParams(path): PathParams<StagedPath>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    send_stream(app, caller, path, &headers, |entity| StreamName::Records(entity)).await
}

/// Read the refused records of an entity type
///
/// Returns the records that were uploaded in the platform's own shape and refused, unchanged. A corrected record is uploaded
/// to the same entity type again, and replaces the one with its reference id.
#[utoipa::path(
    get, path = "/{domain}/migrations/{id}/staging/{entity}/refused", tag = "Staged records",
    operation_id = "streamRefusedRecords",
    params(StagedPathParams),
    responses((status = 200, description = "The refused records.", content((String = "application/jsonl"), (String = "application/json-seq")))),
)]
pub async fn refused(
    State(app): State<AsyncApp>,
    caller: Caller<CanRead>,
    PathParams(path): PathParams<StagedPath>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    send_stream(app, caller, path, &headers, |entity| StreamName::Refused(entity)).await
}

/// Sends all records of a stream of an entity type.
async fn send_stream(
    app: AsyncApp,
    caller: Caller<CanRead>,
    path: StagedPath,
    headers: &HeaderMap,
    stream: fn(&str) -> StreamName,
) -> Result<Response, Problem> {
    let answer = answer_format(headers)?;
    let opened = app.blocking(move |app| {
        let (migration, _, entity) = find_entity_type(app, &caller, &path)?;
        caller.note_reading(app, migration.reference_id, &entity)?;
        let area = app.migration_context(migration)?.area;
        Ok::<_, Problem>((area, entity, client_still_valid(app.clone(), &caller)))
    });
    let (area, entity, still_valid) = opened.await?;
    Ok(streamed(media_type(answer), "STAGING_FAILED", move |pieces| {
        send_records(&area, stream(&entity), &|_| true, answer, &still_valid, pieces)
    }))
}
