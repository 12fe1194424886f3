//! Platforms with an HTTP API of their own: calls at the agreed pace, each call exactly once.
//!
//! This crate knows plans and responses, and nothing of staging. Callers pass it the calls that are to be sent.

mod bulk_decision;
mod call_hours;
mod decision;
mod error;
mod http_client;
mod ledger;
mod pacer;
mod response;
mod rollback;
mod session;
mod state;

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use tokio::runtime::Handle;

pub use bulk_decision::FailedFilter;
use call_hours::CallHours;
pub use error::PlatformError;
use http_client::PlatformClient;
pub use ledger::{Ledger, LedgerKey};
use pacer::Pacer;
pub use response::text_at;
pub use session::{Session, SessionCounters};
pub use state::{CallState, EntityState, LedgerDecision, LedgerLine};

use sluice_config::PlatformConfig;
use sluice_contract::PlatformDescription;
use sluice_model::Name;

/// A configured platform.
pub struct Platform {
    /// Name of the platform in the configuration.
    pub name: Name,
    /// Configuration of the platform.
    pub config: PlatformConfig,
    /// Description of the plugin that plans its calls.
    pub description: PlatformDescription,
    client: PlatformClient,
    pacer: Pacer,
    hours: Option<CallHours>,
    settings: Vec<(String, String)>,
}

impl Platform {
    /// Creates a platform, and checks its settings against the description. Makes no call.
    pub fn new(name: Name, config: &PlatformConfig, description: PlatformDescription, runtime: Handle) -> Result<Self> {
        let client = PlatformClient::new(&name, config, &description, runtime)?;
        let known = |setting: &&String| description.settings.iter().any(|(name, _)| **name == ***setting);
        if let Some(unknown) = config.settings.keys().find(|setting| !known(setting)) {
            let names: Vec<&str> = description.settings.iter().map(|(name, _)| &**name).collect();
            bail!("settings.{unknown} is not known to the plugin. It has: {}", names.join(", "));
        }
        let missing =
            description.settings.iter().find(|(name, required)| *required && !config.settings.contains_key(&**name));
        if let Some((missing, _)) = missing {
            bail!("settings.{missing} has to be set");
        }
        let hours = config.hours.as_deref().map(|hours| {
            CallHours::parse(hours, &config.time_zone).with_context(|| {
                format!("hours is {hours} in {}: it has to be like 22:00-06:00 in UTC", config.time_zone)
            })
        });
        let pacer = Pacer::new(config.calls_per_second, Duration::from_millis(config.slack_millis));
        let settings = config.settings.clone().into_iter().collect();
        Ok(Self { name, config: config.clone(), description, client, pacer, hours: hours.transpose()?, settings })
    }

    /// Returns the settings for the platform's plugin.
    pub fn settings(&self) -> &[(String, String)] {
        &self.settings
    }

    /// Returns the host that is called.
    pub fn host(&self) -> String {
        self.client.host()
    }

    /// Returns the number of hours of a day in which calls may be made.
    pub fn hours_a_day(&self) -> f64 {
        self.hours.as_ref().map_or(24.0, CallHours::length)
    }
}
