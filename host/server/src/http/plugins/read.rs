//! Reading and listing plugins.

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;

use super::response::{InspectedPluginResponse, PluginResponse, find_plugin, inspected_response, plugin_response};
use crate::app::AsyncApp;
use crate::http::auth::authz::{Caller, CanAudit};
use crate::http::conditional;
use crate::http::paging::{PageQuery, PageResponse, QueryString};
use crate::http::problem::Problem;
use crate::http::request::extract::PathParams;
use crate::http::request::media::accepts_json;

/// List the plugins that the client sees, the newest first
#[utoipa::path(
    get, path = "/plugins", tag = "Plugins", operation_id = "listPlugins",
    params(PageQuery),
    responses((status = 200, body = PageResponse<PluginResponse>)),
)]
pub async fn list(
    State(app): State<AsyncApp>,
    caller: Caller<CanAudit>,
    headers: HeaderMap,
    query: QueryString,
) -> Result<Json<PageResponse<PluginResponse>>, Problem> {
    accepts_json(&headers)?;
    let page = query.page(&[])?;
    app.blocking(move |app| {
        let seen = caller.grant().tenant.as_ref();
        let (plugins, total) = app.store.plugins(seen, page)?;
        let mut items = vec![];
        for plugin in plugins {
            items.push(plugin_response(&plugin, &app.store.approvals(plugin.digest, seen)?, seen));
        }
        Ok(PageResponse::new(items, total, page))
    })
    .await
}

/// Read a plugin
///
/// Returns the plugin's capabilities, its limits and its approvals.
#[utoipa::path(
    get, path = "/plugins/{digest}", tag = "Plugins", operation_id = "readPlugin",
    params(
        ("digest" = String, Path, pattern = "^[0-9a-f]{64}$", description = "SHA-256 of its component."),
        ("If-None-Match" = Option<String>, Header, description = "`ETag` that the client has."),
    ),
    responses(
        (status = 200, body = InspectedPluginResponse, headers(("ETag" = String))),
        (status = 304, description = "Not changed since the client's `ETag`."),
    ),
)]
pub async fn read(
    State(app): State<AsyncApp>,
    caller: Caller<CanAudit>,
    PathParams(digest): PathParams<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    accepts_json(&headers)?;
    app.blocking(move |app| {
        let plugin = find_plugin(app, &caller, &digest)?;
        Ok(conditional::show(&headers, inspected_response(app, caller.grant().tenant.as_ref(), &plugin)?))
    })
    .await
}
