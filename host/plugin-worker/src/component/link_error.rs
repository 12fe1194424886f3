//! Errors of linking a component.

use wasmtime::component::Component;

use crate::component::import_hints::import_hint;
use crate::engine::wasmtime_errors::missing_import;

/// Returns the reason why a component cannot be linked: it imports something that the host does not offer, or its exports
/// do not fit the contract.
pub(crate) fn link_error(component: &Component, error: &wasmtime::Error) -> String {
    match missing_import(error, component) {
        Some(import) => format!("it imports {import}, which this host does not offer: {}", import_hint(import)),
        None => format!("it does not fit the contract sluice:plugin@0.1.0: {error:#}"),
    }
}
