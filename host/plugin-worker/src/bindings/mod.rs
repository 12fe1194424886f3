//! Bindings of wasmtime to the contract in `wit/`.

mod conversions;

/// Bindings of world `mapper`.
pub mod mapper {
    wasmtime::component::bindgen!({
        path: "../../wit",
        world: "mapper",
        imports: { default: trappable },
    });
}

/// Bindings of world `domain`.
pub mod domain {
    wasmtime::component::bindgen!({
        path: "../../wit",
        world: "domain",
        imports: { default: trappable },
        with: {
            "sluice:plugin/types": super::mapper::sluice::plugin::types,
            "sluice:plugin/log": super::mapper::sluice::plugin::log,
        },
    });
}

/// Bindings of world `platform`.
pub mod platform {
    wasmtime::component::bindgen!({
        path: "../../wit",
        world: "platform",
        imports: { default: trappable },
        with: {
            "sluice:plugin/types": super::mapper::sluice::plugin::types,
            "sluice:plugin/log": super::mapper::sluice::plugin::log,
        },
    });
}

pub use domain::sluice::plugin::record_lookup;
pub use mapper::sluice::plugin::{log, source_lookup, types};
