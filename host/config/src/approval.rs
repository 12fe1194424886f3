//! Settings of approvals: which steps need two clients, and how far an approval may raise the limits of a plugin.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{MAX_DURATION, PluginLimits};

/// Settings of approvals.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ApprovalConfig {
    /// Steps that need two clients. None by default: a small lender has one person for both.
    pub four_eyes: Vec<FourEyes>,
    /// Maxima of the limits that an approval may set.
    pub maxima: PluginMaxima,
}

impl ApprovalConfig {
    /// Returns true if the step needs two clients.
    pub fn needs_two(&self, step: FourEyes) -> bool {
        self.four_eyes.contains(&step)
    }
}

/// A step that needs two clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FourEyes {
    /// A client that pushed a plugin may not approve it.
    Plugin,
    /// A client that validated a migration may not import it.
    Import,
}

/// Maxima of the limits that an approval may set for a plugin, by the names of these limits. A limit of the section `plugin`
/// that is higher is its own maximum. `stack_bytes` and `file_bytes` are missing, because no approval can set them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PluginMaxima {
    /// Maximum of `batch_millis`. 60,000: a batch holds one of the server's instances, which all tenants share.
    pub batch_millis: u64,
    /// Maximum of `narrowing_millis`. 5,000: a search takes it up to a thousand times.
    pub narrowing_millis: u64,
    /// Maximum of `total_seconds`. 86,400: a job that takes a whole day is in a loop.
    pub total_seconds: u64,
    /// Maximum of `memory_bytes`. 512 MiB: a plugin has one store on each of up to four threads.
    pub memory_bytes: u64,
    /// Maximum of `table_elements`. 1,000,000: each takes eight bytes of the host.
    pub table_elements: u64,
    /// Maximum of `host_calls`. 1,000,000: a thousand for each record of a full batch.
    pub host_calls: u64,
    /// Maximum of `output_bytes`. 128 MiB: the host holds them while it stages a batch.
    pub output_bytes: u64,
    /// Maximum of `output_items`. 1,000,000: the host holds a few hundred bytes for each.
    pub output_items: u64,
    /// Maximum of `lookup_keys`. 100,000: a hundred for each record of a batch.
    pub lookup_keys: u64,
    /// Maximum of `lookup_bytes`. 64 MiB: the host holds them beside the plugin's memory.
    pub lookup_bytes: u64,
    /// Maximum of `log_entries`. 10,000: ten for each record of a batch.
    pub log_entries: u64,
    /// Maximum of `max_quarantined`. 100,000: as many as the listed issues.
    pub max_quarantined: u64,
    /// Maximum of `max_quarantined_share`. 100: a rehearsal may want to see every record that fails.
    pub max_quarantined_share: u64,
    /// Maximum of `share_after_records`. 1,000,000: the percentage has to apply at some time.
    pub share_after_records: u64,
    /// Maximum of `max_timeouts`. 1,000: each costs up to `batch_millis`.
    pub max_timeouts: u64,
}

impl Default for PluginMaxima {
    fn default() -> Self {
        Self {
            batch_millis: 60_000,
            narrowing_millis: 5_000,
            total_seconds: 86_400,
            memory_bytes: 512 << 20,
            table_elements: 1_000_000,
            host_calls: 1_000_000,
            output_bytes: 128 << 20,
            output_items: 1_000_000,
            lookup_keys: 100_000,
            lookup_bytes: 64 << 20,
            log_entries: 10_000,
            max_quarantined: 100_000,
            max_quarantined_share: 100,
            share_after_records: 1_000_000,
            max_timeouts: 1_000,
        }
    }
}

