//! The server's metrics, for Prometheus.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};

use super::caller::{Admin, Caller};
use super::problem::Problem;
use crate::app::App;

/// The server's metrics
///
/// Over all tenants, and therefore for `admin` alone. In OpenMetrics' text format, which Prometheus reads.
#[utoipa::path(
    get, path = "/metrics", tag = "Monitoring", operation_id = "readMetrics",
    responses((status = 200, body = String, content_type = "application/openmetrics-text")),
)]
pub async fn read(State(app): State<Arc<App>>, _: Caller<Admin>) -> Result<Response, Problem> {
    let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    Ok(([(header::CONTENT_TYPE, content_type)], app.metrics.text()).into_response())
}
