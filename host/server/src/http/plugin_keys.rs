//! Keys that customers sign their plugins with.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use serde::Serialize;
use utoipa::ToSchema;

use super::caller::{Approve, Caller, Read};
use super::extract::Path;
use super::media::accepts_json;
use super::paging::{Query, Whole};
use super::problem::Problem;
use crate::app::App;
use sluice_audit::{Action, Scope};
use sluice_model::{PluginKey, from_hex, to_hex};

/// A key.
#[derive(Serialize, ToSchema)]
#[schema(as = PluginKey)]
#[serde(rename_all = "camelCase")]
pub struct Shown {
    /// The Ed25519 public key.
    key: String,
    tenant: String,
    added_by: String,
    #[schema(format = DateTime)]
    added_at: String,
    #[schema(format = DateTime)]
    revoked_at: Option<String>,
}

fn read(key: &str) -> Result<[u8; 32], Problem> {
    from_hex(key).ok_or_else(|| {
        Problem::not_found("NO_SUCH_KEY", "A key is an Ed25519 public key: 64 lower-case hexadecimal digits.")
    })
}

/// List the keys that plugins are signed with
#[utoipa::path(
    get, path = "/plugin-keys", tag = "Plugins", operation_id = "listPluginKeys",
    responses((status = 200, body = Whole<Shown>)),
)]
pub async fn list(
    State(app): State<Arc<App>>,
    caller: Caller<Read>,
    headers: HeaderMap,
) -> Result<Json<Whole<Shown>>, Problem> {
    accepts_json(&headers)?;
    tokio::task::spawn_blocking(move || {
        let keys = app.store.plugin_keys(caller.grant().tenant.as_ref())?;
        let shown = keys.into_iter().map(|key| Shown {
            key: to_hex(&key.key),
            tenant: key.tenant.as_str().into(),
            added_by: key.client,
            added_at: key.added_at.to_string(),
            revoked_at: key.revoked_at.map(|at| at.to_string()),
        });
        Ok(Whole::new(shown.collect()))
    })
    .await?
}

/// Take plugins that are signed with a key
#[utoipa::path(
    put, path = "/plugin-keys/{key}", tag = "Plugins", operation_id = "addPluginKey",
    params(
        ("key" = String, Path, pattern = "^[0-9a-f]{64}$", description = "The Ed25519 public key."),
        ("tenant" = Option<String>, Query, pattern = "^[a-z0-9][a-z0-9-]{0,62}$", description = "For a client that sees several tenants: whose it is."),
    ),
    responses(
        (status = 204, description = "Its signatures are taken."),
        (status = 409, body = Problem, content_type = "application/problem+json", description = "The key was revoked."),
        (status = 422, body = Problem, content_type = "application/problem+json", description = "The tenant is no name of one."),
    ),
)]
pub async fn add(
    State(app): State<Arc<App>>,
    caller: Caller<Approve>,
    Path(key): Path<String>,
    query: Query,
) -> Result<StatusCode, Problem> {
    tokio::task::spawn_blocking(move || {
        let tenant = caller.tenant(query.only(&["tenant"])?.get("tenant"))?;
        let key = read(&key)?;
        let known = app.store.plugin_keys(Some(&tenant))?.into_iter().find(|known| known.key == key);
        match known {
            Some(known) if known.revoked_at.is_some() => {
                Err(Problem::conflict("KEY_REVOKED", "The key was revoked, and is not taken again. Use a new one."))
            }
            Some(_) => Ok(StatusCode::NO_CONTENT),
            None => {
                app.audit(Scope::Server, caller.entry(Action::PluginKeyAdded).tenant(Some(&tenant)))?;
                let (client, added_at) = (caller.grant().client.clone(), jiff::Timestamp::now());
                app.store.add_plugin_key(&PluginKey { tenant, key, client, added_at, revoked_at: None })?;
                Ok(StatusCode::NO_CONTENT)
            }
        }
    })
    .await?
}

/// Take a key's signatures no longer
///
/// Plugins that were signed with it stay, as do their approvals: revoke those too if the key was stolen.
#[utoipa::path(
    delete, path = "/plugin-keys/{key}", tag = "Plugins", operation_id = "revokePluginKey",
    params(
        ("key" = String, Path, pattern = "^[0-9a-f]{64}$", description = "The Ed25519 public key."),
        ("tenant" = Option<String>, Query, pattern = "^[a-z0-9][a-z0-9-]{0,62}$", description = "For a client that sees several tenants: whose it is."),
    ),
    responses(
        (status = 204, description = "It is revoked."),
        (status = 422, body = Problem, content_type = "application/problem+json", description = "The tenant is no name of one."),
    ),
)]
pub async fn revoke(
    State(app): State<Arc<App>>,
    caller: Caller<Approve>,
    Path(key): Path<String>,
    query: Query,
) -> Result<StatusCode, Problem> {
    tokio::task::spawn_blocking(move || {
        let tenant = caller.tenant(query.only(&["tenant"])?.get("tenant"))?;
        let key = read(&key)?;
        let live = app.store.plugin_keys(Some(&tenant))?;
        if !live.iter().any(|known| known.key == key && known.revoked_at.is_none()) {
            return Err(Problem::not_found("NO_SUCH_KEY", "The tenant has no such key."));
        }
        app.audit(Scope::Server, caller.entry(Action::PluginKeyRevoked).tenant(Some(&tenant)))?;
        app.store.revoke_plugin_key(&tenant, &key, jiff::Timestamp::now())?;
        Ok(StatusCode::NO_CONTENT)
    })
    .await?
}
