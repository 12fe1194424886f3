//! Reference grants: an operator lets the records of one tenant refer to rows that another tenant has imported.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::AsyncApp;
use crate::http::auth::authz::{Caller, CanAdmin};
use crate::http::paging::ListResponse;
use crate::http::problem::Problem;
use crate::http::request::extract::PathParams;
use crate::http::request::media::accepts_json;
use sluice_audit::{Action, AuditEntry, AuditScope};
use sluice_catalog::ReferenceGrant;
use sluice_model::Tenant;

/// A grant to refer to the rows of another tenant.
#[derive(Serialize, ToSchema)]
#[schema(as = ReferenceGrant)]
#[serde(rename_all = "camelCase")]
pub struct ReferenceGrantResponse {
    /// Tenant whose records may refer to the rows.
    #[schema(example = "south")]
    tenant: String,
    /// Tenant that owns the rows.
    #[schema(example = "north")]
    owner: String,
    given_by: String,
    #[schema(format = DateTime)]
    given_at: String,
}

/// Returns both tenants of a grant. Only an operator, who sees every tenant, may name two.
fn both(caller: &Caller<CanAdmin>, tenant: &str, owner: &str) -> Result<(Tenant, Tenant), Problem> {
    let (tenant, owner) = (caller.tenant(Some(tenant))?, caller.tenant(Some(owner))?);
    if tenant == owner {
        let detail = "Both tenants are the same. Records of a tenant may always refer to its own rows.";
        return Err(Problem::unprocessable("SAME_TENANT", detail));
    }
    Ok((tenant, owner))
}

fn entry(caller: &Caller<CanAdmin>, action: Action, tenant: &Tenant, owner: &Tenant) -> AuditEntry {
    caller.entry(action).tenant(Some(tenant)).owner(owner)
}

/// List the grants to refer to rows of another tenant
///
/// For a client that sees every tenant.
#[utoipa::path(
    get, path = "/reference-grants", tag = "Tenants", operation_id = "listReferenceGrants",
    responses((status = 200, body = ListResponse<ReferenceGrantResponse>)),
)]
pub async fn list(
    State(app): State<AsyncApp>,
    caller: Caller<CanAdmin>,
    headers: HeaderMap,
) -> Result<Json<ListResponse<ReferenceGrantResponse>>, Problem> {
    accepts_json(&headers)?;
    if caller.grant().tenant.is_some() {
        return Err(Problem::tenant_not_granted());
    }
    app.blocking(move |app| {
        let shown = app.store.reference_grants()?.into_iter().map(|ReferenceGrant { tenant, owner, client, at }| {
            ReferenceGrantResponse {
                tenant: tenant.into(),
                owner: owner.into(),
                given_by: client,
                given_at: at.to_string(),
            }
        });
        Ok(ListResponse::new(shown.collect()))
    })
    .await
}

/// Let the records of a tenant refer to rows of another tenant
///
/// References and lookups by id find the owner's rows as well, after the tenant's own. Nothing else of the owner becomes
/// visible, and nothing of the tenant becomes visible to the owner. Records of the tenant have to be validated again. For a
/// client that sees every tenant.
#[utoipa::path(
    put, path = "/reference-grants/{tenant}/{owner}", tag = "Tenants", operation_id = "giveReferenceGrant",
    params(
        ("tenant" = String, Path, pattern = "^[a-z0-9][a-z0-9-]{0,62}$", description = "Tenant whose records may refer to the rows."),
        ("owner" = String, Path, pattern = "^[a-z0-9][a-z0-9-]{0,62}$", description = "Tenant that owns the rows."),
    ),
    responses(
        (status = 204, description = "The grant is given."),
        (status = 422, body = Problem, content_type = "application/problem+json", description = "A name is not valid, or both tenants are the same."),
    ),
)]
pub async fn give(
    State(app): State<AsyncApp>,
    caller: Caller<CanAdmin>,
    PathParams((tenant, owner)): PathParams<(String, String)>,
) -> Result<StatusCode, Problem> {
    app.blocking(move |app| {
        let (tenant, owner) = both(&caller, &tenant, &owner)?;
        if app.store.granted_tenants(&tenant)?.lenders.contains(&owner) {
            return Ok(StatusCode::NO_CONTENT);
        }
        app.audit(AuditScope::Server, entry(&caller, Action::ReferenceGrantGiven, &tenant, &owner))?;
        let (client, at) = (caller.grant().client.clone(), jiff::Timestamp::now());
        app.store.add_reference_grant(&ReferenceGrant { tenant, owner, client, at })?;
        Ok(StatusCode::NO_CONTENT)
    })
    .await
}

/// Take back a grant to refer to rows of another tenant
///
/// Records that refer to such rows do not pass the next validation, and are not imported before it. Imported records stay.
/// For a client that sees every tenant.
#[utoipa::path(
    delete, path = "/reference-grants/{tenant}/{owner}", tag = "Tenants", operation_id = "takeReferenceGrant",
    params(
        ("tenant" = String, Path, pattern = "^[a-z0-9][a-z0-9-]{0,62}$", description = "Tenant whose records may refer to the rows."),
        ("owner" = String, Path, pattern = "^[a-z0-9][a-z0-9-]{0,62}$", description = "Tenant that owns the rows."),
    ),
    responses(
        (status = 204, description = "The grant is taken back."),
        (status = 422, body = Problem, content_type = "application/problem+json", description = "A name is not valid, or both tenants are the same."),
    ),
)]
pub async fn remove(
    State(app): State<AsyncApp>,
    caller: Caller<CanAdmin>,
    PathParams((tenant, owner)): PathParams<(String, String)>,
) -> Result<StatusCode, Problem> {
    app.blocking(move |app| {
        let (tenant, owner) = both(&caller, &tenant, &owner)?;
        if !app.store.granted_tenants(&tenant)?.lenders.contains(&owner) {
            return Err(Problem::not_found("NO_SUCH_REFERENCE_GRANT", "There is no such grant."));
        }
        app.audit(AuditScope::Server, entry(&caller, Action::ReferenceGrantTaken, &tenant, &owner))?;
        app.store.remove_reference_grant(&tenant, &owner)?;
        Ok(StatusCode::NO_CONTENT)
    })
    .await
}
