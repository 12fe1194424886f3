//! A server stops in time, whatever plugins do.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::killable_server::KillableServer;

/// Configuration in which a plugin may compute for far longer than the test waits.
const CONFIG: &str = "[plugin]\nbatch_millis = 600000\n[http]\nshutdown_seconds = 1\n";

/// Maximum time from the signal to the end: the second of the configuration, and that of a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_that_computes_does_not_hold_up_the_end() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("config.toml"), CONFIG).unwrap();
    let server = KillableServer::begin(dir.path()).await;
    let push = server.request(Method::POST, "/plugins").header("content-type", "application/wasm");
    let pushed: Value =
        push.body(sluice_tests::guest("endless-loop").to_vec()).send().await.unwrap().json().await.unwrap();
    let body = json!({"components": ["Counterparties"], "mapper": pushed["digest"]});
    let migrations = "/migration-assistance/migrations";
    let registered: Value =
        server.request(Method::POST, migrations).json(&body).send().await.unwrap().json().await.unwrap();
    let path = format!("{migrations}/{}", registered["referenceId"].as_str().unwrap());
    let upload = server.request(Method::PUT, &format!("{path}/sources/client"));
    let upload = upload.header("content-type", "application/jsonl").body("{\"client_id\":1,\"poison\":true}\n");
    let uploading = tokio::spawn(upload.send());
    loop {
        let uploads: Value =
            server.request(Method::GET, &format!("{path}/uploads")).send().await.unwrap().json().await.unwrap();
        if uploads["total"] == 1 {
            break;
        }
    }
    assert!(tokio::task::spawn_blocking(move || server.stop(PATIENCE)).await.unwrap(), "the server did not stop");
    uploading.abort();
}
