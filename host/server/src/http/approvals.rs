//! Approving plugins for imports, one digest for one tenant, and taking that back.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde::Deserialize;
use utoipa::ToSchema;

use super::caller::{Approve, Caller};
use super::extract::{Content, Path, json};
use super::media::accepts_json;
use super::paging::Query;
use super::problem::Problem;
use super::{conditional, plugins};
use crate::app::App;
use sluice_audit::{Action, Scope};
use sluice_model::{Approval, KeptPlugin, LimitOverrides, Permission, Tenant, World};

/// An approval.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewApproval {
    /// For a client that sees several tenants: for whose migrations; `*` for every tenant's.
    #[serde(default)]
    #[schema(pattern = r"^([a-z0-9][a-z0-9-]{0,62}|\*)$", example = "default")]
    tenant: Option<String>,
    /// Limits in place of the server's own, by their names in its configuration.
    #[serde(default)]
    #[schema(example = json!({"batch_millis": 10000}))]
    limits: LimitOverrides,
}

/// Whom an approval is for: a client with a tenant of its own approves for that one.
fn meant(caller: &Caller<Approve>, plugin: &KeptPlugin, named: Option<&str>) -> Result<Option<Tenant>, Problem> {
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
            "The plugin is another tenant's: push it for this one as well.",
        )),
        (Some(_), None) => Err(Problem::unprocessable(
            "NOT_THEIR_PLUGIN",
            "The plugin is one tenant's: it cannot be approved for every one.",
        )),
        _ => Ok(tenant),
    }
}

/// Approve a plugin
///
/// This digest and no other may take part in imports of the tenant's migrations, under these limits. An approval that is
/// there is replaced. A domain plugin that is approved judges from then on in place of the embedded one, which takes the
/// permission `admin` too; what was validated before has to be validated again.
#[utoipa::path(
    put, path = "/plugins/{digest}/approval", tag = "Plugins", operation_id = "approvePlugin",
    params(
        ("digest" = String, Path, pattern = "^[0-9a-f]{64}$", description = "SHA-256 of its component."),
        ("If-Match" = Option<String>, Header, description = "The `ETag` of the plugin as the client has seen it."),
    ),
    request_body = NewApproval,
    responses(
        (status = 200, body = plugins::Whole, headers(("ETag" = String))),
        (status = 412, body = Problem, content_type = "application/problem+json", description = "The plugin is no longer as `If-Match` says."),
        (status = 415, body = Problem, content_type = "application/problem+json"),
        (status = 422, body = Problem, content_type = "application/problem+json", description = "A limit is not known or cannot be kept to, or the plugin is another tenant's."),
    ),
)]
pub async fn approve(
    State(app): State<Arc<App>>,
    caller: Caller<Approve>,
    Path(digest): Path<String>,
    headers: HeaderMap,
    Content(bytes): Content,
) -> Result<Response, Problem> {
    accepts_json(&headers)?;
    let new: NewApproval = json(&headers, &bytes, r#"{"limits":{"batch_millis":10000}}, or {}"#)?;
    tokio::task::spawn_blocking(move || {
        let plugin = plugins::find(&app, &caller, &digest)?;
        let tenant = meant(&caller, &plugin, new.tenant.as_deref())?;
        app.config.plugin.with(&new.limits).ok_or_else(unknown_limit)?;
        let seen = caller.grant().tenant.as_ref();
        conditional::check(&headers, || plugins::whole(&app, seen, &plugin))?;
        let approved = caller.entry(Action::PluginApproved).plugins([plugin.digest]).tenant(tenant.as_ref());
        app.audit(Scope::Server, approved)?;
        app.registry.approve(&Approval {
            digest: plugin.digest,
            tenant,
            client: caller.grant().client.clone(),
            at: jiff::Timestamp::now(),
            limits: new.limits,
            revoked_at: None,
            revoked_by: None,
        })?;
        Ok(conditional::show(&HeaderMap::new(), plugins::whole(&app, seen, &plugin)?))
    })
    .await?
}

fn unknown_limit() -> Problem {
    let detail = "limits has a name that is no plugin's limit, or a figure that cannot be kept to. Names are those of the \
                  section `plugin` in the server's configuration, such as batch_millis; stack_bytes is the whole server's.";
    Problem::unprocessable("INVALID_LIMIT", detail)
}

/// Revoke an approval
///
/// The plugin takes part in no import any more; one that is running stops at its next batch.
#[utoipa::path(
    delete, path = "/plugins/{digest}/approval", tag = "Plugins", operation_id = "revokeApproval",
    params(
        ("digest" = String, Path, pattern = "^[0-9a-f]{64}$", description = "SHA-256 of its component."),
        ("tenant" = Option<String>, Query, pattern = r"^([a-z0-9][a-z0-9-]{0,62}|\*)$", description = "For a client that sees several tenants: for whose migrations; `*` for every tenant's."),
    ),
    responses(
        (status = 204, description = "It is revoked."),
        (status = 409, body = Problem, content_type = "application/problem+json", description = "The plugin judges a domain and is part of the server: approve another in its place."),
        (status = 422, body = Problem, content_type = "application/problem+json", description = "The plugin is another tenant's."),
    ),
)]
pub async fn revoke(
    State(app): State<Arc<App>>,
    caller: Caller<Approve>,
    Path(digest): Path<String>,
    query: Query,
) -> Result<StatusCode, Problem> {
    tokio::task::spawn_blocking(move || {
        let plugin = plugins::find(&app, &caller, &digest)?;
        let tenant = meant(&caller, &plugin, query.only(&["tenant"])?.get("tenant"))?;
        if plugin.world == World::Domain && app.registry.is_embedded(plugin.digest) {
            let detail = "The server has no other plugin for this domain: approve another in its place.";
            return Err(Problem::conflict("ONLY_DOMAIN_PLUGIN", detail));
        }
        // As with a change that is asked for in vain: the trail says what was done, and this would not be.
        let standing = app.store.approvals(plugin.digest, None)?;
        if !standing.iter().any(|approval| approval.revoked_at.is_none() && approval.tenant == tenant) {
            let detail = "There is no approval of this plugin for this tenant.";
            return Err(Problem::not_found("NO_SUCH_APPROVAL", detail));
        }
        let revoked = caller.entry(Action::ApprovalRevoked).plugins([plugin.digest]).tenant(tenant.as_ref());
        app.audit(Scope::Server, revoked)?;
        app.registry.revoke(plugin.digest, tenant.as_ref(), &caller.grant().client)?;
        Ok(StatusCode::NO_CONTENT)
    })
    .await?
}
