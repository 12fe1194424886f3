//! The host's parts that bytes from outside reach, without its engine and its server: compiled from the same files, so
//! that they are built with a fuzzer's instrumentation in two minutes and not in twenty.

#![allow(dead_code, unused_imports, unused_macros, reason = "a part is included as a whole")]

// Who includes a test of the host's knows it by the host's name.
extern crate self as sluice;

#[path = "../../host/src/defects.rs"]
mod defects;
#[path = "../../host/src/framing/mod.rs"]
pub mod framing;
pub mod http;
#[path = "../../host/src/keys/mod.rs"]
mod keys;
#[path = "../../host/src/model/mod.rs"]
mod model;
pub mod plugin;
#[path = "../../tests/tests/all/through_plugins.rs"]
pub mod records;
#[path = "../../host/src/staging/mod.rs"]
pub mod staging;

/// What is asked of the configuration here.
mod config {
    /// What a plugin may return for a batch.
    #[derive(Clone, Default)]
    pub struct PluginLimits {
        pub output_bytes: usize,
        pub output_items: usize,
    }
}
