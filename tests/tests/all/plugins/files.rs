//! Files that are no plugin for this host: each is refused in one sentence, before a server starts.

use sluice_config::{Config, PluginLimits};
use sluice_plugin_host::inspect;
use sluice_server::app::{App, Options};

/// An empty core module.
const CORE_MODULE: &[u8] = b"\0asm\x01\0\0\0";

/// Returns names, files, and words of each refusal.
fn files() -> Vec<(&'static str, Vec<u8>, &'static [&'static str])> {
    let panics = sluice_tests::guest("panics");
    vec![
        (
            "unoffered-import",
            sluice_tests::guest("unoffered-import").into(),
            &["it imports sluice:elsewhere/secrets, which this host does not offer", "build it without"],
        ),
        ("core-module", CORE_MODULE.into(), &["a core module, not a component", "wasm-tools component new"]),
        ("text", b"fn main() {}\n".into(), &["it is not WebAssembly"]),
        ("empty", vec![], &["it is not WebAssembly"]),
        ("cut-header", b"\0asm".into(), &["not a component that can be compiled"]),
        ("cut-in-half", panics[..panics.len() / 2].into(), &["not a component that can be compiled"]),
        ("cut-at-the-end", panics[..panics.len() - 1].into(), &["not a component that can be compiled"]),
    ]
}

fn check(name: &str, message: &str, expected: &[&str]) {
    for part in expected.iter().chain(&[name]) {
        assert!(message.contains(part), "{name}: {part:?} is not in {message:?}");
    }
    assert!(!message.contains('\n') && message.len() < 300, "{name}: not a sentence: {message}");
}

#[test]
fn inspection_refuses_files_that_are_no_plugin() {
    let engine = crate::harness::engine(PluginLimits::default());
    for (name, bytes, expected) in files() {
        let error = inspect(&engine, name, None, &bytes).map(|_| ()).unwrap_err();
        check(name, &error.to_string(), expected);
    }
}

#[test]
fn server_refuses_files_that_are_no_plugin_before_it_starts() {
    let dir = tempfile::tempdir().unwrap();
    for (name, bytes, expected) in files() {
        let file = dir.path().join(format!("{name}.wasm"));
        std::fs::write(&file, bytes).unwrap();
        let options = Options {
            data_dir: dir.path().join("data"),
            config: Config::default(),
            mappers: vec![file.clone()],
            worker: crate::harness::worker(),
        };
        let error = App::open(&options).map(|_| ()).unwrap_err();
        check(name, &format!("{error:#}"), expected);
    }
}
