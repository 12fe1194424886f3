//! Plugins: pushing them, and seeing what they are before anybody approves them.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::caller::{Caller, Migrate, Read};
use super::conditional;
use super::extract::Path;
use super::media::accepts_json;
use super::paging::{Listing, Paged, Query};
use super::problem::Problem;
use crate::app::{App, PushError, Pushed};
use sluice_audit::{Action, Scope};
use sluice_config::PluginLimits;
use sluice_model::{
    Approval, Digest, KeptPlugin, LimitOverrides, Name, Origin, Permission, Tenant, Version, World, from_hex, to_hex,
    told,
};

/// A plugin.
#[derive(Serialize, ToSchema)]
#[schema(as = Plugin)]
#[serde(rename_all = "camelCase")]
pub struct Shown {
    /// SHA-256 of its component.
    #[schema(value_type = String)]
    digest: Digest,
    world: World,
    #[schema(value_type = String, example = "berka")]
    name: Name,
    #[schema(value_type = String)]
    version: Version,
    /// The domain that a domain plugin is for.
    #[schema(value_type = Option<String>)]
    domain: Option<Name>,
    /// Whose it is; null where every tenant may use it.
    tenant: Option<String>,
    origin: Origin,
    /// The client that pushed it.
    pushed_by: Option<String>,
    #[schema(format = DateTime)]
    pushed_at: String,
    /// The key of its tenant's that it is signed with.
    signed_by: Option<String>,
    /// Whether it may take part in imports: for the client's tenant, or, for a client that sees several, for some tenant.
    approved: bool,
}

/// A plugin, with all that is known of it.
#[derive(Serialize, ToSchema)]
#[schema(as = InspectedPlugin)]
#[serde(rename_all = "camelCase")]
pub struct Whole {
    #[serde(flatten)]
    plugin: Shown,
    /// What was found in it: its sources or entity types, its codes, its imports with what each lets it do, and what
    /// it was made with.
    #[schema(value_type = serde_json::Value)]
    inspection: Box<RawValue>,
    /// What it may use: the server's limits, as the approval that counts for the client has changed them.
    #[schema(value_type = serde_json::Value)]
    limits: PluginLimits,
    /// Every approval that the client sees, also those that were revoked, the oldest first.
    approvals: Vec<ShownApproval>,
}

/// Somebody's word that a plugin may take part in imports.
#[derive(Serialize, ToSchema)]
#[schema(as = Approval)]
#[serde(rename_all = "camelCase")]
struct ShownApproval {
    /// For whose migrations; null for every tenant's.
    tenant: Option<String>,
    /// A client's id, or `server` for what the server was started with.
    by: String,
    #[schema(format = DateTime)]
    at: String,
    /// Limits in place of the server's own.
    limits: LimitOverrides,
    #[schema(format = DateTime)]
    revoked_at: Option<String>,
    revoked_by: Option<String>,
}

fn shown(plugin: &KeptPlugin, approvals: &[Approval]) -> Shown {
    Shown {
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
        approved: approvals.iter().any(|approval| approval.revoked_at.is_none()),
    }
}

/// All that a client may know of a plugin.
pub fn whole(app: &App, seen: Option<&Tenant>, plugin: &KeptPlugin) -> Result<Whole, Problem> {
    let approvals = app.store.approvals(plugin.digest, seen)?;
    // A tenant's own approval counts before that of every tenant.
    let live = approvals.iter().filter(|approval| approval.revoked_at.is_none());
    let counts = live.max_by_key(|approval| (approval.tenant.is_some(), approval.at));
    let limits = app.registry.limits_of(counts);
    let shown_approval = |approval: &Approval| ShownApproval {
        tenant: approval.tenant.as_ref().map(|tenant| tenant.as_str().into()),
        by: approval.client.clone(),
        at: approval.at.to_string(),
        limits: approval.limits.clone(),
        revoked_at: approval.revoked_at.map(|at| at.to_string()),
        revoked_by: approval.revoked_by.clone(),
    };
    Ok(Whole {
        plugin: shown(plugin, &approvals),
        inspection: RawValue::from_string(plugin.inspection.clone()).unwrap_or_default(),
        limits,
        approvals: approvals.iter().map(shown_approval).collect(),
    })
}

