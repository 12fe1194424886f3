//! Platforms with an API of their own: their addresses, credentials and agreed limits.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// A platform. A migration names it as its target by its name in the configuration.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlatformConfig {
    /// Name of the plugin that plans the calls. The platform's name by default.
    pub plugin: Option<String>,
    /// Tenants whose migrations may go to the platform; `*` for every tenant. None by default: the server calls the platform
    /// with the operator's credentials, so the operator has to name who uses them.
    #[serde(default)]
    pub tenants: Vec<String>,
    /// Address of the API, such as `https://example.mambu.com/api`. It must be `https`, except for a loopback address.
    pub base_url: String,
    /// File with an API key, which the server sends in the header `apikey`. The environment variable
    /// `SLUICE_<NAME>_API_KEY` may hold the key instead.
    pub api_key_file: Option<PathBuf>,
    /// User of the API, for HTTP Basic authentication.
    pub user: Option<String>,
    /// File with the user's password. The environment variable `SLUICE_<NAME>_PASSWORD` may hold the password instead.
    pub password_file: Option<PathBuf>,
    /// Maximum number of calls in any one second, as agreed with the platform. 5: low enough without an agreement.
    #[serde(default = "calls_per_second")]
    pub calls_per_second: u32,
    /// Maximum number of concurrent calls, as agreed with the platform. 4.
    #[serde(default = "parallel_calls")]
    pub parallel_calls: usize,
    /// Hours of the day in which the server may send calls, such as `22:00-06:00`. All hours by default.
    pub hours: Option<String>,
    /// Time zone of `hours`. `UTC`.
    #[serde(default = "time_zone")]
    pub time_zone: String,
    /// Maximum wait for a response, in seconds. 60: after that the server asks the platform whether the call happened.
    #[serde(default = "timeout_seconds")]
    pub timeout_seconds: u64,
    /// Maximum number of attempts at one call that fails at the platform or gets no response. 8: with the pauses
    /// between them, these take some minutes.
    #[serde(default = "max_attempts")]
    pub max_attempts: u32,
    /// Pause after the first failed attempt, in milliseconds. It doubles after each attempt, up to a minute. 500.
    #[serde(default = "retry_millis")]
    pub retry_millis: u64,
    /// Maximum time in milliseconds from the sending of a call until it counts towards its second, if its response
    /// takes longer. 250: a call may be delayed by this time on its way without exceeding the agreed rate. If responses
    /// are slow, a smaller value uses more of the agreed rate.
    #[serde(default = "slack_millis")]
    pub slack_millis: u64,
    /// Number of items on a page when the server lists the platform's objects. 1,000.
    #[serde(default = "page_items")]
    pub page_items: u64,
    /// Maximum length of a response in bytes. 16 MiB: a thousand long items.
    #[serde(default = "answer_bytes")]
    pub answer_bytes: usize,
    /// Flow of the calls: `fewest` or `every-step`. `fewest`.
    #[serde(default)]
    pub flow: Flow,
    /// Settings that the plugin needs, such as the key of a product.
    #[serde(default)]
    pub settings: BTreeMap<String, String>,
}

/// The flow of the calls in a plan.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Flow {
    /// A flow with as few calls as possible.
    #[default]
    Fewest,
    /// A flow with a call for every step.
    EveryStep,
}

impl Flow {
    /// Returns the name that the configuration and the API use.
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
    /// Returns true if migrations of this tenant may go to the platform.
    pub fn admits(&self, tenant: &str) -> bool {
        self.tenants.iter().any(|named| named == "*" || named == tenant)
    }

    /// Checks that each tenant has a name that a tenant can have.
    pub(super) fn check_tenants(&self) -> anyhow::Result<()> {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        for tenant in self.tenants.iter().filter(|tenant| *tenant != "*") {
            let fits = (1..=63).contains(&tenant.len()) && tenant.bytes().all(plain) && !tenant.starts_with('-');
            anyhow::ensure!(
                fits,
                "tenants has {tenant}: a tenant's name has at most 63 lower-case letters, digits and -; * is every tenant"
            );
        }
        Ok(())
    }

    /// Returns each numeric setting: its name, its value, its minimum and its maximum.
    pub(super) fn ranges(&self) -> [(&'static str, u64, u64, u64); 8] {
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

#[cfg(test)]
mod tests {
    use crate::Config;

    /// The tenants of a platform, and whether the configuration is valid.
    #[test]
    fn tenants_are_names() {
        for (tenants, valid) in [
            ("[]", true),
            (r#"["*"]"#, true),
            (r#"["north", "2-south"]"#, true),
            (r#"["North"]"#, false),
            (r#"[""]"#, false),
        ] {
            let text = format!("[platforms.mambu]\nbase_url = \"https://example.com\"\ntenants = {tenants}");
            let config: Config = toml::from_str(&text).unwrap();
            assert_eq!(config.check().is_ok(), valid, "{tenants}");
        }
    }
}
