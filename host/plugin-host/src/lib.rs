//! The plugin boundary. This is the only crate that uses wasmtime.
//!
//! The crate handles records as bytes. It does not depend on staging, targets or HTTP. The caller passes each lookup as
//! a trait object.

mod bindings;
mod bounds;
mod classify;
mod dev_runner;
mod domain;
mod engine;
mod import_hints;
mod inspect;
mod instance;
mod isolate;
mod library;
mod mapper;
mod platform;
mod pool;
mod set;
mod state;
mod toolchain;
mod trial_run;
mod usage;
mod wire_from;

pub use dev_runner::{AuthorRun, run_for_author};
pub use domain::{DomainInstance, DomainPlugin, GeneratedRecord, Made, Step, Validated};
pub use engine::Engine;
pub use inspect::{Inspection, inspect};
pub use isolate::FailedRecord;
pub use library::Library;
pub use mapper::{Logged, MapperInstance, MapperPlugin, ProducedBatch, Transformed};
pub use platform::{PlatformInstance, PlatformPlugin};
pub use set::Plugins;
pub use usage::{Taken, Usage};
