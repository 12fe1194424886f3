//! Registering migrations, reading and purging them.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::media::accepts_json;
use super::paging::{Listing, Query};
use super::problem::Problem;
use crate::app::App;
use crate::model::{DOMAINS, Domain, ImportStatus, Level, Migration, Name, StagingStatus, told};
use crate::staging::StreamName;
use crate::store::LogEntry;

/// A migration as the API shows it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Shown {
    reference_id: Uuid,
    #[serde(flatten)]
    figures: Figures,
    components: Vec<Component>,
    mapper: Option<Name>,
    registered_at: String,
}

#[derive(Clone, Copy, Serialize)]
#[serde(rename_all = "camelCase")]
struct Figures {
    staging_status: StagingStatus,
    import_status: ImportStatus,
    number_of_staged_entities: u64,
    number_of_imported_entities: u64,
}

#[derive(Serialize)]
struct Component {
    component: &'static str,
    #[serde(flatten)]
    figures: Figures,
}

/// Reads a path's migration id. What is no UUID is no migration's id.
pub fn find(app: &App, id: &str) -> Result<Migration, Problem> {
    let id: Uuid = id.parse().map_err(|_| Problem::no_migration())?;
    app.store.migration(id)?.ok_or_else(Problem::no_migration)
}

fn show(app: &App, migration: Migration) -> Result<Shown, Problem> {
    let desk = app.desk(migration)?;
    let migration = &desk.migration;
    let mut total = Figures {
        staging_status: migration.status.staging,
        import_status: migration.status.import,
        number_of_staged_entities: 0,
        number_of_imported_entities: 0,
    };
    let mut components = vec![];
    for domain in &migration.components {
        let mut figures = Figures { number_of_staged_entities: 0, number_of_imported_entities: 0, ..total };
        let plugin = app.plugins.domain(domain.component);
        for entity_type in plugin.iter().flat_map(|plugin| &plugin.description.entity_types) {
            figures.number_of_staged_entities += desk.area.count(StreamName::Records(&entity_type.name))?;
            figures.number_of_imported_entities += app.target.added(migration.reference_id, &entity_type.name)?;
        }
        total.number_of_staged_entities += figures.number_of_staged_entities;
        total.number_of_imported_entities += figures.number_of_imported_entities;
        components.push(Component { component: domain.component, figures });
    }
    Ok(Shown {
        reference_id: migration.reference_id,
        figures: total,
        components,
        mapper: migration.mapper.clone(),
        registered_at: migration.registered_at.to_string(),
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Registration {
    components: Vec<String>,
    #[serde(default)]
    mapper: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MapperChoice {
    mapper: Option<String>,
}

/// Reads a JSON body; what does not fit is said without a word of the body.
fn body<'a, T: Deserialize<'a>>(headers: &HeaderMap, bytes: &'a [u8], shape: &'static str) -> Result<T, Problem> {
    let given = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if given.split(';').next().unwrap_or_default().trim() != "application/json" {
        let detail = "Send the body as Content-Type: application/json.";
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "UNSUPPORTED_MEDIA_TYPE", detail));
    }
    serde_json::from_slice(bytes).map_err(|error| {
        let detail = told!(
            "The body does not fit at line {}, column {}. It should look like {}.",
            error.line(),
            error.column(),
            shape
        );
        Problem::bad_request("INVALID_BODY", detail)
    })
}

/// The name of the mapper that is asked for, as the mapper itself has it.
fn known_mapper(app: &App, mapper: Option<&str>) -> Result<Option<Name>, Problem> {
    let Some(name) = mapper else { return Ok(None) };
    match app.plugins.mapper(name) {
        Some(mapper) => Ok(Some(mapper.description.name.clone())),
        None => {
            let names: Vec<&Name> = app.plugins.mappers().map(|mapper| &mapper.description.name).collect();
            let detail = told!("This server has no such mapper. It has: {}.", names);
            Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "UNKNOWN_MAPPER", detail))
        }
    }
}

/// `POST /migration-assistance/migrations`
pub async fn register(State(app): State<Arc<App>>, headers: HeaderMap, bytes: Bytes) -> Result<Response, Problem> {
    accepts_json(&headers)?;
    let registration: Registration =
        body(&headers, &bytes, r#"{"components":["Counterparties"],"mapper":"berka"}, mapper optional"#)?;
    let mut components: Vec<&'static Domain> = vec![];
    for name in &registration.components {
        let Some(domain) = Domain::by_component(name) else {
            let names: Vec<&'static str> = DOMAINS.iter().map(|domain| domain.component).collect();
            let detail = told!("components has an unknown name. Known are: {}.", names);
            return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "UNKNOWN_COMPONENT", detail));
        };
        if !components.contains(&domain) {
            components.push(domain);
        }
    }
    if components.is_empty() {
        let detail = "components is empty: name at least one.";
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "NO_COMPONENT", detail));
    }
    let mapper = known_mapper(&app, registration.mapper.as_deref())?;
    let migration = app.store.register(components, mapper, jiff::Timestamp::now())?;
    let id = migration.reference_id;
    app.store.log(id, &LogEntry::new(Level::Info, "MIGRATION_REGISTERED"))?;
    let location = format!("/migration-assistance/migrations/{id}");
    Ok((StatusCode::CREATED, [(header::LOCATION, location)], Json(show(&app, migration)?)).into_response())
}

/// `GET /migration-assistance/migrations`
pub async fn list(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    query: Query,
) -> Result<Json<Listing<Shown>>, Problem> {
    accepts_json(&headers)?;
    let page = query.page(&[])?;
    tokio::task::spawn_blocking(move || {
        let (migrations, total) = app.store.migrations(page)?;
        let items = migrations.into_iter().map(|migration| show(&app, migration)).collect::<Result<_, _>>()?;
        Ok(Listing::new(items, total, page))
    })
    .await?
}

/// `GET /migration-assistance/migrations/{id}`
pub async fn read(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Json<Shown>, Problem> {
    accepts_json(&headers)?;
    tokio::task::spawn_blocking(move || {
        let migration = find(&app, &id)?;
        Ok(Json(show(&app, migration)?))
    })
    .await?
}

/// `PUT /migration-assistance/migrations/{id}/mapper`
pub async fn set_mapper(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    headers: HeaderMap,
    bytes: Bytes,
) -> Result<Json<Shown>, Problem> {
    accepts_json(&headers)?;
    let choice: MapperChoice = body(&headers, &bytes, r#"{"mapper":"berka"}, or null for none"#)?;
    let id = find(&app, &id)?.reference_id;
    let mapper = known_mapper(&app, choice.mapper.as_deref())?;
    let _guard = app.jobs.begin_upload(id, "mapper")?;
    app.store.set_mapper(id, mapper.as_ref())?;
    app.store.log(id, &LogEntry::new(Level::Info, "MAPPER_SET").with("mapper", mapper))?;
    Ok(Json(show(&app, find(&app, &id.to_string())?)?))
}

/// `DELETE /migration-assistance/migrations/{id}`: removes its staging and what is known of it. What was
/// imported stays in the target.
pub async fn purge(State(app): State<Arc<App>>, Path(id): Path<String>) -> Result<StatusCode, Problem> {
    tokio::task::spawn_blocking(move || {
        let id = find(&app, &id)?.reference_id;
        let _guard = app.jobs.begin_alone(id)?;
        app.purge(id)?;
        app.store.forget(id)?;
        tracing::info!(code = "MIGRATION_PURGED", migration = %id);
        Ok(StatusCode::NO_CONTENT)
    })
    .await?
}
