//! Path of a domain's staged records.

use std::sync::Arc;

use utoipa::IntoParams;
use uuid::Uuid;

use crate::app::App;
use crate::http::auth::authz::Caller;
use crate::http::problem::Problem;
use sluice_model::{Domain, Migration, Name, message};
use sluice_plugin_host::DomainPlugin;

/// Domain, migration and entity type in a path.
pub type StagedPath = (String, String, String);

/// Path of staged records.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[allow(dead_code, reason = "describes the path to readers of the API's document; `PathParams` reads it")]
pub struct StagedPathParams {
    /// Path of a domain: `counterparty-management`, `collateral-management`, `financing-solution`, `financing-execution` or `administrate`.
    domain: String,
    /// Reference id of the migration.
    id: Uuid,
    /// Entity type of the domain, such as `counterparties`.
    entity: String,
}

/// Returns the migration, the domain's plugin and the name of the entity type, if the migration covers the domain and the
/// domain has the entity type.
pub fn find_entity_type<N>(
    app: &App,
    caller: &Caller<N>,
    (domain, id, entity): &StagedPath,
) -> Result<(Migration, Arc<DomainPlugin>, Name), Problem> {
    let Some(domain) = Domain::by_path(domain) else {
        return Err(Problem::no_path());
    };
    let migration = caller.domain_migration(app, domain, id)?;
    if !migration.covers(domain.component) {
        let detail = message!("The migration does not cover {}.", domain.component);
        return Err(Problem::not_found("DOMAIN_NOT_COVERED", detail));
    }
    let plugins = app.registry.plugins_of(&migration.tenant)?;
    let plugin = plugins.domain(domain.component).ok_or_else(|| {
        Problem::not_found("NO_SUCH_DOMAIN", message!("The server has no plugin for {}.", domain.component))
    })?;
    let Some(entity_type) = plugin.entity_type(entity) else {
        let names: Vec<&Name> = plugin.description.entity_types.iter().map(|entity_type| &entity_type.name).collect();
        let detail = message!("{} has no such entity type. It has: {}.", domain.component, names);
        return Err(Problem::not_found("NO_SUCH_ENTITY_TYPE", detail));
    };
    Ok((migration, plugin.clone(), entity_type.name.clone()))
}
