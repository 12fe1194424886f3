//! Public keys of customers, with which they sign their plugins.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::AsyncApp;
use crate::http::auth::authz::{Caller, CanApprove, CanRead};
use crate::http::paging::{ListResponse, QueryString};
use crate::http::problem::Problem;
use crate::http::request::extract::PathParams;
use crate::http::request::media::accepts_json;
use sluice_audit::{Action, AuditScope};
use sluice_model::{PluginKey, from_hex, to_hex};

/// A key that signs plugins.
#[derive(Serialize, ToSchema)]
#[schema(as = PluginKey)]
#[serde(rename_all = "camelCase")]
pub struct PluginKeyResponse {
    /// Ed25519 public key.
    key: String,
    tenant: String,
    added_by: String,
    #[schema(format = DateTime)]
    added_at: String,
    #[schema(format = DateTime)]
    revoked_at: Option<String>,
}

fn parse_key(key: &str) -> Result<[u8; 32], Problem> {
    from_hex(key).ok_or_else(|| {
        Problem::not_found("NO_SUCH_KEY", "A key is an Ed25519 public key: 64 lower-case hexadecimal digits.")
    })
}

/// List the keys that sign plugins
#[utoipa::path(
    get, path = "/plugin-keys", tag = "Plugins", operation_id = "listPluginKeys",
    responses((status = 200, body = ListResponse<PluginKeyResponse>)),
)]
pub async fn list(
    State(app): State<AsyncApp>,
    caller: Caller<CanRead>,
    headers: HeaderMap,
) -> Result<Json<ListResponse<PluginKeyResponse>>, Problem> {
    accepts_json(&headers)?;
    app.blocking(move |app| {
        let keys = app.store.plugin_keys(caller.grant().tenant.as_ref())?;
        let shown = keys.into_iter().map(|key| PluginKeyResponse {
            key: to_hex(&key.key),
            tenant: key.tenant.as_str().into(),
            added_by: key.client,
            added_at: key.added_at.to_string(),
            revoked_at: key.revoked_at.map(|at| at.to_string()),
        });
        Ok(ListResponse::new(shown.collect()))
    })
    .await
}

/// Add a key that signs plugins
#[utoipa::path(
    put, path = "/plugin-keys/{key}", tag = "Plugins", operation_id = "addPluginKey",
    params(
        ("key" = String, Path, pattern = "^[0-9a-f]{64}$", description = "The Ed25519 public key."),
        ("tenant" = Option<String>, Query, pattern = "^[a-z0-9][a-z0-9-]{0,62}$", description = "Tenant that owns it, for a client that sees several tenants."),
    ),
    responses(
        (status = 204, description = "The server accepts signatures of the key."),
        (status = 409, body = Problem, content_type = "application/problem+json", description = "The key was revoked."),
        (status = 422, body = Problem, content_type = "application/problem+json", description = "The name of the tenant is not valid."),
    ),
)]
pub async fn add(
    State(app): State<AsyncApp>,
    caller: Caller<CanApprove>,
    PathParams(key): PathParams<String>,
    query: QueryString,
) -> Result<StatusCode, Problem> {
    app.blocking(move |app| {
        let tenant = caller.tenant(query.only(&["tenant"])?.get("tenant"))?;
        let key = parse_key(&key)?;
        let known = app.store.plugin_keys(Some(&tenant))?.into_iter().find(|known| known.key == key);
        match known {
            Some(known) if known.revoked_at.is_some() => {
                Err(Problem::conflict("KEY_REVOKED", "The key was revoked, and cannot be added again. Use a new key."))
            }
            Some(_) => Ok(StatusCode::NO_CONTENT),
            None => {
                app.audit(AuditScope::Server, caller.entry(Action::PluginKeyAdded).tenant(Some(&tenant)))?;
                let (client, added_at) = (caller.grant().client.clone(), jiff::Timestamp::now());
                app.store.add_plugin_key(&PluginKey { tenant, key, client, added_at, revoked_at: None })?;
                Ok(StatusCode::NO_CONTENT)
            }
        }
    })
    .await
}

/// Revoke a key that signs plugins
///
/// The server accepts no more signatures of the key. Plugins that it signed and their approvals stay. If the key was stolen,
/// revoke the approvals as well.
#[utoipa::path(
    delete, path = "/plugin-keys/{key}", tag = "Plugins", operation_id = "revokePluginKey",
    params(
        ("key" = String, Path, pattern = "^[0-9a-f]{64}$", description = "The Ed25519 public key."),
        ("tenant" = Option<String>, Query, pattern = "^[a-z0-9][a-z0-9-]{0,62}$", description = "Tenant that owns it, for a client that sees several tenants."),
    ),
    responses(
        (status = 204, description = "The key is revoked."),
        (status = 422, body = Problem, content_type = "application/problem+json", description = "The name of the tenant is not valid."),
    ),
)]
pub async fn revoke(
    State(app): State<AsyncApp>,
    caller: Caller<CanApprove>,
    PathParams(key): PathParams<String>,
    query: QueryString,
) -> Result<StatusCode, Problem> {
    app.blocking(move |app| {
        let tenant = caller.tenant(query.only(&["tenant"])?.get("tenant"))?;
        let key = parse_key(&key)?;
        let live = app.store.plugin_keys(Some(&tenant))?;
        if !live.iter().any(|known| known.key == key && known.revoked_at.is_none()) {
            return Err(Problem::not_found("NO_SUCH_KEY", "The tenant has no such key."));
        }
        app.audit(AuditScope::Server, caller.entry(Action::PluginKeyRevoked).tenant(Some(&tenant)))?;
        app.store.revoke_plugin_key(&tenant, &key, jiff::Timestamp::now())?;
        Ok(StatusCode::NO_CONTENT)
    })
    .await
}
