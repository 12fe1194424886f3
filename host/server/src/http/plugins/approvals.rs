//! Approving plugins for imports, and revoking approvals. An approval is for one digest and one tenant, or every tenant.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde::Deserialize;
use utoipa::ToSchema;

use super::response::{InspectedPluginResponse, find_plugin, inspected_response};
use crate::app::AsyncApp;
use crate::http::auth::authz::{Caller, CanApprove};
use crate::http::conditional;
use crate::http::paging::QueryString;
use crate::http::problem::Problem;
use crate::http::request::extract::{BufferedBody, PathParams, json};
use crate::http::request::media::accepts_json;
use sluice_audit::{Action, AuditScope};
use sluice_config::{FourEyes, LimitMaximum};
use sluice_model::{Approval, LimitOverrides, Permission, RegisteredPlugin, Tenant, World, message};

/// An approval of a plugin.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ApprovalRequest {
    /// Tenant of the approval, for a client that sees several tenants; `*` for every tenant.
    #[serde(default)]
    #[schema(pattern = r"^([a-z0-9][a-z0-9-]{0,62}|\*)$", example = "default")]
    tenant: Option<String>,
    /// Limits that replace the server's own, by their names in the configuration.
    #[serde(default)]
    #[schema(example = json!({"batch_millis": 10000}))]
    limits: LimitOverrides,
}

/// Returns the tenant of an approval; none for every tenant. A client with a tenant approves for its own tenant.
fn approval_tenant(
    caller: &Caller<CanApprove>,
    plugin: &RegisteredPlugin,
    named: Option<&str>,
) -> Result<Option<Tenant>, Problem> {
    if plugin.world == World::Domain && !caller.grant().may(Permission::Admin) {
        return Err(Problem::not_permitted(Permission::Admin));
    }
    let tenant = match named {
        Some("*") if caller.grant().tenant.is_some() => return Err(Problem::tenant_not_granted()),
        Some("*") => None,
        named => Some(caller.tenant(named)?),
    };
    match (&plugin.tenant, &tenant) {
        (Some(own), Some(tenant)) if own != tenant => Err(Problem::unprocessable(
            "NOT_THEIR_PLUGIN",
            "The plugin belongs to another tenant. Push it for this tenant as well.",
        )),
        (Some(_), None) => Err(Problem::unprocessable(
            "NOT_THEIR_PLUGIN",
            "The plugin belongs to one tenant, so it cannot be approved for every tenant.",
        )),
        _ => Ok(tenant),
    }
}

