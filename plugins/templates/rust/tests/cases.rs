//! Runs the cases in cases/: `cargo test`.

use sluice_sdk::harness::check_folders;

#[test]
fn maps_each_case_as_expected() {
    check_folders::<{{crate}}::ClientMapper>("cases");
}
