//! Every route on one screen: those for anybody, and those for clients that were let in.

use std::sync::Arc;

use axum::extract::DefaultBodyLimit;
use axum::{Router, middleware};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::limits::Limits;
use super::problem::Problem;
use super::refusals::Refusals;
use super::{
    approvals, audit, auth, differences, events, evidence, health, issues, jobs, logs, mappers, metrics, migrations,
    observe, openapi, parts, platform, plugin_keys, plugins, quarantine, records, resumable, resumable_new,
    source_records, sources, staged, tokens, tus,
};
use crate::app::App;

fn for_anybody() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(health::live))
        .routes(routes!(health::ready))
        .routes(routes!(tokens::issue))
        .routes(routes!(tokens::issue_for_label))
        .routes(routes!(openapi::document))
}

fn for_clients() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(migrations::register, migrations::list))
        .routes(routes!(migrations::read, migrations::purge))
        .routes(routes!(migrations::set_mapper))
        .routes(routes!(sources::list))
        .routes(routes!(sources::load))
        .routes(routes!(source_records::stream))
        .merge(resumable_uploads())
        .routes(routes!(jobs::list))
        .routes(routes!(jobs::read, jobs::start))
        .routes(routes!(jobs::cancel))
        .routes(routes!(platform::pause))
        .routes(routes!(platform::plan))
        .routes(routes!(platform::list))
        .routes(routes!(platform::decide))
        .routes(routes!(differences::stream))
        .routes(routes!(issues::list))
        .routes(routes!(issues::counts))
        .routes(routes!(logs::list))
        .routes(routes!(events::stream))
        .routes(routes!(audit::of_migration))
        .routes(routes!(audit::of_server))
        .routes(routes!(audit::key))
        .routes(routes!(evidence::read))
        .routes(routes!(quarantine::list))
        .routes(routes!(staged::load))
        .routes(routes!(staged::stream))
        .routes(routes!(staged::delete))
        .routes(routes!(staged::read))
        .routes(routes!(records::read_provenance))
        .routes(routes!(records::read_replay))
        .routes(routes!(mappers::list))
        .routes(routes!(plugins::push, plugins::list))
        .routes(routes!(plugins::read))
        .routes(routes!(approvals::approve, approvals::revoke))
        .routes(routes!(plugin_keys::list))
        .routes(routes!(plugin_keys::add, plugin_keys::revoke))
        .routes(routes!(metrics::read))
}

/// Uploads that resume, by tus.
fn resumable_uploads() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(resumable_new::options, resumable_new::create))
        .routes(routes!(resumable::head, resumable::show, resumable::give_up, parts::send))
        .routes(routes!(parts::results))
        .layer(middleware::from_fn(tus::speak))
}

/// All routes, behind what every request goes through.
pub fn router(app: Arc<App>) -> Router {
    let limits = Arc::new(Limits::new(&app.config.http));
    let refusals = Arc::new(Refusals::new(app.clone()));
    let (public, public_api) = for_anybody().split_for_parts();
    let (private, mut api) = for_clients().split_for_parts();
    api.merge(public_api);
    let admit = middleware::from_fn_with_state((app.clone(), limits), auth::admit);
    let routes = public
        .merge(private.route_layer(admit))
        .merge(openapi::pages())
        .fallback(|| async { Problem::no_path() })
        .method_not_allowed_fallback(|| async { Problem::method_not_allowed() })
        .layer(DefaultBodyLimit::max(app.config.http.json_bytes))
        .layer(axum::Extension(openapi::Document::new(api)))
        .layer(middleware::from_fn_with_state((app.clone(), refusals), observe::observe))
        .with_state(app);
    // Before a route is looked for.
    Router::new().fallback_service(routes).layer(middleware::map_request(tus::as_meant))
}
