//! Health of the server.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::AsyncApp;
use crate::http::problem::Problem;

/// Health of the server.
#[derive(Serialize, ToSchema)]
pub struct HealthResponse {
    /// Always `ok`.
    #[schema(example = "ok")]
    status: &'static str,
}

/// Check that the process answers
#[utoipa::path(
    get, path = "/health/live", tag = "Monitoring", operation_id = "isAlive", security(()),
    responses((status = 200, body = HealthResponse)),
)]
pub async fn live() -> Json<HealthResponse> {
    Json(HealthResponse { status: "ok" })
}

/// Check that the server accepts work
#[utoipa::path(
    get, path = "/health/ready", tag = "Monitoring", operation_id = "isReady", security(()),
    responses(
        (status = 200, body = HealthResponse),
        (status = 503, body = Problem, content_type = "application/problem+json", description = "The server is stopping, cannot use its catalogue or its target, has no free thread, or its disk is full."),
    ),
)]
pub async fn ready(State(app): State<AsyncApp>) -> Result<Json<HealthResponse>, Problem> {
    let refuse = |code| {
        let detail = "The server does not accept work at the moment.";
        Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, code, detail))
    };
    // The probe itself needs a thread.
    let patience = Duration::from_millis(app.config().http.ready_millis);
    let probed = tokio::time::timeout(patience, app.spawn_blocking(|app| app.readiness()));
    match probed.await {
        Ok(readiness) => match readiness? {
            Ok(()) => Ok(Json(HealthResponse { status: "ok" })),
            Err(code) => refuse(code),
        },
        Err(_) => refuse("THREADS_BUSY"),
    }
}
