//! Every route on one screen.

use std::sync::Arc;

use axum::Router;
use axum::routing::{delete, get, post, put};

use super::problem::Problem;
use super::trace::traced;
use super::{issues, jobs, logs, mappers, migrations, quarantine, sources, staged};
use crate::app::App;
use crate::model::DOMAINS;

/// All routes.
pub fn router(app: Arc<App>) -> Router {
    let m = "/migration-assistance/migrations";
    let mut router = Router::new()
        .route(m, post(migrations::register).get(migrations::list))
        .route(&format!("{m}/{{id}}"), get(migrations::read).merge(delete(migrations::purge)))
        .route(&format!("{m}/{{id}}/mapper"), put(migrations::set_mapper))
        .route(&format!("{m}/{{id}}/sources"), get(sources::list))
        .route(&format!("{m}/{{id}}/sources/{{source}}"), put(sources::load))
        .route(&format!("{m}/{{id}}/jobs"), get(jobs::list))
        .route(&format!("{m}/{{id}}/jobs/{{job}}"), get(jobs::read).put(jobs::start))
        .route(&format!("{m}/{{id}}/jobs/{{job}}/cancel"), put(jobs::cancel))
        .route(&format!("{m}/{{id}}/issues"), get(issues::list))
        .route(&format!("{m}/{{id}}/issues/counts"), get(issues::counts))
        .route(&format!("{m}/{{id}}/logs"), get(logs::list))
        .route(&format!("{m}/{{id}}/quarantine"), get(quarantine::list))
        .route("/migration-assistance/mappers", get(mappers::list))
        .route("/health/live", get(|| async { axum::Json(serde_json::json!({"status": "ok"})) }));
    for domain in DOMAINS {
        let s = format!("/{}/migrations/{{id}}/staging/{{entity}}", domain.path);
        let of = |handler: axum::routing::MethodRouter<Arc<App>>| handler.layer(axum::Extension(*domain));
        router = router
            .route(&s, of(put(staged::load)))
            .route(&format!("{s}/stream"), of(get(staged::stream)))
            .route(&format!("{s}/delete"), of(put(staged::delete)))
            .route(&format!("{s}/{{reference_id}}"), of(get(staged::read)));
    }
    let router = router
        .fallback(|| async { Problem::not_found("NO_SUCH_PATH", "There is nothing at this path.") })
        .method_not_allowed_fallback(|| async { Problem::method_not_allowed() })
        .with_state(app);
    traced(router)
}
