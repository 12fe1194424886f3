//! What is wrong with a migration's records.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::caller::{Caller, Read};
use super::extract::Path;
use super::media::accepts_json;
use super::paging::{Listing, Paged, Query, Whole};
use super::problem::Problem;
use crate::app::App;
use sluice_catalog::{IssueCount, IssueFilter, ListedIssue, Phase};
use sluice_model::{Code, FieldPath, Migration, Name, Severity};

/// What is wrong with one record.
#[derive(Serialize, ToSchema)]
#[schema(as = Issue)]
#[serde(rename_all = "camelCase")]
pub struct Shown {
    /// The entity type, or the source.
    #[schema(value_type = String, example = "counterparties")]
    entity_type: Name,
    #[serde(skip_serializing_if = "Option::is_none")]
    reference_id: Option<Uuid>,
    /// Line in the upload, where the record has no reference id.
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u64>,
    severity: Severity,
    #[schema(value_type = String, example = "MISSING_REQUIRED_FIELD")]
    code: Code,
    /// Path of the field; empty for the record as a whole.
    #[schema(value_type = String, example = "addresses[0].postalCode")]
    field: FieldPath,
    /// The rule's own code where `code` is `RULE_VIOLATION`.
    #[schema(value_type = Option<String>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<Code>,
}

fn show(listed: ListedIssue) -> Shown {
    let ListedIssue { stream, line, reference_id, issue } = listed;
    let sluice_model::Issue { severity, code, field, rule } = issue;
    Shown { entity_type: stream, reference_id, line, severity, code, field, rule }
}

fn phase(query: &Query) -> Result<Phase, Problem> {
    Phase::parse(query.get("phase").unwrap_or(Phase::Validate.as_str()))
        .ok_or_else(|| Problem::bad_request("INVALID_PARAMETER", "phase must be one of: load, validate, import."))
}

/// What found the issues.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "describes the query to readers of the API's document; `Query` reads it")]
pub struct Found {
    /// `load`: the uploads; `validate`: the last validation; `import`: the last import; `counts`: rows of the target that the
    /// last verification found altered.
    #[param(inline, default = "validate", pattern = "^(load|validate|import|counts)$")]
    phase: Option<String>,
}

/// Which issues are wanted.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "describes the query to readers of the API's document; `Query` reads it")]
pub struct Wanted {
    /// Only those with this code.
    code: Option<String>,
    /// Only those of this entity type or source.
    #[param(rename = "entityType")]
    entity_type: Option<String>,
}

/// Entity types whose issues the caller may see; none where it may see all.
fn visible(app: &App, caller: &Caller<Read>, migration: &Migration) -> Result<Option<Vec<String>>, Problem> {
    if caller.grant().holds_all(migration) {
        return Ok(None);
    }
    let plugins = app.registry.of(&migration.tenant)?;
    let granted = plugins
        .domains()
        .iter()
        .filter(|plugin| caller.grant().domains.iter().any(|domain| plugin.description.domain == domain.component));
    let types = granted.flat_map(|plugin| &plugin.description.entity_types);
    Ok(Some(types.map(|entity_type| entity_type.name.to_string()).collect()))
}

/// List what is wrong with a migration's records
///
/// A client that was not granted all of the migration's domains sees the issues of its own.
#[utoipa::path(
    get, path = "/migration-assistance/migrations/{id}/issues", tag = "Issues", operation_id = "listIssues",
    params(("id" = Uuid, Path, description = "The migration's reference id."), Paged, Found, Wanted),
    responses((status = 200, body = Listing<Shown>)),
)]
pub async fn list(
    State(app): State<Arc<App>>,
    caller: Caller<Read>,
    Path(id): Path<String>,
    headers: HeaderMap,
    query: Query,
) -> Result<Json<Listing<Shown>>, Problem> {
    accepts_json(&headers)?;
    let page = query.page(&["phase", "code", "entityType"])?;
    let phase = phase(&query)?;
    tokio::task::spawn_blocking(move || {
        let migration = caller.any_of(&app, &id)?;
        let text = |name: &str| query.get(name).map(str::to_owned);
        let visible = visible(&app, &caller, &migration)?;
        let filter = IssueFilter { code: text("code"), stream: text("entityType"), visible };
        let (issues, total) = app.store.issues(migration.reference_id, phase, &filter, page)?;
        Ok(Listing::new(issues.into_iter().map(show).collect(), total, page))
    })
    .await?
}

/// How many issues of a kind there are.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = IssueCount)]
pub struct Counted {
    /// The entity type, or the source.
    #[schema(value_type = String)]
    entity_type: Name,
    severity: Severity,
    #[schema(value_type = String)]
    code: Code,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    rule: Option<Code>,
    count: u64,
}

/// Count what is wrong with a migration's records
///
/// All issues are counted, whether they are listed or not.
#[utoipa::path(
    get, path = "/migration-assistance/migrations/{id}/issues/counts", tag = "Issues", operation_id = "countIssues",
    params(("id" = Uuid, Path, description = "The migration's reference id."), Found),
    responses((status = 200, body = Whole<Counted>)),
)]
pub async fn counts(
    State(app): State<Arc<App>>,
    caller: Caller<Read>,
    Path(id): Path<String>,
    headers: HeaderMap,
    query: Query,
) -> Result<Json<Whole<Counted>>, Problem> {
    accepts_json(&headers)?;
    query.only(&["phase"])?;
    let phase = phase(&query)?;
    let migration = caller.any_of(&app, &id)?;
    let visible = visible(&app, &caller, &migration)?;
    let counts = app.store.issue_counts(migration.reference_id, phase)?;
    let seen = counts
        .into_iter()
        .filter(|count| visible.as_ref().is_none_or(|types| types.iter().any(|name| count.stream == **name)));
    Ok(Whole::new(
        seen.map(|IssueCount { stream, severity, code, rule, count }| Counted {
            entity_type: stream,
            severity,
            code,
            rule,
            count,
        })
        .collect(),
    ))
}
