//! Registering migrations, reading and purging them.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::caller::{Caller, Migrate, Read};
use super::extract::{Content, Path, json};
use super::media::accepts_json;
use super::paging::{Listing, Paged, Query};
use super::problem::Problem;
use super::{conditional, idempotency};
use crate::app::App;
use sluice_audit::{Action, Scope};
use sluice_catalog::{Kept, LogEntry, Making};
use sluice_model::{
    ChosenMapper, DOMAINS, Digest, Domain, Grant, ImportStatus, Level, Migration, Name, Refusal, StagingStatus, Tenant,
    told,
};
use sluice_pipeline::jobs::StartError;
use sluice_staging::StreamName;

/// A migration, as far as the client was granted its domains.
#[derive(Serialize, ToSchema)]
#[schema(as = Migration)]
#[serde(rename_all = "camelCase")]
pub struct Shown {
    reference_id: Uuid,
    /// Whose it is.
    #[schema(example = "default")]
    tenant: String,
    #[serde(flatten)]
    figures: Figures,
    /// The domains that it covers and that the client was granted.
    components: Vec<Component>,
    /// The mapper for its source tables, if it has one.
    #[schema(value_type = Option<String>)]
    mapper: Option<Name>,
    /// Digest of that mapper: another one of the same name is not taken in its place.
    #[schema(value_type = Option<String>)]
    mapper_digest: Option<Digest>,
    /// The platform that it goes to; none: the embedded one.
    #[schema(value_type = Option<String>)]
    target: Option<Name>,
    /// When it was registered.
    #[schema(format = DateTime)]
    registered_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    purged_at: Option<String>,
    /// Code of why its staging cannot be opened, and its staged records not be counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    staging_error: Option<&'static str>,
}

/// How far a migration, or a domain of it, has come.
#[derive(Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Figures {
    staging_status: StagingStatus,
    import_status: ImportStatus,
    number_of_staged_entities: u64,
    number_of_imported_entities: u64,
}

/// A domain of a migration.
#[derive(Serialize, ToSchema)]
struct Component {
    #[schema(example = "Counterparties")]
    component: &'static str,
    #[serde(flatten)]
    figures: Figures,
}

fn show(app: &App, grant: &Grant, migration: Migration) -> Result<Shown, Problem> {
    // What was erased has no staging area to ask. One that cannot be opened hides neither itself nor its neighbours.
    let (area, staging_error) = match app.desk(migration.clone()) {
        Ok(desk) => (Some(desk.area), None),
        Err(StartError::Refused(Refusal::Purged)) => (None, None),
        Err(error) => (None, Some(Problem::from(error).code())),
    };
    let mut total = Figures {
        staging_status: migration.status.staging,
        import_status: migration.status.import,
        number_of_staged_entities: 0,
        number_of_imported_entities: 0,
    };
    let (mut components, plugins) = (vec![], app.registry.of(&migration.tenant)?);
    for domain in migration.components.iter().filter(|domain| grant.holds(domain)) {
        let mut figures = Figures { number_of_staged_entities: 0, number_of_imported_entities: 0, ..total };
        let plugin = plugins.domain(domain.component);
        for entity_type in plugin.iter().flat_map(|plugin| &plugin.description.entity_types) {
            if let Some(area) = &area {
                figures.number_of_staged_entities += area.count(StreamName::Records(&entity_type.name))?;
            }
            figures.number_of_imported_entities += app.target.added(migration.reference_id, &entity_type.name)?;
        }
        total.number_of_staged_entities += figures.number_of_staged_entities;
        total.number_of_imported_entities += figures.number_of_imported_entities;
        components.push(Component { component: domain.component, figures });
    }
    Ok(Shown {
        reference_id: migration.reference_id,
        tenant: migration.tenant.as_str().into(),
        figures: total,
        components,
        mapper: migration.mapper.as_ref().map(|mapper| mapper.name.clone()),
        mapper_digest: migration.mapper.map(|mapper| mapper.digest),
        target: migration.target,
        registered_at: migration.registered_at.to_string(),
        purged_at: migration.purged_at.map(|at| at.to_string()),
        staging_error,
    })
}

/// A domain, as the API names it.
struct ComponentName;

impl utoipa::PartialSchema for ComponentName {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
        let names = DOMAINS.iter().map(|domain| domain.component);
        let name = utoipa::openapi::ObjectBuilder::new().schema_type(utoipa::openapi::schema::Type::String);
        name.enum_values(Some(names)).into()
    }
}

impl ToSchema for ComponentName {}

