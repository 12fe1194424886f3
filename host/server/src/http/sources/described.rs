//! Looks up a source of a migration's mapper.

use std::sync::Arc;

use crate::app::App;
use crate::http::problem::Problem;
use sluice_contract::SourceTable;
use sluice_model::{Migration, Name, message};
use sluice_pipeline::PipelineError;
use sluice_plugin_host::MapperPlugin;

/// Returns the migration's mapper and one of its sources. May compile the mapper.
pub fn described_source(
    app: &App,
    migration: &Migration,
    source: &str,
) -> Result<(Arc<MapperPlugin>, SourceTable), Problem> {
    let chosen = migration.mapper.as_ref();
    let plugins = chosen
        .map(|chosen| Ok::<_, PipelineError>((chosen, app.registry.plugins_of(&migration.tenant)?)))
        .transpose()?;
    let mapper = plugins.map(|(chosen, plugins)| plugins.mapper(chosen.digest)).transpose()?.flatten();
    let Some(mapper) = mapper else {
        let detail = "The migration has no mapper. Set one with PUT …/mapper, or upload to staging.";
        return Err(Problem::conflict("NO_MAPPER", detail));
    };
    let Some(described) = mapper.source(source).cloned() else {
        let names: Vec<&Name> = mapper.description.sources.iter().map(|source| &source.name).collect();
        let detail = message!("{} has no such source. Sources: {}.", mapper.title(), names);
        return Err(Problem::not_found("NO_SUCH_SOURCE", detail));
    };
    Ok((mapper, described))
}
