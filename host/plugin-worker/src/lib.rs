//! Process that compiles and runs plugins in wasmtime. Only this crate depends on wasmtime.
//!
//! The server starts the process as `sluice plugin-worker` with a socket as its standard input, and kills it when a call
//! exceeds its time limit. The process has no file, no network and no environment, and a hostile plugin that takes it over
//! gains none of them.
//!
//! | module | content |
//! |---|---|
//! | `bindings` | bindings to the contract in `wit/`, and conversions to plain types |
//! | `walls` | limits of the process: Landlock, seccomp, namespaces, capabilities, resources |
//! | `engine` | wasmtime's engines and linkers |
//! | `component` | bounds, compilation and inspection of a component's file |
//! | `plugin` | a loaded plugin: stores, calls, failures |
//! | `serve` | the loop that handles the server's requests |

mod bindings;
mod component;
mod engine;
mod plugin;
mod serve;
mod walls;

pub use serve::run;
