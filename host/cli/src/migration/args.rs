//! Arguments that several verbs about a migration share.

use anyhow::Result;
use clap::{Args, ValueEnum};
use serde_json::{Value, json};
use sluice_client::SluiceClient;
use uuid::Uuid;

use crate::server::login::LoginArgs;

/// A migration on a server.
#[derive(Args)]
pub struct MigrationArgs {
    /// Reference id of the migration
    pub migration: Uuid,
    /// Address of the server
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080", env = "SLUICE_SERVER")]
    server: String,
    #[command(flatten)]
    login: LoginArgs,
}

impl MigrationArgs {
    /// Returns a client of the migration's server.
    pub fn client(&self) -> Result<SluiceClient> {
        self.login.client(&self.server)
    }
}

/// A sample of the records.
#[derive(Args)]
pub struct SampleArgs {
    /// Approximate number of records, chosen by their keys and the seed [default: all records]
    #[arg(long, value_name = "RECORDS", value_parser = clap::value_parser!(u64).range(1..))]
    sample: Option<u64>,
    /// Seed of the sample; another seed chooses other records
    #[arg(long, default_value_t = 0, requires = "sample")]
    seed: u64,
}

impl SampleArgs {
    /// Returns the sample as a parameter of a job, or null for all records.
    pub fn parameter(&self) -> Value {
        self.sample.map_or(Value::Null, |records| json!({"records": records, "seed": self.seed}))
    }
}

/// Outcome of a source record.
#[derive(Clone, Copy, ValueEnum)]
pub enum OutcomeArg {
    /// Mapped to records.
    Mapped,
    /// Left out by the mapper, with a code.
    Skipped,
    /// Refused because of an error.
    Rejected,
    /// Refused because a plugin failed on it.
    Quarantined,
}

impl OutcomeArg {
    /// Returns the outcome's name in the API.
    pub fn name(self) -> &'static str {
        match self {
            OutcomeArg::Mapped => "mapped",
            OutcomeArg::Skipped => "skipped",
            OutcomeArg::Rejected => "rejected",
            OutcomeArg::Quarantined => "quarantined",
        }
    }
}