fn no_plugin() -> Problem {
    Problem::not_found("NO_SUCH_PLUGIN", "There is no plugin with this digest.")
}

/// The plugin with this digest, if the caller sees it: another tenant's does not exist.
pub fn find<N>(app: &App, caller: &Caller<N>, digest: &str) -> Result<KeptPlugin, Problem> {
    let digest = Digest::parse(digest).ok_or_else(no_plugin)?;
    app.store.plugin(digest, caller.grant().tenant.as_ref())?.ok_or_else(no_plugin)
}

/// The body, whole, if it comes in time and is not too long.
async fn component(app: &App, headers: &HeaderMap, body: Body) -> Result<Bytes, Problem> {
    let given = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if given.split(';').next().unwrap_or_default().trim() != "application/wasm" {
        let detail = "Send the component as Content-Type: application/wasm.";
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "UNSUPPORTED_MEDIA_TYPE", detail));
    }
    let (longest, seconds) = (app.config.plugin.file_bytes, app.config.registry.push_seconds);
    let mut bytes = Vec::new();
    let mut pieces = body.into_data_stream();
    let end = tokio::time::Instant::now() + Duration::from_secs(seconds);
    loop {
        use futures_util::StreamExt as _;
        match tokio::time::timeout_at(end, pieces.next()).await {
            Ok(Some(Ok(piece))) if bytes.len() + piece.len() > longest => {
                let detail = told!(
                    "The component is longer than the {} bytes that this server takes (`plugin.file_bytes`).",
                    longest
                );
                return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "COMPONENT_TOO_LARGE", detail));
            }
            Ok(Some(Ok(piece))) => bytes.extend_from_slice(&piece),
            Ok(None) => return Ok(bytes.into()),
            Ok(Some(Err(_))) => return Err(Problem::bad_request("BODY_BROKEN_OFF", "The body broke off.")),
            Err(_) => {
                let detail = "The body did not come to its end in time.";
                return Err(Problem::bad_request("BODY_BROKEN_OFF", detail));
            }
        }
    }
}

/// The signature that came with a component.
fn signature(headers: &HeaderMap) -> Result<Option<[u8; 64]>, Problem> {
    let Some(given) = headers.get("sluice-signature") else { return Ok(None) };
    let signature = given.to_str().ok().and_then(from_hex);
    let detail = "Sluice-Signature is not an Ed25519 signature: 128 lower-case hexadecimal digits.";
    signature.map(Some).ok_or_else(|| Problem::bad_request("INVALID_SIGNATURE", detail))
}