/// Approve a plugin
///
/// Allows this digest in imports of the tenant's migrations, under these limits. Replaces an existing approval. An approved
/// domain plugin validates records in place of the embedded one, which needs the permission `admin` as well. Migrations
/// have to be validated again.
#[utoipa::path(
    put, path = "/plugins/{digest}/approval", tag = "Plugins", operation_id = "approvePlugin",
    params(
        ("digest" = String, Path, pattern = "^[0-9a-f]{64}$", description = "SHA-256 of its component."),
        ("If-Match" = Option<String>, Header, description = "`ETag` of the plugin that the client has."),
    ),
    request_body = ApprovalRequest,
    responses(
        (status = 200, body = InspectedPluginResponse, headers(("ETag" = String))),
        (status = 412, body = Problem, content_type = "application/problem+json", description = "The plugin changed since the `ETag` in `If-Match`."),
        (status = 415, body = Problem, content_type = "application/problem+json"),
        (status = 422, body = Problem, content_type = "application/problem+json", description = "A limit is not known or not valid, or the plugin belongs to another tenant."),
    ),
)]
pub async fn approve(
    State(app): State<AsyncApp>,
    caller: Caller<CanApprove>,
    PathParams(digest): PathParams<String>,
    headers: HeaderMap,
    BufferedBody(bytes): BufferedBody,
) -> Result<Response, Problem> {
    accepts_json(&headers)?;
    let new: ApprovalRequest = json(&headers, &bytes, r#"{"limits":{"batch_millis":10000}}, or {}"#)?;
    app.blocking(move |app| {
        let plugin = find_plugin(app, &caller, &digest)?;
        let tenant = approval_tenant(&caller, &plugin, new.tenant.as_deref())?;
        let (limits, approval) = (&app.config.plugin, &app.config.approval);
        limits.with(&new.limits).ok_or_else(unknown_limit)?;
        if let Some(above) = approval.maxima.above(limits, &new.limits) {
            return Err(above_maximum(above));
        }
        let pusher = plugin.client.as_deref();
        if approval.needs_two(FourEyes::Plugin) && pusher == Some(caller.grant().client.as_str()) {
            return Err(Problem::forbidden(
                "PUSHED_BY_SAME_CLIENT",
                "The client pushed the plugin. Another client has to approve it.",
            ));
        }
        let seen = caller.grant().tenant.as_ref();
        conditional::check(&headers, || inspected_response(app, seen, &plugin))?;
        let approved = caller.entry(Action::PluginApproved).plugins([plugin.digest]).tenant(tenant.as_ref());
        // The entry names both: the client that pushed the plugin, and the client that approves it.
        let approved = pusher.map_or(approved.clone(), |pusher| approved.client(pusher));
        app.audit(AuditScope::Server, approved)?;
        app.registry.approve(&Approval {
            digest: plugin.digest,
            tenant,
            client: caller.grant().client.clone(),
            at: jiff::Timestamp::now(),
            limits: new.limits,
            revoked_at: None,
            revoked_by: None,
        })?;
        Ok(conditional::show(&HeaderMap::new(), inspected_response(app, seen, &plugin)?))
    })
    .await
}

fn above_maximum((name, maximum): LimitMaximum) -> Problem {
    let detail = message!(
        "The limit {} may be at most {}, which approval.maxima in the server's configuration sets.",
        name,
        maximum
    );
    Problem::unprocessable("LIMIT_ABOVE_MAXIMUM", detail)
}

fn unknown_limit() -> Problem {
    let detail = "limits has an unknown name, or a value that is not valid. Names are those of the \
                  section `plugin` in the server's configuration, such as batch_millis. stack_bytes applies to the whole server.";
    Problem::unprocessable("INVALID_LIMIT", detail)
}

/// Revoke an approval
///
/// The plugin takes part in no more imports of the tenant, also if it is approved for every tenant, as the plugins that the
/// server was started with are. A running import stops at its next batch. With `tenant=*` tenants that approved the plugin
/// themselves keep their approvals.
#[utoipa::path(
    delete, path = "/plugins/{digest}/approval", tag = "Plugins", operation_id = "revokeApproval",
    params(
        ("digest" = String, Path, pattern = "^[0-9a-f]{64}$", description = "SHA-256 of its component."),
        ("tenant" = Option<String>, Query, pattern = r"^([a-z0-9][a-z0-9-]{0,62}|\*)$", description = "Tenant of the approval, for a client that sees several tenants; `*` for every tenant."),
    ),
    responses(
        (status = 204, description = "The approval is revoked."),
        (status = 409, body = Problem, content_type = "application/problem+json", description = "The plugin is the embedded plugin of a domain. Approve another one in its place."),
        (status = 422, body = Problem, content_type = "application/problem+json", description = "The plugin belongs to another tenant."),
    ),
)]
pub async fn revoke(
    State(app): State<AsyncApp>,
    caller: Caller<CanApprove>,
    PathParams(digest): PathParams<String>,
    query: QueryString,
) -> Result<StatusCode, Problem> {
    app.blocking(move |app| {
        let plugin = find_plugin(app, &caller, &digest)?;
        let tenant = approval_tenant(&caller, &plugin, query.only(&["tenant"])?.get("tenant"))?;
        if plugin.world == World::Domain && app.registry.is_embedded(plugin.digest) {
            let detail = "The server needs a plugin for this domain. Approve another one in its place.";
            return Err(Problem::conflict("ONLY_DOMAIN_PLUGIN", detail));
        }
        // Checked before the audit entry is written, because the trail records only what was done.
        let approved = match &tenant {
            // The approval for every tenant counts: the tenant's revocation wins over it.
            Some(tenant) => app.store.approval(plugin.digest, tenant)?.is_some(),
            None => {
                let standing = app.store.approvals(plugin.digest, None)?;
                standing.iter().any(|approval| approval.revoked_at.is_none() && approval.tenant.is_none())
            }
        };
        if !approved {
            let detail = "The plugin has no approval for this tenant.";
            return Err(Problem::not_found("NO_SUCH_APPROVAL", detail));
        }
        let revoked = caller.entry(Action::ApprovalRevoked).plugins([plugin.digest]).tenant(tenant.as_ref());
        app.audit(AuditScope::Server, revoked)?;
        app.registry.revoke(plugin.digest, tenant.as_ref(), &caller.grant().client)?;
        Ok(StatusCode::NO_CONTENT)
    })
    .await
}
