//! Registering a migration.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::mapper::known_mapper;
use super::response::{MigrationResponse, migration_response};
use crate::app::{App, AsyncApp};
use crate::http::auth::authz::{Caller, CanMigrate};
use crate::http::idempotency;
use crate::http::problem::Problem;
use crate::http::request::extract::{BufferedBody, json};
use crate::http::request::media::accepts_json;
use sluice_audit::{Action, AuditScope};
use sluice_catalog::{LogEntry, PendingCreation, StoredResponse};
use sluice_model::{DOMAINS, Domain, Level, MigrationOwner, Name, Tenant, message};

/// A domain's name in the API.
struct ComponentName;

impl utoipa::PartialSchema for ComponentName {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
        let names = DOMAINS.iter().map(|domain| domain.component);
        let name = utoipa::openapi::ObjectBuilder::new().schema_type(utoipa::openapi::schema::Type::String);
        name.enum_values(Some(names)).into()
    }
}

impl ToSchema for ComponentName {}

/// Properties of a new migration.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RegistrationRequest {
    /// Domains to cover: some of Counterparties, Collaterals, FinancingSolutions, FinancingExecutions, Administrate.
    #[schema(value_type = Vec<ComponentName>, min_items = 1, example = json!(["Counterparties"]))]
    components: Vec<String>,
    /// Mapper for source tables: its name or the digest of its component.
    #[serde(default)]
    #[schema(example = "berka")]
    mapper: Option<String>,
    /// Configured platform; the embedded one if absent.
    #[serde(default)]
    #[schema(example = json!(null))]
    target: Option<String>,
    /// Tenant that owns the migration, for a client that sees several tenants.
    #[serde(default)]
    #[schema(pattern = "^[a-z0-9][a-z0-9-]{0,62}$", example = "default")]
    tenant: Option<String>,
    /// Label of the tenant that the migration belongs to. A client with a label gets its own.
    #[serde(default)]
    #[schema(example = json!(null))]
    label: Option<Uuid>,
}

/// Returns the configured platform with this name, if the tenant may use it. To a tenant other platforms do not exist.
fn known_target(app: &App, tenant: &Tenant, target: Option<&str>) -> Result<Option<Name>, Problem> {
    let Some(target) = target else { return Ok(None) };
    match app.platform_of(tenant, target) {
        Some(platform) => Ok(Some(platform.name.clone())),
        None => {
            let names: Vec<&Name> = app.platforms_of(tenant).map(|platform| &platform.name).collect();
            let detail =
                message!("The server's configuration has no such platform for the tenant. Platforms: {}.", names);
            Err(Problem::unprocessable("UNKNOWN_TARGET", detail))
        }
    }
}

/// Register a migration
#[utoipa::path(
    post, path = "/migration-assistance/migrations", tag = "Migrations", operation_id = "registerMigration",
    params(("Idempotency-Key" = Option<String>, Header, min_length = 1, max_length = 255, pattern = "^[!-~]+$", description = "The server answers a repeated request with the same key and body and does not carry it out again.")),
    request_body = RegistrationRequest,
    responses(
        (status = 201, body = MigrationResponse, headers(("Location" = String))),
        (status = 409, body = Problem, content_type = "application/problem+json", description = "The server is carrying out a request with the same key."),
        (status = 415, body = Problem, content_type = "application/problem+json"),
        (status = 422, body = Problem, content_type = "application/problem+json", description = "A component or mapper is not known, or the key was used for another request."),
    ),
)]
pub async fn register(
    State(app): State<AsyncApp>,
    caller: Caller<CanMigrate>,
    headers: HeaderMap,
    BufferedBody(bytes): BufferedBody,
) -> Result<Response, Problem> {
    accepts_json(&headers)?;
    let registration: RegistrationRequest =
        json(&headers, &bytes, r#"{"components":["Counterparties"],"mapper":"berka"}, mapper optional"#)?;
    let components = components(&caller, &registration.components)?;
    let tenant = caller.tenant(registration.tenant.as_deref())?;
    let label = caller.label(registration.label)?;
    app.blocking(move |app| {
        let mapper = known_mapper(app, &tenant, registration.mapper.as_deref())?;
        let target = known_target(app, &tenant, registration.target.as_deref())?;
        let mut request: Vec<&[u8]> = vec![b"registerMigration", tenant.as_str().as_bytes(), &bytes];
        request.extend(label.as_ref().map(|label| &label.as_bytes()[..]));
        idempotency::once(app, &caller.grant().client, &headers, &request, |PendingCreation { id, begun }| {
            let now = jiff::Timestamp::now();
            let known = if begun { app.store.migration(id)? } else { None };
            let most = app.config.tenant.migrations;
            if known.is_none() && app.store.count_migrations(&tenant)? >= most {
                let detail = message!(
                    "The tenant has {} migrations, which is its maximum (`tenant.migrations`). Purge those that are done: \
                     DELETE /migration-assistance/migrations/ID.",
                    most
                );
                return Err(Problem::quota("TENANT_QUOTA", detail));
            }
            let migration = match known {
                Some(migration) => migration,
                None => {
                    let owner = MigrationOwner { tenant: tenant.clone(), label };
                    app.store.register(id, owner, components, mapper, target, now)?
                }
            };
            app.store.log(id, &LogEntry::new(Level::Info, "MIGRATION_REGISTERED"))?;
            let context = app.migration_context(migration)?;
            let registered = caller.entry(Action::MigrationRegistered).plugins(context.plugin_digests());
            app.audit(AuditScope::Migration(id), registered)?;
            let location = Some(format!("/migration-assistance/migrations/{id}"));
            let shown = migration_response(app, caller.grant(), context.migration)?;
            Ok(StoredResponse { status: 201, location, body: serde_json::to_vec(&shown).expect("a response is JSON") })
        })
    })
    .await
}

/// Returns the domains with these names, if the client was granted them all.
fn components(caller: &Caller<CanMigrate>, names: &[String]) -> Result<Vec<&'static Domain>, Problem> {
    let mut components: Vec<&'static Domain> = vec![];
    for name in names {
        let Some(domain) = Domain::by_component(name) else {
            let names: Vec<&'static str> = DOMAINS.iter().map(|domain| domain.component).collect();
            let detail = message!("components has an unknown name. Components: {}.", names);
            return Err(Problem::unprocessable("UNKNOWN_COMPONENT", detail));
        };
        if !caller.grant().holds(domain) {
            return Err(Problem::domain_not_granted(domain));
        }
        if !components.contains(&domain) {
            components.push(domain);
        }
    }
    if components.is_empty() {
        return Err(Problem::unprocessable("NO_COMPONENT", "components is empty. Name at least one."));
    }
    Ok(components)
}