/// What a migration is registered with.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Registration {
    /// Domains to cover: some of Counterparties, Collaterals, FinancingSolutions, FinancingExecutions, Administrate.
    #[schema(value_type = Vec<ComponentName>, min_items = 1, example = json!(["Counterparties"]))]
    components: Vec<String>,
    /// A mapper for source tables, by its name or by the digest of its component.
    #[serde(default)]
    #[schema(example = "berka")]
    mapper: Option<String>,
    /// A platform that the server is configured for; the embedded one if there is none.
    #[serde(default)]
    #[schema(example = json!(null))]
    target: Option<String>,
    /// For a client that sees several tenants: whose the migration is.
    #[serde(default)]
    #[schema(pattern = "^[a-z0-9][a-z0-9-]{0,62}$", example = "default")]
    tenant: Option<String>,
}

/// A migration's mapper.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MapperChoice {
    /// A mapper by its name or by the digest of its component, or null for none.
    #[schema(example = "berka")]
    mapper: Option<String>,
}

/// The mapper that a tenant means by a name or a digest.
fn known_mapper(app: &App, tenant: &Tenant, mapper: Option<&str>) -> Result<Option<ChosenMapper>, Problem> {
    let Some(mapper) = mapper else { return Ok(None) };
    match app.registry.choose(tenant, mapper)? {
        Ok(chosen) => Ok(Some(chosen)),
        Err(names) => {
            let detail = told!("There is no such mapper. There are: {}.", names);
            Err(Problem::unprocessable("UNKNOWN_MAPPER", detail))
        }
    }
}

/// The configured platform with this name.
fn known_target(app: &App, target: Option<&str>) -> Result<Option<Name>, Problem> {
    let Some(target) = target else { return Ok(None) };
    match app.platforms.get(target) {
        Some(platform) => Ok(Some(platform.name.clone())),
        None => {
            let names: Vec<&Name> = app.platforms.values().map(|platform| &platform.name).collect();
            let detail = told!("This server is configured for no such platform. It has: {}.", names);
            Err(Problem::unprocessable("UNKNOWN_TARGET", detail))
        }
    }
}

/// Register a migration
#[utoipa::path(
    post, path = "/migration-assistance/migrations", tag = "Migrations", operation_id = "registerMigration",
    params(("Idempotency-Key" = Option<String>, Header, min_length = 1, max_length = 255, pattern = "^[!-~]+$", description = "Sent again with the same key and body, the request is answered again and not carried out again.")),
    request_body = Registration,
    responses(
        (status = 201, body = Shown, headers(("Location" = String))),
        (status = 409, body = Problem, content_type = "application/problem+json", description = "A request with the same key is being carried out."),
        (status = 415, body = Problem, content_type = "application/problem+json"),
        (status = 422, body = Problem, content_type = "application/problem+json", description = "A component or mapper is not known, or the key was used for another request."),
    ),
)]
pub async fn register(
    State(app): State<Arc<App>>,
    caller: Caller<Migrate>,
    headers: HeaderMap,
    Content(bytes): Content,
) -> Result<Response, Problem> {
    accepts_json(&headers)?;
    let registration: Registration =
        json(&headers, &bytes, r#"{"components":["Counterparties"],"mapper":"berka"}, mapper optional"#)?;
    let components = components(&caller, &registration.components)?;
    let tenant = caller.tenant(registration.tenant.as_deref())?;
    tokio::task::spawn_blocking(move || {
        let mapper = known_mapper(&app, &tenant, registration.mapper.as_deref())?;
        let target = known_target(&app, registration.target.as_deref())?;
        idempotency::once(
            &app,
            &caller.grant().client,
            &headers,
            &[b"registerMigration", tenant.as_str().as_bytes(), &bytes],
            |Making { id, begun }| {
                let now = jiff::Timestamp::now();
                let known = if begun { app.store.migration(id)? } else { None };
                let migration = match known {
                    Some(migration) => migration,
                    None => app.store.register(id, tenant.clone(), components, mapper, target, now)?,
                };
                app.store.log(id, &LogEntry::new(Level::Info, "MIGRATION_REGISTERED"))?;
                let desk = app.desk(migration)?;
                let registered = caller.entry(Action::MigrationRegistered).plugins(desk.plugin_digests());
                app.audit(Scope::Migration(id), registered)?;
                let location = Some(format!("/migration-assistance/migrations/{id}"));
                let shown = show(&app, caller.grant(), desk.migration)?;
                Ok(Kept { status: 201, location, body: serde_json::to_vec(&shown).expect("what is shown is JSON") })
            },
        )
    })
    .await?
}

/// The domains with these names, each of which the caller was granted.
fn components(caller: &Caller<Migrate>, names: &[String]) -> Result<Vec<&'static Domain>, Problem> {
    let mut components: Vec<&'static Domain> = vec![];
    for name in names {
        let Some(domain) = Domain::by_component(name) else {
            let names: Vec<&'static str> = DOMAINS.iter().map(|domain| domain.component).collect();
            let detail = told!("components has an unknown name. Known are: {}.", names);
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
        return Err(Problem::unprocessable("NO_COMPONENT", "components is empty: name at least one."));
    }
    Ok(components)
}

/// List the migrations that the client sees, the newest first
#[utoipa::path(
    get, path = "/migration-assistance/migrations", tag = "Migrations", operation_id = "listMigrations",
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
        let (migrations, total) = app.store.migrations(caller.grant(), page)?;
        let shown = migrations.into_iter().map(|migration| show(&app, caller.grant(), migration));
        Ok(Listing::new(shown.collect::<Result<_, _>>()?, total, page))
    })
    .await?
}

