//! Loading a source table.

use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;

use super::described::described_source;
use crate::app::AsyncApp;
use crate::http::auth::authz::{Caller, CanMigrate};
use crate::http::paging::QueryString;
use crate::http::problem::Problem;
use crate::http::request::extract::PathParams;
use crate::http::request::media::{RecordsBody, TableBody, answer_format, body_shape, content_coding};
use crate::http::streamed::streamed_results;
use crate::ingest::{UploadIngest, UploadKind};
use sluice_pipeline::load_source;

/// Load a source table
///
/// Maps the records with the migration's mapper. Returns a result for each record, in order, as soon as it is durable.
#[utoipa::path(
    put, path = "/migration-assistance/migrations/{id}/sources/{source}", tag = "Load", operation_id = "loadSource",
    params(
        ("id" = Uuid, Path, description = "Reference id of the migration."),
        ("source" = String, Path, description = "Source of the migration's mapper, such as `client`."),
        ("separator" = Option<String>, Query, description = "Separator between the fields of a table: one ASCII character or `tab`; a comma by default."),
        ("quote" = Option<String>, Query, description = "Quote around the fields of a table: one ASCII character, or `none`; a double quote by default."),
        ("columns" = Option<String>, Query, description = "Names of the fields of a table without a header (`text/csv; header=absent`), separated by commas. Without names the fields are called `1`, `2` and so on."),
        ("Content-Encoding" = Option<String>, Header, description = "`gzip` or `zstd`, if the body is compressed."),
    ),
    request_body(content((RecordsBody = "application/jsonl"), (RecordsBody = "application/json-seq"), (TableBody = "text/csv")), description = "An object on each line, a sequence of objects (RFC 7464), or a table (RFC 4180). Each row of a table becomes an object of strings with the names in the header; `charset` and `header` are parameters of its media type. The body may be compressed."),
    responses(
        (status = 200, description = "A result for each record.", content((String = "application/jsonl"), (String = "application/json-seq"))),
        (status = 409, body = Problem, content_type = "application/problem+json", description = "The migration has no mapper, or an upload or a job is running."),
        (status = 415, body = Problem, content_type = "application/problem+json", description = "The server does not accept the media type, the charset or the content coding."),
        (status = 422, body = Problem, content_type = "application/problem+json", description = "The body cannot be right: it has another format, or the header of the table names no fields, or not the key."),
    ),
)]
pub async fn load(
    State(app): State<AsyncApp>,
    caller: Caller<CanMigrate>,
    PathParams((id, source)): PathParams<(String, String)>,
    query: QueryString,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let author = caller.author().clone();
    let checked = app.blocking(move |app| {
        let migration = caller.whole_migration(app, &id)?;
        let (shape, coding) = (body_shape(&headers, &query)?, content_coding(&headers)?);
        let answer = answer_format(&headers)?;
        let source = described_source(app, &migration, &source)?;
        Ok::<_, Problem>((migration, shape, coding, answer, source))
    });
    let (migration, shape, coding, answer, (mapper, described)) = checked.await?;
    let (kind, stream) = (UploadKind::Source { mapper: mapper.digest }, described.name.clone());
    let source = Some(described.clone());
    let ingest = UploadIngest { app, migration, author, stream, coding, shape, answer, kind, source };
    let load = ingest.stream_results::<Problem>(body, move |context, upload, body, results| {
        load_source(context, &mapper, &described, upload, body, results)
    });
    Ok(streamed_results(answer, load.await?))
}
