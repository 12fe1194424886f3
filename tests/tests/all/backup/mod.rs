//! Backups of a running server, and their restoration or refusal.

mod keys;
mod refusals;
mod running;
mod versions;

use std::path::PathBuf;
use std::process::{Command, Output};

use serde_json::Value;
use sluice_config::Config;
use sluice_data_dir::ADMIN_FILE;
use sluice_server::app::Options;

use crate::harness::recorded_server::command;
use crate::harness::server::Migration;
use crate::server::restart::{ServerRun, begin_with, copy_all};
use crate::uploads::tus_requests::clients;

const PATH: &str = "counterparty-management";
const TYPE: &str = "counterparties";

/// A directory with a server's data and its backups.
pub struct BackupFolder {
    held: tempfile::TempDir,
}

impl BackupFolder {
    pub fn new() -> Self {
        Self { held: tempfile::tempdir().unwrap() }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.held.path().join(name)
    }

    pub fn begin(&self, name: &str) -> ServerRun {
        self.begin_with(name, Config::default())
    }

    pub fn begin_with(&self, name: &str, mut config: Config) -> ServerRun {
        config.http.requests_per_second = 1_000_000;
        config.http.request_burst = 1_000_000;
        begin_with(Options { data_dir: self.path(name), config, mappers: vec![], worker: crate::harness::worker() })
    }

    fn run(&self, arguments: &[&str]) -> Output {
        Command::new(command()).current_dir(self.held.path()).args(arguments).output().unwrap()
    }

    /// Runs the command, which must succeed, and returns its JSON output.
    fn said(&self, arguments: &[&str]) -> Value {
        let output = self.run(&[arguments, &["--json"]].concat());
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Runs the command, which must fail, and returns its standard error.
    fn refused(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {said}");
        assert!(output.stdout.is_empty(), "{arguments:?}");
        said
    }

    pub fn backup(&self, name: &str) -> Value {
        self.said(&["backup", name, "--data-dir", "data"])
    }

    /// Copies the current keys of `data` into another data directory, with the credentials of the tests' client.
    pub fn copy_keys(&self, to: &str) {
        std::fs::create_dir_all(self.path(to)).unwrap();
        copy_all(&self.path("data/keys"), &self.path(to).join("keys"));
        std::fs::copy(self.path("data/master.key"), self.path(to).join("master.key")).unwrap();
    }

    /// Restores a backup with the current keys of `data`, and returns the command's output.
    pub fn restore(&self, name: &str, to: &str) -> Value {
        self.copy_keys(to);
        let said = self.said(&["restore", name, "--data-dir", to]);
        self.copy_credentials(to);
        said
    }

    /// Copies the credentials of the tests' client, which no backup contains.
    pub fn copy_credentials(&self, to: &str) {
        assert!(!self.path(to).join(ADMIN_FILE).exists());
        std::fs::copy(self.path("data").join(ADMIN_FILE), self.path(to).join(ADMIN_FILE)).unwrap();
    }
}

/// Runs the remaining steps, which must all succeed, and returns the counts.
async fn run_remaining_steps(migration: &Migration) -> Value {
    let mut last = Value::Null;
    for kind in ["validate", "import", "counts"] {
        last = migration.job(kind).await;
        assert_eq!(last["state"], "succeeded", "{kind}: {last}");
    }
    last
}

/// Starts a small server with at least one record of each kind, and makes a backup of it.
async fn small(place: &BackupFolder) -> (ServerRun, Migration) {
    let life = place.begin("data");
    let migration = life.server.register(Some("berka"), &["Counterparties"]).await;
    migration.source("client", clients(1..=20)).await;
    run_remaining_steps(&migration).await;
    place.backup("backup");
    (life, migration)
}
