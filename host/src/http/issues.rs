//! What is wrong with a migration's records.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use serde::Serialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::media::accepts_json;
use super::migrations::find;
use super::paging::{Listing, Query};
use super::problem::Problem;
use crate::app::App;
use crate::model::{Code, FieldPath, Name, Severity};
use crate::store::{IssueCount, IssueFilter, ListedIssue, Phase};

/// An issue as the API shows it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Shown {
    entity_type: Name,
    #[serde(skip_serializing_if = "Option::is_none")]
    reference_id: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u64>,
    severity: Severity,
    code: Code,
    field: FieldPath,
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<Code>,
}

fn show(listed: ListedIssue) -> Shown {
    let ListedIssue { stream, line, reference_id, issue } = listed;
    let crate::model::Issue { severity, code, field, rule } = issue;
    Shown { entity_type: stream, reference_id, line, severity, code, field, rule }
}

fn phase(query: &Query) -> Result<Phase, Problem> {
    Phase::parse(query.get("phase").unwrap_or(Phase::Validate.as_str()))
        .ok_or_else(|| Problem::bad_request("INVALID_PARAMETER", "phase must be one of: load, validate, import."))
}

/// `GET /migration-assistance/migrations/{id}/issues`: those of the last validation, or of another phase.
pub async fn list(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    headers: HeaderMap,
    query: Query,
) -> Result<Json<Listing<Shown>>, Problem> {
    accepts_json(&headers)?;
    let page = query.page(&["phase", "code", "entityType"])?;
    let phase = phase(&query)?;
    let text = |name: &str| query.get(name).map(str::to_owned);
    let filter = IssueFilter { code: text("code"), stream: text("entityType") };
    let migration = find(&app, &id)?;
    let (issues, total) = app.store.issues(migration.reference_id, phase, &filter, page)?;
    Ok(Listing::new(issues.into_iter().map(show).collect(), total, page))
}

/// `GET /migration-assistance/migrations/{id}/issues/counts`: how many there are, listed or not.
pub async fn counts(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    headers: HeaderMap,
    query: Query,
) -> Result<Json<Value>, Problem> {
    accepts_json(&headers)?;
    query.page(&["phase"])?;
    let phase = phase(&query)?;
    let migration = find(&app, &id)?;
    let counts = app.store.issue_counts(migration.reference_id, phase)?;
    let items: Vec<Value> = counts
        .into_iter()
        .map(|IssueCount { stream, severity, code, rule, count }| {
            let mut item = json!({"entityType": stream, "severity": severity, "code": code, "count": count});
            if let Some(rule) = rule {
                item["rule"] = json!(rule);
            }
            item
        })
        .collect();
    Ok(Json(json!({"total": items.len(), "items": items})))
}
