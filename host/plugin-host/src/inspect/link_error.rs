//! Errors of linking a component.

use wasmtime::component::Component;

use crate::engine::wasmtime_errors::missing_import;
use crate::inspect::import_hints::import_hint;
use sluice_contract::PluginError;

/// Returns the error of a component that cannot be linked: it imports something that the host does not offer, or its
/// exports do not fit the contract.
pub(crate) fn link_error(name: &str, component: &Component, error: &wasmtime::Error) -> PluginError {
    let reason = match missing_import(error, component) {
        Some(import) => format!("it imports {import}, which this host does not offer: {}", import_hint(import)),
        None => format!("it does not fit the contract sluice:plugin@0.1.0: {error:#}"),
    };
    PluginError::Refused { name: name.into(), reason }
}