/// Push a plugin
///
/// It is inspected before anything in it runs, and then tried on an empty object. What is refused is told why, and how to build it
/// otherwise. From then on it can be tried; to take part in an import it has to be approved. The same component again
/// changes nothing.
#[utoipa::path(
    post, path = "/plugins", tag = "Plugins", operation_id = "pushPlugin",
    params(
        ("tenant" = Option<String>, Query, pattern = "^[a-z0-9][a-z0-9-]{0,62}$", description = "For a client that sees several tenants: whose it is."),
        ("Sluice-Signature" = Option<String>, Header, pattern = "^[0-9a-f]{128}$", description = "Ed25519 signature, by a key of the tenant's, of the text `sluice plugin ` followed by the component's SHA-256 in lower-case hexadecimal digits."),
    ),
    request_body(content = Vec<u8>, content_type = "application/wasm", description = "A WebAssembly component."),
    responses(
        (status = 200, body = Whole, description = "The tenant has it already."),
        (status = 201, body = Whole, headers(("Location" = String))),
        (status = 409, body = Problem, content_type = "application/problem+json", description = "The tenant has as many plugins as it may."),
        (status = 415, body = Problem, content_type = "application/problem+json"),
        (status = 422, body = Problem, content_type = "application/problem+json", description = "It is no plugin for this server, or its signature is wrong or missing."),
    ),
)]
pub async fn push(
    State(app): State<Arc<App>>,
    caller: Caller<Migrate>,
    headers: HeaderMap,
    query: Query,
    body: Body,
) -> Result<Response, Problem> {
    accepts_json(&headers)?;
    let tenant = caller.tenant(query.only(&["tenant"])?.get("tenant"))?;
    let signature = signature(&headers)?;
    let bytes = component(&app, &headers, body).await?;
    tokio::task::spawn_blocking(move || {
        let (client, operator) = (&caller.grant().client, caller.grant().may(Permission::Admin));
        let (plugin, new) = app.registry.push(&Pushed { bytes: &bytes, tenant, client, operator, signature })?;
        if new {
            let pushed = caller.entry(Action::PluginPushed).plugins([plugin.digest]);
            app.audit(Scope::Server, pushed.tenant(plugin.tenant.as_ref()))?;
        }
        let whole = Json(whole(&app, caller.grant().tenant.as_ref(), &plugin)?);
        if !new {
            return Ok(whole.into_response());
        }
        let location = format!("/plugins/{}", plugin.digest);
        Ok((StatusCode::CREATED, [(header::LOCATION, location)], whole).into_response())
    })
    .await?
}

/// List the plugins that the client sees, the newest first
#[utoipa::path(
    get, path = "/plugins", tag = "Plugins", operation_id = "listPlugins",
    params(Paged),
    responses((status = 200, body = Listing<Shown>)),
)]
pub async fn list(
    State(app): State<Arc<App>>,
    caller: Caller<Read>,
    headers: HeaderMap,
    query: Query,
) -> Result<Json<Listing<Shown>>, Problem> {
    accepts_json(&headers)?;
    let page = query.page(&[])?;
    tokio::task::spawn_blocking(move || {
        let seen = caller.grant().tenant.as_ref();
        let (plugins, total) = app.store.plugins(seen, page)?;
        let mut items = vec![];
        for plugin in plugins {
            items.push(shown(&plugin, &app.store.approvals(plugin.digest, seen)?));
        }
        Ok(Listing::new(items, total, page))
    })
    .await?
}

/// Read what a plugin is
///
/// What it could do, under which limits, and who approved it.
#[utoipa::path(
    get, path = "/plugins/{digest}", tag = "Plugins", operation_id = "readPlugin",
    params(
        ("digest" = String, Path, pattern = "^[0-9a-f]{64}$", description = "SHA-256 of its component."),
        ("If-None-Match" = Option<String>, Header, description = "The `ETag` that the client has already."),
    ),
    responses(
        (status = 200, body = Whole, headers(("ETag" = String))),
        (status = 304, description = "It is as the client has it."),
    ),
)]
pub async fn read(
    State(app): State<Arc<App>>,
    caller: Caller<Read>,
    Path(digest): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    accepts_json(&headers)?;
    tokio::task::spawn_blocking(move || {
        let plugin = find(&app, &caller, &digest)?;
        Ok(conditional::show(&headers, whole(&app, caller.grant().tenant.as_ref(), &plugin)?))
    })
    .await?
}

impl From<PushError> for Problem {
    fn from(error: PushError) -> Self {
        match error {
            PushError::Signature => Self::unprocessable(
                "SIGNATURE_REFUSED",
                "The component has to be signed with a key of its tenant: add the key with PUT /plugin-keys/{key}, and \
                 send the signature as Sluice-Signature.",
            ),
            PushError::TooMany => Self::conflict(
                "TOO_MANY_PLUGINS",
                "The tenant has as many plugins as it may (`registry.plugins_per_tenant`).",
            ),
            PushError::NotForCustomers => Self::not_permitted(Permission::Admin),
            PushError::Failure(failure) => failure.into(),
        }
    }
}
