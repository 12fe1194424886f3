//! A platform that is entered through its own API, call by call: at the agreed pace, each call exactly once.
//!
//! It knows plans and answers, and nothing of staging: what is to be sent is handed in.

mod answer;
mod caller;
mod error;
mod hours;
mod ledger;
mod pacer;
mod session;
mod state;
mod take_back;

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use tokio::runtime::Handle;

pub use answer::text_at;
pub use caller::Caller;
pub use error::PlatformError;
pub use hours::Hours;
pub use ledger::{Key, Ledger};
pub use pacer::Pacer;
pub use session::{Session, Tally};
pub use state::{CallState, Decision, EntityState, Line};

use sluice_config::PlatformConfig;
use sluice_contract::PlatformDescription;
use sluice_model::Name;

/// A configured platform.
pub struct Platform {
    /// Its name in the configuration.
    pub name: Name,
    /// What was agreed with it.
    pub config: PlatformConfig,
    /// Description of the plugin that plans its calls.
    pub description: PlatformDescription,
    caller: Caller,
    pacer: Pacer,
    hours: Option<Hours>,
    settings: Vec<(String, String)>,
}

impl Platform {
    /// Makes ready to call it, if all is set that has to be.
    pub fn new(name: Name, config: &PlatformConfig, description: PlatformDescription, runtime: Handle) -> Result<Self> {
        let described = &description;
        let caller = Caller::new(&name, config, described, runtime)?;
        let known = |setting: &&String| described.settings.iter().any(|(name, _)| **name == ***setting);
        if let Some(unknown) = config.settings.keys().find(|setting| !known(setting)) {
            let names: Vec<&str> = described.settings.iter().map(|(name, _)| &**name).collect();
            bail!("settings.{unknown} is not known to the plugin. It has: {}", names.join(", "));
        }
        let missing =
            described.settings.iter().find(|(name, required)| *required && !config.settings.contains_key(&**name));
        if let Some((missing, _)) = missing {
            bail!("settings.{missing} has to be set");
        }
        let hours = config.hours.as_deref().map(|hours| {
            Hours::parse(hours, &config.time_zone).with_context(|| {
                format!("hours is {hours} in {}: it has to be like 22:00-06:00 in UTC", config.time_zone)
            })
        });
        let pacer = Pacer::new(config.calls_per_second, Duration::from_millis(config.slack_millis));
        let settings = config.settings.clone().into_iter().collect();
        Ok(Self { name, config: config.clone(), description, caller, pacer, hours: hours.transpose()?, settings })
    }

    /// What is set for its plugin.
    pub fn settings(&self) -> &[(String, String)] {
        &self.settings
    }

    /// The host that is called.
    pub fn host(&self) -> String {
        self.caller.host()
    }

    /// Hours of a day in which calls may be made.
    pub fn hours_a_day(&self) -> f64 {
        self.hours.as_ref().map_or(24.0, Hours::length)
    }
}
