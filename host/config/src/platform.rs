//! Platforms that are entered through their own API: where they are, and what was agreed with them.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// A platform that migrations may be registered for, under its name in the configuration.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlatformConfig {
    /// The plugin that plans the calls. The platform's name unless it is said.
    pub plugin: Option<String>,
    /// Where its API is, such as `https://example.mambu.com/api`. `https`, but for a loopback address.
    pub base_url: String,
    /// File with an API key, sent in the header `apikey`. The environment variable `SLUICE_<NAME>_API_KEY` will do, too.
    pub api_key_file: Option<PathBuf>,
    /// A user of the API, for HTTP Basic.
    pub user: Option<String>,
    /// File with that user's password. The environment variable `SLUICE_<NAME>_PASSWORD` will do, too.
    pub password_file: Option<PathBuf>,
    /// Calls in any one second, as agreed. 5: what nobody minds who was not asked.
    #[serde(default = "calls_per_second")]
    pub calls_per_second: u32,
    /// Calls at the same time, as agreed. 4.
    #[serde(default = "parallel_calls")]
    pub parallel_calls: usize,
    /// Hours of the day in which calls may be made, such as `22:00-06:00`. All.
    pub hours: Option<String>,
    /// The time zone of these hours. `UTC`.
    #[serde(default = "time_zone")]
    pub time_zone: String,
    /// Longest wait for an answer, in seconds. 60: beyond that it is asked whether the call happened.
    #[serde(default = "timeout_seconds")]
    pub timeout_seconds: u64,
    /// Attempts at one call that the platform fails at or does not answer. 8, which takes some minutes with the
    /// pauses between.
    #[serde(default = "max_attempts")]
    pub max_attempts: u32,
    /// Pause after the first failed attempt, in milliseconds; it doubles each time, up to a minute. 500.
    #[serde(default = "retry_millis")]
    pub retry_millis: u64,
    /// Longest time from sending a call until it counts towards its second, in milliseconds, where its answer takes
    /// longer. 250: a call may be so late on its way without passing what was agreed. Where answers take long, less uses
    /// more of the pace.
    #[serde(default = "slack_millis")]
    pub slack_millis: u64,
    /// Items of a page, when the platform is asked what is there. 1,000.
    #[serde(default = "page_items")]
    pub page_items: u64,
    /// Most bytes of an answer. 16 MiB: a thousand long items.
    #[serde(default = "answer_bytes")]
    pub answer_bytes: usize,
    /// Which flow: `fewest` calls, or `every-step`. `fewest`.
    #[serde(default)]
    pub flow: Flow,
    /// What the plugin needs to know of the platform, such as the key of a product.
    #[serde(default)]
    pub settings: BTreeMap<String, String>,
}

/// Which flow a plan follows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Flow {
    /// As few calls as it can be done with.
    #[default]
    Fewest,
    /// A call for every step.
    EveryStep,
}

impl Flow {
    /// As it is configured and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fewest => "fewest",
            Self::EveryStep => "every-step",
        }
    }
}

fn calls_per_second() -> u32 {
    5
}
fn parallel_calls() -> usize {
    4
}
fn time_zone() -> String {
    "UTC".into()
}
fn timeout_seconds() -> u64 {
    60
}
fn max_attempts() -> u32 {
    8
}
fn retry_millis() -> u64 {
    500
}
fn slack_millis() -> u64 {
    250
}
fn page_items() -> u64 {
    1_000
}
fn answer_bytes() -> usize {
    16 << 20
}

impl PlatformConfig {
    /// Figures with their range: name, value, least and most.
    pub(super) fn figures(&self) -> [(&'static str, u64, u64, u64); 8] {
        [
            ("calls_per_second", self.calls_per_second.into(), 1, 10_000),
            ("parallel_calls", self.parallel_calls as u64, 1, 256),
            ("timeout_seconds", self.timeout_seconds, 1, 3_600),
            ("max_attempts", self.max_attempts.into(), 1, 100),
            ("retry_millis", self.retry_millis, 1, 60_000),
            ("slack_millis", self.slack_millis, 0, 1_000),
            ("page_items", self.page_items, 1, 1_000),
            ("answer_bytes", self.answer_bytes as u64, 1 << 10, 1 << 30),
        ]
    }
}
