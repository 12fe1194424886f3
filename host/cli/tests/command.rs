//! The `sluice` command as it is installed: that this test is here makes every test run build it.

use std::process::Command;

#[test]
fn says_what_it_is() {
    let said = Command::new(env!("CARGO_BIN_EXE_sluice")).arg("--version").output().unwrap();
    assert!(said.status.success());
    assert_eq!(String::from_utf8(said.stdout).unwrap().trim(), format!("sluice {}", env!("CARGO_PKG_VERSION")));
}
