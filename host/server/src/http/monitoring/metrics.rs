//! Metrics for Prometheus.

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};

use crate::app::AsyncApp;
use crate::http::auth::authz::{Caller, CanAdmin};
use crate::http::problem::Problem;

/// Read the server's metrics
///
/// The metrics cover all tenants, so they need `admin`. The format is OpenMetrics text, which Prometheus reads.
#[utoipa::path(
    get, path = "/metrics", tag = "Monitoring", operation_id = "readMetrics",
    responses((status = 200, body = String, content_type = "application/openmetrics-text")),
)]
pub async fn read(State(app): State<AsyncApp>, _: Caller<CanAdmin>) -> Result<Response, Problem> {
    let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    Ok(([(header::CONTENT_TYPE, content_type)], app.metrics().encode()).into_response())
}
