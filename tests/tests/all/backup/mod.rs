//! Backups beside a running server, and what is restored of them: whole, or refused with a sentence.

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
use crate::server::restart::{Life, begin_with, copy_all};
use crate::uploads::tus_requests::clients;

const PATH: &str = "counterparty-management";
const TYPE: &str = "counterparties";

/// A server's directory, and the backups that are made of it.
pub struct Place {
    held: tempfile::TempDir,
}

impl Place {
    pub fn new() -> Self {
        Self { held: tempfile::tempdir().unwrap() }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.held.path().join(name)
    }

    pub fn begin(&self, name: &str) -> Life {
        self.begin_with(name, Config::default())
    }

    pub fn begin_with(&self, name: &str, mut config: Config) -> Life {
        config.http.requests_per_second = 1_000_000;
        config.http.request_burst = 1_000_000;
        begin_with(Options { data_dir: self.path(name), config, mappers: vec![] })
    }

    fn run(&self, arguments: &[&str]) -> Output {
        Command::new(command()).current_dir(self.held.path()).args(arguments).output().unwrap()
    }

    /// Runs the command, which has to succeed; what it says as JSON.
    fn said(&self, arguments: &[&str]) -> Value {
        let output = self.run(&[arguments, &["--json"]].concat());
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Runs the command, which has to fail; what it says, on standard error.
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

    /// Puts the keys of `data` into another data directory, as they are now, and what the tests' client gets in with.
    pub fn bring_keys(&self, to: &str) {
        std::fs::create_dir_all(self.path(to)).unwrap();
        copy_all(&self.path("data/keys"), &self.path(to).join("keys"));
        std::fs::copy(self.path("data/master.key"), self.path(to).join("master.key")).unwrap();
    }

    /// Restores a backup with the keys of `data` as they are now; what is said of it.
    pub fn restore(&self, name: &str, to: &str) -> Value {
        self.bring_keys(to);
        let said = self.said(&["restore", name, "--data-dir", to]);
        self.let_in(to);
        said
    }

    /// Gives the tests' client what it gets in with: it is in no backup.
    pub fn let_in(&self, to: &str) {
        assert!(!self.path(to).join(ADMIN_FILE).exists());
        std::fs::copy(self.path("data").join(ADMIN_FILE), self.path(to).join(ADMIN_FILE)).unwrap();
    }
}

/// Goes the rest of the way, all of which has to succeed.
async fn to_the_end(migration: &Migration) -> Value {
    let mut last = Value::Null;
    for kind in ["validate", "import", "counts"] {
        last = migration.job(kind).await;
        assert_eq!(last["state"], "succeeded", "{kind}: {last}");
    }
    last
}

/// A small server's directory with something of everything, and a backup of it.
async fn small(place: &Place) -> (Life, Migration) {
    let life = place.begin("data");
    let migration = life.server.register(Some("berka"), &["Counterparties"]).await;
    migration.source("client", clients(1..=20)).await;
    to_the_end(&migration).await;
    place.backup("backup");
    (life, migration)
}
