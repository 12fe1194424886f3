//! Reading the issues of a migration's records.

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::app::{App, AsyncApp};
use crate::http::auth::authz::{Caller, CanAudit};
use crate::http::paging::{ListResponse, PageQuery, PageResponse, QueryString};
use crate::http::problem::Problem;
use crate::http::request::extract::PathParams;
use crate::http::request::media::accepts_json;
use sluice_catalog::{IssueFilter, IssueTotal, ListedIssue, Phase};
use sluice_model::{Code, FieldPath, Migration, Name, Severity};

/// An issue of a record.
#[derive(Serialize, ToSchema)]
#[schema(as = Issue)]
#[serde(rename_all = "camelCase")]
pub struct IssueResponse {
    /// Entity type or source.
    #[schema(value_type = String, example = "counterparties")]
    entity_type: Name,
    #[serde(skip_serializing_if = "Option::is_none")]
    reference_id: Option<Uuid>,
    /// Line in the upload, if the record has no reference id.
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u64>,
    severity: Severity,
    #[schema(value_type = String, example = "MISSING_REQUIRED_FIELD")]
    code: Code,
    /// Path of the field; empty for the record as a whole.
    #[schema(value_type = String, example = "addresses[0].postalCode")]
    field: FieldPath,
    /// Rule's own code if `code` is `RULE_VIOLATION`.
    #[schema(value_type = Option<String>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<Code>,
    /// Number of the upload that found the issue.
    #[serde(skip_serializing_if = "Option::is_none")]
    upload: Option<u32>,
    /// Line of the first record, if a second record of the same upload has its key or reference id.
    #[serde(skip_serializing_if = "Option::is_none")]
    first_line: Option<u64>,
}

fn issue_response(listed: ListedIssue) -> IssueResponse {
    let ListedIssue { stream, line, upload, reference_id, issue } = listed;
    let sluice_model::Issue { severity, code, field, rule, first_line } = issue;
    IssueResponse { entity_type: stream, reference_id, line, severity, code, field, rule, upload, first_line }
}

fn phase(query: &QueryString) -> Result<Phase, Problem> {
    Phase::parse(query.get("phase").unwrap_or(Phase::Validate.as_str())).ok_or_else(|| {
        Problem::bad_request("INVALID_PARAMETER", "phase must be one of: load, validate, import, counts.")
    })
}

/// Phase that found the issues.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "describes the query to readers of the API's document; `QueryString` reads it")]
pub struct IssuePhaseQuery {
    /// `load`: the uploads; `validate`: the latest validation; `import`: the latest import; `counts`: rows of the target that the
    /// latest verification found altered.
    #[param(inline, default = "validate", pattern = "^(load|validate|import|counts)$")]
    phase: Option<String>,
}

/// Filter of issues.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "describes the query to readers of the API's document; `QueryString` reads it")]
pub struct IssueQuery {
    /// Only issues with this code.
    code: Option<String>,
    /// Only issues of this entity type or source.
    #[param(rename = "entityType")]
    entity_type: Option<String>,
}

/// Returns the entity types whose issues the caller may see; none if it may see all.
fn visible(app: &App, caller: &Caller<CanAudit>, migration: &Migration) -> Result<Option<Vec<String>>, Problem> {
    if caller.grant().holds_all(migration) {
        return Ok(None);
    }
    let plugins = app.registry.plugins_of(&migration.tenant)?;
    let granted = plugins
        .domains()
        .iter()
        .filter(|plugin| caller.grant().domains.iter().any(|domain| plugin.description.domain == domain.component));
    let types = granted.flat_map(|plugin| &plugin.description.entity_types);
    Ok(Some(types.map(|entity_type| entity_type.name.to_string()).collect()))
}

/// List the issues of a migration's records
///
/// A client that was granted some of the migration's domains sees the issues of these.
#[utoipa::path(
    get, path = "/migration-assistance/migrations/{id}/issues", tag = "Issues", operation_id = "listIssues",
    params(("id" = Uuid, Path, description = "Reference id of the migration."), PageQuery, IssuePhaseQuery, IssueQuery),
    responses((status = 200, body = PageResponse<IssueResponse>)),
)]
pub async fn list(
    State(app): State<AsyncApp>,
    caller: Caller<CanAudit>,
    PathParams(id): PathParams<String>,
    headers: HeaderMap,
    query: QueryString,
) -> Result<Json<PageResponse<IssueResponse>>, Problem> {
    accepts_json(&headers)?;
    let page = query.page(&["phase", "code", "entityType"])?;
    let phase = phase(&query)?;
    app.blocking(move |app| {
        let migration = caller.migration(app, &id)?;
        let text = |name: &str| query.get(name).map(str::to_owned);
        let visible = visible(app, &caller, &migration)?;
        let filter = IssueFilter { code: text("code"), stream: text("entityType"), visible };
        let (issues, total) = app.store.issues(migration.reference_id, phase, &filter, page)?;
        Ok(PageResponse::new(issues.into_iter().map(issue_response).collect(), total, page))
    })
    .await
}

/// Number of issues of a kind.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = IssueCount)]
pub struct IssueCountResponse {
    /// Phase that found the issues: `load`, `validate`, `import` or `counts`.
    phase: &'static str,
    /// Entity type or source.
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

/// Phase whose issues are counted.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "describes the query to readers of the API's document; `QueryString` reads it")]
pub struct IssueCountQuery {
    /// Only issues of this phase: `load`, `validate`, `import` or `counts`. All phases by default.
    #[param(inline, pattern = "^(load|validate|import|counts)$")]
    phase: Option<String>,
}

/// Count the issues of a migration's records
///
/// The server counts all issues, also those that it does not list. Issues of a record that was uploaded again, deleted
/// or withdrawn no longer count. Without `phase` it counts the issues of all phases.
#[utoipa::path(
    get, path = "/migration-assistance/migrations/{id}/issues/counts", tag = "Issues", operation_id = "countIssues",
    params(("id" = Uuid, Path, description = "Reference id of the migration."), IssueCountQuery),
    responses((status = 200, body = ListResponse<IssueCountResponse>)),
)]
pub async fn counts(
    State(app): State<AsyncApp>,
    caller: Caller<CanAudit>,
    PathParams(id): PathParams<String>,
    headers: HeaderMap,
    query: QueryString,
) -> Result<Json<ListResponse<IssueCountResponse>>, Problem> {
    accepts_json(&headers)?;
    query.only(&["phase"])?;
    let phases = match query.get("phase") {
        Some(_) => vec![phase(&query)?],
        None => Phase::ALL.to_vec(),
    };
    app.blocking(move |app| {
        let migration = caller.migration(app, &id)?;
        let visible = visible(app, &caller, &migration)?;
        let mut counts = vec![];
        for phase in phases {
            for IssueTotal { stream, severity, code, rule, count } in
                app.store.issue_counts(migration.reference_id, phase)?
            {
                if visible.as_ref().is_none_or(|types| types.iter().any(|name| stream == **name)) {
                    let phase = phase.as_str();
                    counts.push(IssueCountResponse { phase, entity_type: stream, severity, code, rule, count });
                }
            }
        }
        Ok(ListResponse::new(counts))
    })
    .await
}
