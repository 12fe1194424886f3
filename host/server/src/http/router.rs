//! Routes of the API: public ones, and those that need a token.

use std::sync::Arc;

use axum::extract::DefaultBodyLimit;
use axum::{Router, middleware};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::auth::authn;
use super::auth::client_limits::ClientLimits;
use super::auth::failed_secrets::FailedSecrets;
use super::auth::refusals::RefusalLog;
use super::auth::tokens;
use super::problem::Problem;
use super::{
    audit, codes, connector, jobs, migrations, monitoring, observe, openapi, plugins, records, schemas,
    security_headers, sources, tenants, tus, uploads,
};
use crate::app::AsyncApp;

fn public_routes() -> OpenApiRouter<AsyncApp> {
    OpenApiRouter::new()
        .routes(routes!(monitoring::health::live))
        .routes(routes!(monitoring::health::ready))
        .routes(routes!(tokens::issue))
        .routes(routes!(tokens::issue_for_label))
        .routes(routes!(openapi::document))
        .routes(routes!(codes::read))
        .routes(routes!(schemas::list))
        .routes(routes!(schemas::read))
}

fn client_routes() -> OpenApiRouter<AsyncApp> {
    OpenApiRouter::new()
        .routes(routes!(migrations::register::register, migrations::read::list))
        .routes(routes!(migrations::read::read, migrations::purge::purge))
        .routes(routes!(migrations::mapper::set_mapper))
        .routes(routes!(sources::counts::list))
        .routes(routes!(sources::load::load))
        .routes(routes!(records::source_records::stream))
        .routes(routes!(uploads::list::list))
        .routes(routes!(uploads::withdraw::withdraw))
        .merge(tus_routes())
        .routes(routes!(jobs::read::list))
        .routes(routes!(jobs::read::read, jobs::start::start))
        .routes(routes!(jobs::cancel::cancel))
        .routes(routes!(jobs::cancel::pause))
        .routes(routes!(connector::plan::read))
        .routes(routes!(connector::ledger::list, connector::bulk_decision::decide_all))
        .routes(routes!(connector::ledger::decide))
        .routes(routes!(records::differences::stream))
        .routes(routes!(records::issues::list))
        .routes(routes!(records::issues::counts))
        .routes(routes!(monitoring::logs::list))
        .routes(routes!(monitoring::events::stream))
        .routes(routes!(audit::trail::of_migration))
        .routes(routes!(audit::trail::of_server))
        .routes(routes!(audit::trail::key))
        .routes(routes!(audit::evidence::read))
        .routes(routes!(records::quarantine::list))
        .routes(routes!(records::stage::load))
        .routes(routes!(records::staged::stream))
        .routes(routes!(records::staged::refused))
        .routes(routes!(records::stage::delete))
        .routes(routes!(records::staged::read))
        .routes(routes!(records::provenance::read_provenance))
        .routes(routes!(records::provenance::read_replay))
        .routes(routes!(plugins::mappers::list))
        .routes(routes!(plugins::push::push, plugins::read::list))
        .routes(routes!(plugins::read::read))
        .routes(routes!(plugins::approvals::approve, plugins::approvals::revoke))
        .routes(routes!(plugins::plugin_keys::list))
        .routes(routes!(plugins::plugin_keys::add, plugins::plugin_keys::revoke))
        .routes(routes!(tenants::reference_grants::list))
        .routes(routes!(tenants::reference_grants::give, tenants::reference_grants::remove))
        .routes(routes!(monitoring::metrics::read))
}

/// Routes of resumable uploads.
fn tus_routes() -> OpenApiRouter<AsyncApp> {
    OpenApiRouter::new()
        .routes(routes!(tus::create::options, tus::create::create))
        .routes(routes!(tus::read::offset, tus::read::read, tus::delete::delete, tus::patch::patch))
        .routes(routes!(tus::results::read))
        .layer(middleware::from_fn(tus::headers::require_version))
}

/// Returns all routes, with the middleware of every request.
pub fn router(app: AsyncApp) -> Router {
    let limits = Arc::new(ClientLimits::new(&app.config().http));
    let refusals = Arc::new(RefusalLog::new(&app));
    let failures = Arc::new(FailedSecrets::new(&app.config().access));
    let json_bytes = app.config().http.json_bytes;
    let (public, public_api) = public_routes().split_for_parts();
    let (private, mut api) = client_routes().split_for_parts();
    api.merge(public_api);
    let admit = middleware::from_fn_with_state((app.clone(), limits), authn::admit);
    let routes = public
        .merge(private.route_layer(admit))
        .merge(openapi::pages().layer(middleware::map_response(security_headers::of_browser)))
        .fallback(|| async { Problem::no_path() })
        .method_not_allowed_fallback(|| async { Problem::method_not_allowed() })
        .layer(DefaultBodyLimit::max(json_bytes))
        .layer(axum::Extension(openapi::OpenApiDocument::new(api)))
        .layer(axum::Extension(failures))
        .layer(middleware::from_fn_with_state((app.clone(), refusals), observe::observe))
        .with_state(app);
    // The method is replaced before the request is routed.
    Router::new()
        .fallback_service(routes)
        .layer(middleware::map_request(tus::headers::override_method))
        .layer(middleware::map_response(security_headers::add))
}
