//! Every folder of cases/ is a test: `cargo test`.

use sluice_sdk::harness::check_folders;

#[test]
fn cases() {
    check_folders::<{{crate}}::ClientMapper>("cases");
}
