//! A mock platform as a separate program, for a demo on one machine.

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use sluice_config::PlatformConfig;
use sluice_demo::Bank;

use crate::format::grouped;
use crate::progress::ProgressDisplay;

/// Name of the program that mocks Mambu. It is in the same folder as this one.
const PROGRAM: &str = "mock-mambu";

/// User name of the server's calls.
const USER: &str = "migration";

/// Key of the loan product that the mock has.
const PRODUCT_KEY: &str = "8a8e867182b1bd0a0182b1c4c3b90001";

/// Key of the fee that the mock has.
const FEE_KEY: &str = "8a8e867182b1bd0a0182b1c4c3b90003";

/// Agreed rate, in calls a second.
const CALLS_PER_SECOND: u32 = 200;

/// A running mock platform. It ends when this value is dropped.
pub struct MockPlatform {
    /// Name of the platform in the configuration.
    pub name: &'static str,
    url: String,
    password: PathBuf,
    child: Child,
}

impl MockPlatform {
    /// Starts the mock and creates the bank's accounts on it.
    pub async fn start(progress: ProgressDisplay, bank: &Bank) -> Result<Self> {
        let program = std::env::current_exe()?.with_file_name(PROGRAM);
        if !program.exists() {
            bail!("{} does not exist: `make build` builds it", program.display());
        }
        let password = std::env::temp_dir().join(format!("sluice-{}", uuid::Uuid::new_v4()));
        std::fs::write(&password, uuid::Uuid::new_v4().to_string())?;
        let mut child = Command::new(program)
            .args(["--until-stdin-closes", "--user", USER, "--password-file"])
            .arg(&password)
            .args(["--calls-per-second", &CALLS_PER_SECOND.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("the mock platform could not be started")?;
        let out = child.stdout.take().context("the mock platform has a standard output")?;
        let mut ready = String::new();
        BufReader::new(out).read_line(&mut ready)?;
        let url = ready.trim().strip_prefix("ready at ").context("the mock platform did not become ready")?.to_owned();
        progress.line(&format!("Started a mock platform, {PROGRAM}, at {url}: {CALLS_PER_SECOND} calls a second"));
        let platform = Self { name: "mambu", url, password, child };
        platform.create_accounts(bank).await?;
        Ok(platform)
    }

    /// Creates the deposit accounts that loans are settled with. The migration expects them on the platform.
    async fn create_accounts(&self, bank: &Bank) -> Result<()> {
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

    /// Returns the name and the configuration of the platform for a server.
    pub fn configuration(&self) -> (String, PlatformConfig) {
        let config = json!({
            "tenants": ["default"], "base_url": format!("{}/api", self.url), "user": USER, "password_file": self.password,
            "calls_per_second": CALLS_PER_SECOND, "parallel_calls": 8,
            "settings": {"productKey": PRODUCT_KEY, "feeKey": FEE_KEY},
        });
        (self.name.to_owned(), serde_json::from_value(config).expect("a valid configuration"))
    }

    /// Returns a sentence about the calls that the mock received.
    pub async fn call_summary(&self) -> Result<String> {
        let stats: Value = reqwest::get(format!("{}/_mock/stats", self.url)).await?.json().await?;
        let sentence = format!(
            "The platform received {} calls, at most {} in a second.",
            grouped(&stats["calls"]),
            grouped(&stats["peakPerSecond"])
        );
        Ok(sentence)
    }
}

impl Drop for MockPlatform {
    fn drop(&mut self) {
        // The program ends when its standard input is closed.
        drop(self.child.stdin.take());
        let _ = self.child.wait();
        // Only the program accepts this password.
        let _ = std::fs::remove_file(&self.password);
    }
}
