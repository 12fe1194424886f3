//! Pushing a plugin.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt as _;

use super::response::{InspectedPluginResponse, inspected_response};
use crate::app::{AsyncApp, PluginPush, PushError, TenantWork};
use crate::http::auth::authz::{Caller, CanMigrate};
use crate::http::paging::QueryString;
use crate::http::problem::Problem;
use crate::http::request::media::accepts_json;
use sluice_audit::{Action, AuditScope};
use sluice_model::{Permission, from_hex, message};
use sluice_staging::StagingError;

/// Bytes of a component that are in memory before they are written to its file.
const PIECE_BYTES: usize = 1 << 20;

/// A component that has arrived, in a file without a name. Clients that are slow, or that push large components, take no
/// memory of the server.
struct ReceivedComponent {
    file: Arc<File>,
    length: usize,
}

impl ReceivedComponent {
    /// Reads the component.
    fn read(&self) -> Result<Vec<u8>, Problem> {
        let mut bytes = vec![0; self.length];
        self.file.read_exact_at(&mut bytes, 0).map_err(unwritable)?;
        Ok(bytes)
    }

    /// Appends a piece.
    async fn append(&mut self, app: &AsyncApp, piece: Vec<u8>) -> Result<(), Problem> {
        let (file, at) = (self.file.clone(), self.length as u64);
        self.length += piece.len();
        app.blocking(move |_| file.write_all_at(&piece, at).map_err(unwritable)).await
    }
}

/// Returns the problem of a file that cannot be written or read.
fn unwritable(error: std::io::Error) -> Problem {
    StagingError::from(error).into()
}

/// Reads the body into a file, limited in length and time.
async fn component(app: &AsyncApp, headers: &HeaderMap, body: Body) -> Result<ReceivedComponent, Problem> {
    let given = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    // Media types have no letter case.
    if !given.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/wasm") {
        let detail = "Send the component as Content-Type: application/wasm.";
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "UNSUPPORTED_MEDIA_TYPE", detail));
    }
    let (longest, seconds) = (app.config().plugin.file_bytes, app.config().registry.push_seconds);
    let file = app.blocking(|app| app.registry.scratch().map_err(unwritable)).await?;
    let mut received = ReceivedComponent { file: Arc::new(file), length: 0 };
    let mut piece = Vec::new();
    let mut pieces = body.into_data_stream();
    let end = tokio::time::Instant::now() + Duration::from_secs(seconds);
    loop {
        match tokio::time::timeout_at(end, pieces.next()).await {
            Ok(Some(Ok(next))) if received.length + piece.len() + next.len() > longest => {
                let detail = message!("The component is longer than {} bytes (`plugin.file_bytes`).", longest);
                return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "COMPONENT_TOO_LARGE", detail));
            }
            Ok(Some(Ok(next))) => {
                piece.extend_from_slice(&next);
                if piece.len() >= PIECE_BYTES {
                    received.append(app, std::mem::take(&mut piece)).await?;
                }
            }
            Ok(None) => {
                received.append(app, piece).await?;
                return Ok(received);
            }
            Ok(Some(Err(_))) => return Err(Problem::bad_request("BODY_BROKEN_OFF", "The body ended early.")),
            Err(_) => {
                let detail = "The body did not end in time.";
                return Err(Problem::bad_request("BODY_BROKEN_OFF", detail));
            }
        }
    }
}

/// Returns the signature of a component.
fn signature(headers: &HeaderMap) -> Result<Option<[u8; 64]>, Problem> {
    let Some(given) = headers.get("sluice-signature") else { return Ok(None) };
    let signature = given.to_str().ok().and_then(from_hex);
    let detail = "Sluice-Signature is not an Ed25519 signature: 128 lower-case hexadecimal digits.";
    signature.map(Some).ok_or_else(|| Problem::bad_request("INVALID_SIGNATURE", detail))
}

/// Push a plugin
///
/// The server inspects the component before it runs any of its code, and then runs it on an empty object. A refusal names the
/// reason, and how to build the component. A pushed plugin can be used in trials; for an import it has to be approved.
/// Pushing the same component again changes nothing.
#[utoipa::path(
    post, path = "/plugins", tag = "Plugins", operation_id = "pushPlugin",
    params(
        ("tenant" = Option<String>, Query, pattern = "^[a-z0-9][a-z0-9-]{0,62}$", description = "Tenant that owns it, for a client that sees several tenants."),
        ("Sluice-Signature" = Option<String>, Header, pattern = "^[0-9a-f]{128}$", description = "Ed25519 signature, by a key of the tenant, of the text `sluice plugin ` followed by the component's SHA-256 in lower-case hexadecimal digits."),
    ),
    request_body(content = Vec<u8>, content_type = "application/wasm", description = "A WebAssembly component."),
    responses(
        (status = 200, body = InspectedPluginResponse, description = "The tenant has the plugin already."),
        (status = 201, body = InspectedPluginResponse, headers(("Location" = String))),
        (status = 409, body = Problem, content_type = "application/problem+json", description = "The tenant has the maximum number of plugins."),
        (status = 429, body = Problem, content_type = "application/problem+json", description = "The tenant pushes the maximum number of plugins at once, or the client has sent too many requests."),
        (status = 415, body = Problem, content_type = "application/problem+json"),
        (status = 422, body = Problem, content_type = "application/problem+json", description = "The component is not a plugin for this server, or its signature is wrong or missing."),
    ),
)]
pub async fn push(
    State(app): State<AsyncApp>,
    caller: Caller<CanMigrate>,
    headers: HeaderMap,
    query: QueryString,
    body: Body,
) -> Result<Response, Problem> {
    accepts_json(&headers)?;
    let tenant = caller.tenant(query.only(&["tenant"])?.get("tenant"))?;
    let signature = signature(&headers)?;
    // It is dropped when the inspection ends, even if the client has disconnected before.
    let permit = app.permits().begin(&tenant, TenantWork::Push)?;
    let received = component(&app, &headers, body).await?;
    app.blocking(move |app| {
        let _permit = permit;
        let bytes = received.read()?;
        let (client, operator) = (&caller.grant().client, caller.grant().may(Permission::Admin));
        let (plugin, new) = app.registry.push(&PluginPush { bytes: &bytes, tenant, client, operator, signature })?;
        if new {
            let pushed = caller.entry(Action::PluginPushed).plugins([plugin.digest]);
            app.audit(AuditScope::Server, pushed.tenant(plugin.tenant.as_ref()))?;
        }
        let whole = Json(inspected_response(app, caller.grant().tenant.as_ref(), &plugin)?);
        if !new {
            return Ok(whole.into_response());
        }
        let location = format!("/plugins/{}", plugin.digest);
        Ok((StatusCode::CREATED, [(header::LOCATION, location)], whole).into_response())
    })
    .await
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
                "The tenant has the maximum number of plugins (`registry.plugins_per_tenant`).",
            ),
            PushError::OperatorOnly => Self::not_permitted(Permission::Admin),
            PushError::Failure(failure) => failure.into(),
        }
    }
}
