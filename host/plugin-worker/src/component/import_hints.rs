//! Hints for imports that this host does not offer. The hint depends on the toolchain that produces the import.

/// Returns a clause that says how to build a plugin without this import.
pub(crate) fn import_hint(import: &str) -> String {
    let of = |prefix: &str| import.starts_with(prefix);
    if of("wasi:http") {
        return "a plugin has no network. With componentize-js build with disableFeatures: ['random', 'stdio', 'clocks', \
                'http', 'fetch-event']; otherwise leave out what makes HTTP requests"
            .into();
    }
    if of("wasi:sockets") {
        return "a plugin has no network. With componentize-py build with --stub-wasi; otherwise leave out what opens \
                connections"
            .into();
    }
    if of("wasi:filesystem") {
        return "a plugin has no files: read what you need with source-lookup. With componentize-py build with --stub-wasi"
            .into();
    }
    if of("wasi_snapshot_preview1") || of("wasi_unstable") {
        return "it is made for preview 1 of WASI: make the component with an adapter, `wasm-tools component new --adapt`, \
                or build for wasm32-wasip2 or wasm32-unknown-unknown"
            .into();
    }
    if of("wasi:") {
        return "build it for this host's WASI 0.2 without it: with componentize-py by --stub-wasi, with componentize-js by \
                disableFeatures, with Rust for wasm32-unknown-unknown"
            .into();
    }
    if of("sluice:plugin/") {
        return "it is of another version of the contract: build against wit/ as `sluice plugin new` makes it".into();
    }
    "build it without, or against the contract in wit/".into()
}
