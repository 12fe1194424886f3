//! Bodies of responses that show a plugin, and the search for a plugin.

use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::app::App;
use crate::http::auth::authz::Caller;
use crate::http::problem::Problem;
use sluice_config::PluginLimits;
use sluice_model::{
    Approval, Digest, LimitOverrides, Name, PluginOrigin, RegisteredPlugin, Tenant, Version, World, to_hex,
};

/// A plugin.
#[derive(Serialize, ToSchema)]
#[schema(as = Plugin)]
#[serde(rename_all = "camelCase")]
pub struct PluginResponse {
    /// SHA-256 of the component.
    #[schema(value_type = String)]
    digest: Digest,
    world: World,
    #[schema(value_type = String, example = "berka")]
    name: Name,
    #[schema(value_type = String)]
    version: Version,
    /// Domain of a domain plugin.
    #[schema(value_type = Option<String>)]
    domain: Option<Name>,
    /// Tenant that owns it; null if every tenant may use it.
    tenant: Option<String>,
    origin: PluginOrigin,
    /// Id of the client that pushed it.
    pushed_by: Option<String>,
    #[schema(format = DateTime)]
    pushed_at: String,
    /// Key of the tenant that signed it.
    signed_by: Option<String>,
    /// True if the plugin may take part in imports of the client's tenant; for a client that sees several tenants, of at least
    /// one tenant.
    approved: bool,
}

/// A plugin, with its inspection, limits and approvals.
#[derive(Serialize, ToSchema)]
#[schema(as = InspectedPlugin)]
#[serde(rename_all = "camelCase")]
pub struct InspectedPluginResponse {
    #[serde(flatten)]
    plugin: PluginResponse,
    /// Result of the inspection: sources or entity types, codes, imports with their capabilities, and the tools that built the
    /// component.
    #[schema(value_type = serde_json::Value)]
    inspection: Box<RawValue>,
    /// Limits of the plugin: the server's, with the changes of the approval that applies to the client.
    #[schema(value_type = serde_json::Value)]
    limits: PluginLimits,
    /// Approvals that the client sees, also revoked ones, the oldest first.
    approvals: Vec<ApprovalResponse>,
}

/// An approval of a plugin for imports.
#[derive(Serialize, ToSchema)]
#[schema(as = Approval)]
#[serde(rename_all = "camelCase")]
struct ApprovalResponse {
    /// Tenant of the approval; null for every tenant.
    tenant: Option<String>,
    /// Id of the client that approved, or `server` for the plugins that the server was started with.
    by: String,
    #[schema(format = DateTime)]
    at: String,
    /// Limits that replace the server's own.
    limits: LimitOverrides,
    #[schema(format = DateTime)]
    revoked_at: Option<String>,
    revoked_by: Option<String>,
}

/// Returns the approvals that hold for a tenant, or for any tenant if none is named. A tenant that has revoked its approval
/// has none, also if there is one for every tenant.
fn live<'a>(approvals: &'a [Approval], seen: Option<&'a Tenant>) -> impl Iterator<Item = &'a Approval> {
    let decided = seen.is_some() && approvals.iter().any(|approval| approval.tenant.as_ref() == seen);
    approvals
        .iter()
        .filter(move |approval| approval.revoked_at.is_none() && (!decided || approval.tenant.as_ref() == seen))
}

/// Returns the body of a response that shows a plugin to a client that sees one tenant, or all.
pub fn plugin_response(plugin: &RegisteredPlugin, approvals: &[Approval], seen: Option<&Tenant>) -> PluginResponse {
    PluginResponse {
        digest: plugin.digest,
        world: plugin.world,
        name: plugin.name.clone(),
        version: plugin.version.clone(),
        domain: plugin.domain.clone(),
        tenant: plugin.tenant.as_ref().map(|tenant| tenant.as_str().into()),
        origin: plugin.origin,
        pushed_by: plugin.client.clone(),
        pushed_at: plugin.pushed_at.to_string(),
        signed_by: plugin.signed_by.map(|key| to_hex(&key)),
        approved: live(approvals, seen).next().is_some(),
    }
}

/// Returns the body of a response that shows a plugin with its inspection, limits and approvals.
pub fn inspected_response(
    app: &App,
    seen: Option<&Tenant>,
    plugin: &RegisteredPlugin,
) -> Result<InspectedPluginResponse, Problem> {
    let approvals = app.store.approvals(plugin.digest, seen)?;
    // A tenant's own approval takes precedence over the approval for every tenant.
    let counts = live(&approvals, seen).max_by_key(|approval| (approval.tenant.is_some(), approval.at));
    let limits = app.registry.limits_of(counts);
    let approval_response = |approval: &Approval| ApprovalResponse {
        tenant: approval.tenant.as_ref().map(|tenant| tenant.as_str().into()),
        by: approval.client.clone(),
        at: approval.at.to_string(),
        limits: approval.limits.clone(),
        revoked_at: approval.revoked_at.map(|at| at.to_string()),
        revoked_by: approval.revoked_by.clone(),
    };
    Ok(InspectedPluginResponse {
        plugin: plugin_response(plugin, &approvals, seen),
        inspection: RawValue::from_string(plugin.inspection.clone()).unwrap_or_default(),
        limits,
        approvals: approvals.iter().map(approval_response).collect(),
    })
}

fn no_plugin() -> Problem {
    Problem::not_found("NO_SUCH_PLUGIN", "There is no plugin with this digest.")
}

/// Returns the plugin with this digest if the caller sees it. Fails for another tenant's plugin as if it did not exist.
pub fn find_plugin<N>(app: &App, caller: &Caller<N>, digest: &str) -> Result<RegisteredPlugin, Problem> {
    let digest = Digest::parse(digest).ok_or_else(no_plugin)?;
    app.store.plugin(digest, caller.grant().tenant.as_ref())?.ok_or_else(no_plugin)
}
