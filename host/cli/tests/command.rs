//! The installed `sluice` command. This test makes every test run build it.

use std::process::Command;

#[test]
fn prints_its_version() {
    let output = Command::new(env!("CARGO_BIN_EXE_sluice")).arg("--version").output().unwrap();
    assert!(output.status.success());
    assert_eq!(String::from_utf8(output.stdout).unwrap().trim(), format!("sluice {}", env!("CARGO_PKG_VERSION")));
}
