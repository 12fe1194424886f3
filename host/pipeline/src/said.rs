//! What plugins logged, taken over into the migration's log.

use super::Desk;
use sluice_catalog::{LogEntry, StoreError};
use sluice_model::{Domain, Figure, Level};
use sluice_plugin_host::Logged;

/// Which plugin logged, and about what.
pub struct Speaker<'a, P> {
    /// The domain, if it is a domain plugin.
    pub domain: Option<&'a str>,
    /// Number of the upload; 0 outside one.
    pub upload: u32,
    /// What the record at a position is called, and that: `("line", 7)`, `("referenceId", …)`.
    pub place: P,
}

/// Keeps what a plugin logged for a batch, and how much more it had to say.
pub fn keep_logged<'a, P: Fn(u32) -> (&'static str, Figure)>(
    desk: &Desk,
    logged: &Logged,
    speaker: &Speaker<'a, P>,
) -> Result<(), StoreError> {
    let Speaker { domain, upload, place } = speaker;
    let about = |entry: LogEntry| {
        let entry = domain.and_then(Domain::by_component).map_or(entry.clone(), |domain| entry.of(domain));
        if *upload > 0 { entry.with("upload", *upload) } else { entry }
    };
    let id = desk.migration.reference_id;
    for (level, code, position) in &logged.entries {
        let entry = about(LogEntry::new(*level, code.clone()));
        let placed = position.map(place);
        desk.store.log(id, &placed.map_or(entry.clone(), |(name, figure)| entry.with(name, figure)))?;
    }
    if logged.dropped > 0 {
        let entry = LogEntry::new(Level::Warning, "PLUGIN_LOG_CUT").with("dropped", logged.dropped);
        desk.store.log(id, &about(entry))?;
    }
    Ok(())
}
