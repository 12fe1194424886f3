//! Body of a response that shows a migration.

use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::app::App;
use crate::http::problem::Problem;
use sluice_model::{Digest, Grant, ImportStatus, Migration, Name, StagingStatus, TransitionRefusal, Version};
use sluice_pipeline::jobs::StartError;
use sluice_staging::StreamName;
use sluice_target::Target as _;

/// A migration, as far as the client was granted its domains.
#[derive(Serialize, ToSchema)]
#[schema(as = Migration)]
#[serde(rename_all = "camelCase")]
pub struct MigrationResponse {
    reference_id: Uuid,
    /// Tenant that owns it.
    #[schema(example = "default")]
    tenant: String,
    /// Label of the tenant that it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<Uuid>,
    #[serde(flatten)]
    figures: MigrationFigures,
    /// Domains of the migration that the client was granted.
    components: Vec<ComponentResponse>,
    /// Mapper for source tables.
    #[schema(value_type = Option<String>)]
    mapper: Option<Name>,
    /// Digest of the mapper. The migration uses no other mapper with the same name.
    #[schema(value_type = Option<String>)]
    mapper_digest: Option<Digest>,
    /// Version of the mapper with this digest.
    #[schema(value_type = Option<String>)]
    mapper_version: Option<Version>,
    /// Platform that records are imported into; none for the embedded platform.
    #[schema(value_type = Option<String>)]
    target: Option<Name>,
    /// Time of registration.
    #[schema(format = DateTime)]
    registered_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    purged_at: Option<String>,
    /// Code of the error because of which staged records cannot be counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    staging_error: Option<&'static str>,
}

/// Progress of a migration, or of one of its domains.
#[derive(Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct MigrationFigures {
    staging_status: StagingStatus,
    import_status: ImportStatus,
    number_of_staged_entities: u64,
    number_of_imported_entities: u64,
}

/// A domain of a migration.
#[derive(Serialize, ToSchema)]
struct ComponentResponse {
    #[schema(example = "Counterparties")]
    component: &'static str,
    #[serde(flatten)]
    figures: MigrationFigures,
}

/// Returns the body of a response that shows a migration to a client.
pub fn migration_response(app: &App, grant: &Grant, migration: Migration) -> Result<MigrationResponse, Problem> {
    // A purged migration has no staging area. A staging area that cannot be opened does not hide the migration, or others in
    // a list.
    let (area, staging_error) = match app.migration_context(migration.clone()) {
        Ok(context) => (Some(context.area), None),
        Err(StartError::Refused(TransitionRefusal::Purged)) => (None, None),
        Err(error) => (None, Some(Problem::from(error).code())),
    };
    let mut total = MigrationFigures {
        staging_status: migration.status.staging,
        import_status: migration.status.import,
        number_of_staged_entities: 0,
        number_of_imported_entities: 0,
    };
    let (mut components, plugins) = (vec![], app.registry.plugins_of(&migration.tenant)?);
    let rows = app.rows_of(&migration.tenant)?;
    for domain in migration.components.iter().filter(|domain| grant.holds(domain)) {
        let mut figures = MigrationFigures { number_of_staged_entities: 0, number_of_imported_entities: 0, ..total };
        let plugin = plugins.domain(domain.component);
        for entity_type in plugin.iter().flat_map(|plugin| &plugin.description.entity_types) {
            if let Some(area) = &area {
                figures.number_of_staged_entities += area.count(StreamName::Records(&entity_type.name))?;
            }
            figures.number_of_imported_entities += rows.added(migration.reference_id, &entity_type.name)?;
        }
        total.number_of_staged_entities += figures.number_of_staged_entities;
        total.number_of_imported_entities += figures.number_of_imported_entities;
        components.push(ComponentResponse { component: domain.component, figures });
    }
    let mapper_version = match &migration.mapper {
        Some(mapper) => app.store.plugin(mapper.digest, Some(&migration.tenant))?.map(|plugin| plugin.version),
        None => None,
    };
    Ok(MigrationResponse {
        reference_id: migration.reference_id,
        tenant: migration.tenant.as_str().into(),
        label: migration.label,
        figures: total,
        components,
        mapper: migration.mapper.as_ref().map(|mapper| mapper.name.clone()),
        mapper_digest: migration.mapper.map(|mapper| mapper.digest),
        mapper_version,
        target: migration.target,
        registered_at: migration.registered_at.to_string(),
        purged_at: migration.purged_at.map(|at| at.to_string()),
        staging_error,
    })
}
