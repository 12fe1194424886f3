//! A platform that is played by a program beside this one, for a demonstration on one machine.

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use sluice_config::PlatformConfig;
use sluice_demo::Bank;

use crate::view::{View, grouped};

/// The program that plays Mambu, and the keys that it knows.
const PROGRAM: &str = "mock-mambu";
const USER: &str = "migration";
const PRODUCT_KEY: &str = "8a8e867182b1bd0a0182b1c4c3b90001";
const FEE_KEY: &str = "8a8e867182b1bd0a0182b1c4c3b90003";

/// Calls a second that are agreed with it.
const CALLS_PER_SECOND: u32 = 200;

/// A platform that runs as long as this is held.
pub struct Played {
    /// Its name in the configuration.
    pub name: &'static str,
    url: String,
    password: PathBuf,
    child: Child,
}

impl Played {
    /// Starts it, with the accounts of the bank.
    pub async fn start(view: View, bank: &Bank) -> Result<Self> {
        let beside = std::env::current_exe()?.with_file_name(PROGRAM);
        if !beside.exists() {
            bail!("{} is not there: `make build` builds it", beside.display());
        }
        let password = std::env::temp_dir().join(format!("sluice-{}", uuid::Uuid::new_v4()));
        std::fs::write(&password, uuid::Uuid::new_v4().to_string())?;
        let mut child = Command::new(beside)
            .args(["--until-stdin-closes", "--user", USER, "--password-file"])
            .arg(&password)
            .args(["--calls-per-second", &CALLS_PER_SECOND.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("a platform to play with could not be started")?;
        let out = child.stdout.take().context("it has a standard output")?;
        let mut ready = String::new();
        BufReader::new(out).read_line(&mut ready)?;
        let url =
            ready.trim().strip_prefix("ready at ").context("a platform to play with did not become ready")?.to_owned();
        view.line(&format!("Started a platform to play with, {PROGRAM}, at {url}: {CALLS_PER_SECOND} calls a second"));
        let played = Self { name: "mambu", url, password, child };
        played.make_accounts(bank).await?;
        Ok(played)
    }

    /// Loans are settled with accounts that are there already.
    async fn make_accounts(&self, bank: &Bank) -> Result<()> {
        let mut ids: Vec<String> = vec![];
        for piece in bank.records("account").into_iter().flatten() {
            for line in piece.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
                if let Ok(account) = serde_json::from_slice::<Value>(line) {
                    ids.push(account["account_id"].to_string());
                }
            }
        }
        let http = reqwest::Client::new();
        for ids in ids.chunks(10_000) {
            http.post(format!("{}/_mock/deposits", self.url)).json(&ids).send().await?.error_for_status()?;
        }
        Ok(())
    }

    /// How a server is configured for it.
    pub fn configuration(&self) -> (String, PlatformConfig) {
        let config = json!({
            "base_url": format!("{}/api", self.url), "user": USER, "password_file": self.password,
            "calls_per_second": CALLS_PER_SECOND, "parallel_calls": 8,
            "settings": {"productKey": PRODUCT_KEY, "feeKey": FEE_KEY},
        });
        (self.name.to_owned(), serde_json::from_value(config).expect("a configuration that is written here"))
    }

    /// What it has seen, in a sentence.
    pub async fn told(&self) -> Result<String> {
        let stats: Value = reqwest::get(format!("{}/_mock/stats", self.url)).await?.json().await?;
        let sentence = format!(
            "The platform was called {} times, at most {} times in a second.",
            grouped(&stats["calls"]),
            grouped(&stats["peakPerSecond"])
        );
        Ok(sentence)
    }
}

impl Drop for Played {
    fn drop(&mut self) {
        // It ends when nobody holds its standard input any more.
        drop(self.child.stdin.take());
        let _ = self.child.wait();
        // It is of no use to anybody once the platform is gone.
        let _ = std::fs::remove_file(&self.password);
    }
}
