//! Whether the server is alive, and whether it can take work.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use super::problem::Problem;
use crate::app::App;

/// How the server is.
#[derive(Serialize, ToSchema)]
pub struct Health {
    #[schema(example = "ok")]
    status: &'static str,
}

/// The process answers
#[utoipa::path(
    get, path = "/health/live", tag = "Monitoring", operation_id = "isAlive", security(()),
    responses((status = 200, body = Health)),
)]
pub async fn live() -> Json<Health> {
    Json(Health { status: "ok" })
}

/// The server can take work
#[utoipa::path(
    get, path = "/health/ready", tag = "Monitoring", operation_id = "isReady", security(()),
    responses(
        (status = 200, body = Health),
        (status = 503, body = Problem, content_type = "application/problem+json", description = "It is about to stop, or its catalogue or target cannot be used."),
    ),
)]
pub async fn ready(State(app): State<Arc<App>>) -> Result<Json<Health>, Problem> {
    tokio::task::spawn_blocking(move || match app.readiness() {
        Ok(()) => Ok(Json(Health { status: "ok" })),
        Err(code) => {
            let detail = "The server cannot take work just now.";
            Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, code, detail))
        }
    })
    .await?
}