/// The name of a limit and its maximum.
pub type LimitMaximum = (&'static str, u64);

impl PluginMaxima {
    fn named(&self) -> [(&'static str, u64); 15] {
        [
            ("batch_millis", self.batch_millis),
            ("narrowing_millis", self.narrowing_millis),
            ("total_seconds", self.total_seconds),
            ("memory_bytes", self.memory_bytes),
            ("table_elements", self.table_elements),
            ("host_calls", self.host_calls),
            ("output_bytes", self.output_bytes),
            ("output_items", self.output_items),
            ("lookup_keys", self.lookup_keys),
            ("lookup_bytes", self.lookup_bytes),
            ("log_entries", self.log_entries),
            ("max_quarantined", self.max_quarantined),
            ("max_quarantined_share", self.max_quarantined_share),
            ("share_after_records", self.share_after_records),
            ("max_timeouts", self.max_timeouts),
        ]
    }

    /// Returns each maximum for the ranges of the configuration.
    pub(super) fn ranges(&self) -> [(&'static str, u64, u64, u64); 15] {
        self.named().map(|(name, value)| {
            let max = match name {
                "batch_millis" | "narrowing_millis" | "total_seconds" => MAX_DURATION,
                _ => u64::MAX,
            };
            (name, value, 0, max)
        })
    }

    /// Returns the maximum of each limit: the higher one of the section `plugin` and of these maxima.
    fn of<'a>(&'a self, own: &'a PluginLimits) -> impl Iterator<Item = LimitMaximum> + 'a {
        let own = own.ranges();
        self.named().into_iter().map(move |(name, maximum)| {
            let own = own.iter().find(|(own, ..)| own.strip_prefix("plugin.") == Some(name));
            (name, own.map_or(maximum, |(_, own, ..)| maximum.max(*own)))
        })
    }

    /// Returns the first of these limits that is above its maximum, or `None`. `own` are the limits of the server.
    pub fn above(&self, own: &PluginLimits, limits: &BTreeMap<String, u64>) -> Option<LimitMaximum> {
        self.of(own).find(|(name, maximum)| limits.get(*name).is_some_and(|limit| limit > maximum))
    }

    /// Returns these limits, none above its maximum. An approval may be older than the maxima.
    pub fn lower(&self, own: &PluginLimits, limits: &BTreeMap<String, u64>) -> BTreeMap<String, u64> {
        let mut lowered = limits.clone();
        for (name, maximum) in self.of(own) {
            if let Some(limit) = lowered.get_mut(name) {
                *limit = maximum.min(*limit);
            }
        }
        lowered
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every limit that an approval can set has a maximum, and only those.
    #[test]
    fn every_limit_has_a_maximum() {
        let own = PluginLimits::default();
        for (name, value, ..) in own.ranges() {
            let name = name.strip_prefix("plugin.").unwrap();
            let can_be_set = own.with(&[(name.to_owned(), value)].into()).is_some();
            let has_maximum = PluginMaxima::default().named().iter().any(|(maximum, _)| *maximum == name);
            assert_eq!(can_be_set, has_maximum, "{name}");
        }
    }

    /// Limits of an approval, the first one that is refused, and what applies of an older approval.
    #[test]
    fn maxima_hold() {
        let own = PluginLimits { lookup_keys: 200_000, ..PluginLimits::default() };
        let maxima = PluginMaxima::default();
        for (name, value, refused, applies) in [
            ("batch_millis", 60_000, None, 60_000),
            ("batch_millis", 60_001, Some(60_000), 60_000),
            ("memory_bytes", 4 << 30, Some(512 << 20), 512 << 20),
            ("total_seconds", 313_200, Some(86_400), 86_400),
            // The server's own limit is higher than the maximum.
            ("lookup_keys", 150_000, None, 150_000),
            ("lookup_keys", 200_001, Some(200_000), 200_000),
        ] {
            let limits = BTreeMap::from([(name.to_owned(), value)]);
            let above = maxima.above(&own, &limits);
            assert_eq!(above, refused.map(|most| (name, most)), "{value}");
            assert_eq!(maxima.lower(&own, &limits)[name], applies, "{name} {value}");
        }
    }
}
