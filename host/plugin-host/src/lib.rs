//! The plugin boundary: the only place that knows wasmtime.
//!
//! It knows records as bytes, and nothing of staging, targets or HTTP: what a plugin may look up is
//! handed in as a trait.

mod bindings;
mod bounds;
mod classify;
mod domain;
mod engine;
mod inspect;
mod instance;
mod isolate;
mod library;
mod mapper;
mod platform;
mod pool;
mod rehearse;
mod remedy;
mod set;
mod smoke;
mod state;
mod toolchain;
mod usage;
mod wire_from;

pub use domain::{DomainInstance, DomainPlugin, GeneratedRecord, Made, Step, Validated};
pub use engine::Engine;
pub use inspect::{Inspection, inspect};
pub use isolate::Poisoned;
pub use library::Library;
pub use mapper::{Logged, MapperInstance, MapperPlugin, ProducedBatch, Transformed};
pub use platform::{PlatformInstance, PlatformPlugin};
pub use rehearse::{Rehearsed, rehearse};
pub use set::Plugins;
pub use usage::{Taken, Usage};