/// Read a migration
#[utoipa::path(
    get, path = "/migration-assistance/migrations/{id}", tag = "Migrations", operation_id = "readMigration",
    params(
        ("id" = Uuid, Path, description = "The migration's reference id."),
        ("If-None-Match" = Option<String>, Header, description = "The `ETag` that the client has already."),
    ),
    responses(
        (status = 200, body = Shown, headers(("ETag" = String))),
        (status = 304, description = "It is as the client has it."),
    ),
)]
pub async fn read(
    State(app): State<Arc<App>>,
    caller: Caller<Read>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    accepts_json(&headers)?;
    tokio::task::spawn_blocking(move || {
        let migration = caller.any_of(&app, &id)?;
        Ok(conditional::show(&headers, show(&app, caller.grant(), migration)?))
    })
    .await?
}

/// Choose a migration's mapper
#[utoipa::path(
    put, path = "/migration-assistance/migrations/{id}/mapper", tag = "Migrations", operation_id = "chooseMapper",
    params(
        ("id" = Uuid, Path, description = "The migration's reference id."),
        ("If-Match" = Option<String>, Header, description = "The `ETag` of the migration as the client knows it."),
    ),
    request_body = MapperChoice,
    responses(
        (status = 200, body = Shown, headers(("ETag" = String))),
        (status = 409, body = Problem, content_type = "application/problem+json", description = "An upload or a job is running."),
        (status = 412, body = Problem, content_type = "application/problem+json", description = "The migration is no longer as `If-Match` says."),
        (status = 415, body = Problem, content_type = "application/problem+json"),
        (status = 422, body = Problem, content_type = "application/problem+json", description = "This server has no such mapper."),
    ),
)]
pub async fn set_mapper(
    State(app): State<Arc<App>>,
    caller: Caller<Migrate>,
    Path(id): Path<String>,
    headers: HeaderMap,
    Content(bytes): Content,
) -> Result<Response, Problem> {
    accepts_json(&headers)?;
    let choice: MapperChoice = json(&headers, &bytes, r#"{"mapper":"berka"}, or null for none"#)?;
    tokio::task::spawn_blocking(move || {
        let migration = caller.whole(&app, &id)?;
        let mapper = known_mapper(&app, &migration.tenant, choice.mapper.as_deref())?;
        let id = migration.reference_id;
        let _guard = app.jobs.begin_alone(id)?;
        // As it is now that nobody else can change it.
        let migration = caller.whole(&app, &id.to_string())?;
        conditional::check(&headers, || show(&app, caller.grant(), migration))?;
        app.store.set_mapper(id, mapper.as_ref())?;
        let digest = mapper.as_ref().map(|mapper| mapper.digest);
        app.audit(Scope::Migration(id), caller.entry(Action::MapperSet).plugins(digest))?;
        let entry = LogEntry::new(Level::Info, "MAPPER_SET").with("mapper", mapper.map(|mapper| mapper.name));
        app.store.log(id, &entry)?;
        let migration = app.store.migration(id)?.ok_or_else(Problem::no_migration)?;
        Ok(conditional::show(&HeaderMap::new(), show(&app, caller.grant(), migration)?))
    })
    .await?
}

/// Purge a migration
///
/// Erases its records. Its figures and its audit trail stay, and in the target what was imported. Again is as good as once.
#[utoipa::path(
    delete, path = "/migration-assistance/migrations/{id}", tag = "Migrations", operation_id = "purgeMigration",
    params(
        ("id" = Uuid, Path, description = "The migration's reference id."),
        ("If-Match" = Option<String>, Header, description = "The `ETag` of the migration as the client knows it."),
    ),
    responses(
        (status = 204, description = "It is erased."),
        (status = 409, body = Problem, content_type = "application/problem+json", description = "An upload or a job is running."),
        (status = 412, body = Problem, content_type = "application/problem+json", description = "The migration is no longer as `If-Match` says."),
    ),
)]
pub async fn purge(
    State(app): State<Arc<App>>,
    caller: Caller<Migrate>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<StatusCode, Problem> {
    tokio::task::spawn_blocking(move || {
        let migration = caller.whole(&app, &id)?;
        let asked = caller.entry(Action::MigrationPurged);
        app.purge(migration.reference_id, jiff::Timestamp::now(), asked, || {
            let migration = caller.whole(&app, &id)?;
            conditional::check(&headers, || show(&app, caller.grant(), migration))
        })?;
        Ok(StatusCode::NO_CONTENT)
    })
    .await?
}
