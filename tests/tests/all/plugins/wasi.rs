//! A component for a std target, which imports WASI: it runs without any access.

use std::path::Path;
use std::process::Command;

use serde_json::Value;
use wasi_preview1_component_adapter_provider::{
    WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER,
};
use wit_component::ComponentEncoder;

use crate::harness::recorded_server::command;
use crate::harness::tools;

/// Builds the guest as a component. Without a toolchain for it, skips the test.
fn component(test: &str) -> Option<Vec<u8>> {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    let target = command().parent().unwrap().join("wasi-guest");
    let mut build = Command::new(tests.join("wasi-guest/build.sh"));
    // A test that cargo runs has cargo's settings in its environment.
    for name in ["CARGO", "RUSTC", "RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_TARGET_DIR", "CARGO_BUILD_TARGET_DIR"]
    {
        build.env_remove(name);
    }
    let built = build.arg(target).output().unwrap();
    let said = String::from_utf8_lossy(&built.stderr);
    if built.status.code() == Some(77) {
        tools::skip(&tools::WASI, test, &said);
        return None;
    }
    assert!(built.status.success(), "{said}");
    let module = std::fs::read(String::from_utf8(built.stdout).unwrap().trim()).unwrap();
    let encoder = ComponentEncoder::default().validate(true).module(&module).unwrap();
    let adapted = encoder.adapter(WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER);
    Some(adapted.unwrap().encode().unwrap())
}

/// Runs the command, which must succeed, and returns standard output and standard error.
fn sluice(dir: &Path, arguments: &[&str]) -> (String, String) {
    let done = Command::new(command()).current_dir(dir).args(arguments).output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success(), "{out}\n{err}");
    (out.into_owned(), err.into_owned())
}

#[test]
fn runs_a_std_component_without_access() {
    let Some(component) = component("plugins::wasi::runs_a_std_component_without_access") else { return };
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("curious.wasm"), component).unwrap();
    std::fs::write(dir.path().join("client.jsonl"), "{\"client_id\":1}\n{\"client_id\":2}\n").unwrap();
    let (facts, _) = sluice(dir.path(), &["plugin", "inspect", "curious.wasm"]);
    for said in ["wasi:clocks/wall-clock", "read a clock that stands still", "nothing: there is no file"] {
        assert!(facts.contains(said), "{said} is not in:\n{facts}");
    }
    let (out, err) = sluice(dir.path(), &["plugin", "run", "curious.wasm", "--source", "client=client.jsonl"]);
    let made: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(made.len(), 2, "{out}{err}");
    let midnights = made.iter().map(|made| {
        let denied = "file false, folder false, arguments 0, variables 0, connection false";
        assert_eq!(made["record"]["initials"], denied);
        let got = made["record"]["surname"].as_str().unwrap();
        let (now, rest) = got.strip_prefix("now ").unwrap().split_once(", passed ").unwrap();
        assert!(rest.starts_with("0, random "), "{got}");
        now.parse::<u64>().unwrap()
    });
    let midnights: Vec<u64> = midnights.collect();
    // The clock shows the day of registration.
    assert!(midnights.iter().all(|now| now % 86_400 == 0 && *now > 1_700_000_000 && *now == midnights[0]), "{out}");
}
