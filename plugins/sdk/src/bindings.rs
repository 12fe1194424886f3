//! Rust bindings of the contract in `wit/`. Plugins use the traits of this crate instead.

#![allow(missing_docs)]

/// Bindings of world `mapper`.
pub mod mapper {
    wit_bindgen::generate!({
        path: "../../wit",
        world: "mapper",
        pub_export_macro: true,
        export_macro_name: "export_mapper",
        default_bindings_module: "sluice_sdk::bindings::mapper",
    });
}

/// Bindings of world `domain`.
pub mod domain {
    wit_bindgen::generate!({
        path: "../../wit",
        world: "domain",
        pub_export_macro: true,
        export_macro_name: "export_domain",
        default_bindings_module: "sluice_sdk::bindings::domain",
        with: {
            "sluice:plugin/types@0.1.0": crate::bindings::mapper::sluice::plugin::types,
            "sluice:plugin/log@0.1.0": crate::bindings::mapper::sluice::plugin::log,
        },
    });
}

/// Bindings of world `platform`.
pub mod platform {
    wit_bindgen::generate!({
        path: "../../wit",
        world: "platform",
        pub_export_macro: true,
        export_macro_name: "export_platform",
        default_bindings_module: "sluice_sdk::bindings::platform",
        with: {
            "sluice:plugin/types@0.1.0": crate::bindings::mapper::sluice::plugin::types,
            "sluice:plugin/log@0.1.0": crate::bindings::mapper::sluice::plugin::log,
        },
    });
}

pub use mapper::sluice::plugin::types;
