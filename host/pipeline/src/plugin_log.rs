//! The plugin log: log entries of plugins in the migration's log.

use crate::MigrationContext;
use sluice_catalog::{CatalogError, LogEntry};
use sluice_model::{Domain, Level, SafeValue};
use sluice_plugin_host::BatchLog;

/// The plugin that logged, and the records that it logged about.
pub struct PluginLogOrigin<'a, P> {
    /// Domain of the plugin, if it is a domain plugin.
    pub domain: Option<&'a str>,
    /// Number of the upload; 0 outside one.
    pub upload: u32,
    /// Function from a position in the batch to the name and the value that identify the record, such as `("line", 7)`.
    pub place: P,
}

/// Writes the log entries of a plugin for one batch, and the number of entries that were dropped.
pub fn write_plugin_log<'a, P: Fn(u32) -> (&'static str, SafeValue)>(
    context: &MigrationContext,
    logged: &BatchLog,
    speaker: &PluginLogOrigin<'a, P>,
) -> Result<(), CatalogError> {
    let PluginLogOrigin { domain, upload, place } = speaker;
    let about = |entry: LogEntry| {
        let entry = domain.and_then(Domain::by_component).map_or(entry.clone(), |domain| entry.of(domain));
        if *upload > 0 { entry.with("upload", *upload) } else { entry }
    };
    let id = context.migration.reference_id;
    for (level, code, position) in &logged.entries {
        let entry = about(LogEntry::new(*level, code.clone()));
        let placed = position.map(place);
        context.store.log(id, &placed.map_or(entry.clone(), |(name, figure)| entry.with(name, figure)))?;
    }
    if logged.dropped > 0 {
        let entry = LogEntry::new(Level::Warning, "PLUGIN_LOG_CUT").with("dropped", logged.dropped);
        context.store.log(id, &about(entry))?;
    }
    Ok(())
}
