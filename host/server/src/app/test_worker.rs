//! Plugin workers of unit tests: this test program, started again with one test that never returns before the server does.

use sluice_plugin_host::WorkerCommand;

/// Returns the command that starts a worker.
pub(crate) fn command() -> WorkerCommand {
    let test = "app::test_worker::is_a_worker";
    WorkerCommand::this_program_with(&[test, "--exact", "--ignored", "--nocapture", "--test-threads=1"])
}

#[test]
#[ignore = "a plugin worker, which other tests start"]
fn is_a_worker() {
    sluice_plugin_worker::run();
}
