//! Back-off after wrong secrets: of one client, and from one address.
//!
//! A secret has 256 random bits and cannot be guessed. The back-off keeps a script with an old secret, or an attacker, from
//! making the server look clients up all the time.

use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use hashbrown::HashMap;

use sluice_config::AccessLimits;

/// Time after which the failures of a client or an address are forgotten.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(15 * 60);

/// Maximum number of clients, and of addresses, whose failures are kept. A caller can invent clients.
const MOST_KEPT: usize = 10_000;

/// Failures of clients and of addresses.
pub struct FailedSecrets {
    /// Failures of one client without a wait; 0 for no limit.
    of_client: u32,
    /// Failures from one address without a wait; 0 for no limit.
    of_address: u32,
    longest: Duration,
    kept: Mutex<KeptFailures>,
}

#[derive(Default)]
struct KeptFailures {
    clients: HashMap<String, FailureCount>,
    addresses: HashMap<IpAddr, FailureCount>,
}

/// Failures of one client or address.
struct FailureCount {
    number: u32,
    last: Instant,
    /// Time until which the next attempt is refused.
    until: Instant,
    /// Last address from which the client sent its secret. Failures from elsewhere do not shut it out.
    known: Option<IpAddr>,
}

impl FailedSecrets {
    /// Makes an empty set with the configured limits.
    pub fn new(limits: &AccessLimits) -> Self {
        Self {
            of_client: limits.wrong_secrets,
            of_address: limits.wrong_secrets_per_address,
            longest: Duration::from_secs(limits.backoff_seconds),
            kept: Mutex::default(),
        }
    }

    /// Returns the seconds to wait before the next attempt of a client from an address. None if it may try now.
    pub fn wait(&self, client: &str, address: IpAddr, now: Instant) -> Option<u64> {
        let address = network(address);
        let kept = self.lock();
        let of_client = kept.clients.get(client).filter(|count| count.known != Some(address));
        let counts = of_client.into_iter().chain(kept.addresses.get(&address));
        let left = counts.map(|count| count.until.saturating_duration_since(now)).max()?;
        (!left.is_zero()).then(|| left.as_secs() + 1)
    }

    /// Counts a wrong secret.
    pub fn failed(&self, client: &str, address: IpAddr, now: Instant) {
        let address = network(address);
        let mut kept = self.lock();
        let KeptFailures { clients, addresses } = &mut *kept;
        count(clients, client.to_owned(), now, self.of_client, self.longest);
        count(addresses, address, now, self.of_address, self.longest);
    }

    /// Forgets the failures of a client that sent its secret. Those from its address stay.
    pub fn succeeded(&self, client: &str, address: IpAddr, now: Instant) {
        if self.of_client > 0 {
            let known = Some(network(address));
            self.lock().clients.insert(client.to_owned(), FailureCount { number: 0, last: now, until: now, known });
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, KeptFailures> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn count<K: Hash + Eq>(kept: &mut HashMap<K, FailureCount>, key: K, now: Instant, free: u32, longest: Duration) {
    if free == 0 {
        return;
    }
    if kept.len() >= MOST_KEPT {
        kept.retain(|_, count| now.saturating_duration_since(count.last) < FORGOTTEN_AFTER);
    }
    if kept.len() >= MOST_KEPT {
        kept.retain(|_, count| count.until > now);
    }
    if kept.len() >= MOST_KEPT && !kept.contains_key(&key) {
        // All of them wait. This one waits with its address.
        return;
    }
    let count = kept.entry(key).or_insert(FailureCount { number: 0, last: now, until: now, known: None });
    if now.saturating_duration_since(count.last) >= FORGOTTEN_AFTER {
        count.number = 0;
    }
    count.number = count.number.saturating_add(1);
    count.last = now;
    if count.number >= free {
        // 1, 2, 4 … seconds, up to the longest wait.
        let doubled = (count.number - free).min(30);
        count.until = now + Duration::from_secs(1 << doubled).min(longest);
    }
}

/// Returns an address without the part that its owner chooses freely: of IPv6 the first 64 bits.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into(),
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Attempts at a second, by a client from an address, and whether the secret is right. The last column is the wait that
    /// the server answers with; none if it looks at the secret.
    #[test]
    fn waits_grow_and_end() {
        let limits = AccessLimits {
            wrong_secrets: 3,
            wrong_secrets_per_address: 6,
            backoff_seconds: 8,
            ..AccessLimits::default()
        };
        let failures = FailedSecrets::new(&limits);
        let start = Instant::now();
        let (near, far, farther) = ("192.0.2.1", "192.0.2.2", "2001:db8::1");
        let attempts: [(u64, &str, &str, bool, Option<u64>); 19] = [
            (0, "a", near, false, None),
            (0, "a", near, false, None),
            (0, "a", near, false, None),
            (0, "a", near, true, Some(2)),
            (0, "a", far, false, Some(2)),
            (0, "b", near, true, None),
            (1, "a", near, false, None),
            (2, "a", far, false, Some(2)),
            (3, "a", far, false, None),
            // Four seconds after the fifth failure the right secret is looked at, and its address is known from then on.
            (7, "a", farther, true, None),
            (7, "a", near, false, None),
            (7, "a", near, false, None),
            // The address has six failures.
            (7, "b", near, true, Some(2)),
            (8, "a", far, false, None),
            (8, "a", far, false, Some(2)),
            // The client is shut out, but not where it was seen; another host of the same network is the same address.
            (8, "a", "2001:db8::2", true, None),
            (8, "c", far, true, None),
            (9, "c", far, false, None),
            (10_000, "a", near, false, None),
        ];
        for (index, (second, client, address, right, expected)) in attempts.into_iter().enumerate() {
            let (now, address) = (start + Duration::from_secs(second), address.parse().unwrap());
            let wait = failures.wait(client, address, now);
            assert_eq!(wait, expected, "attempt {index}");
            match (wait, right) {
                (Some(_), _) => {}
                (None, true) => failures.succeeded(client, address, now),
                (None, false) => failures.failed(client, address, now),
            }
        }
    }

    /// Invented clients fill no memory, and no limit means no wait.
    #[test]
    fn is_bounded() {
        let (address, now) = ([192, 0, 2, 1].into(), Instant::now());
        let failures = FailedSecrets::new(&AccessLimits { wrong_secrets_per_address: 0, ..AccessLimits::default() });
        for number in 0..2 * MOST_KEPT {
            failures.failed(&number.to_string(), address, now);
        }
        assert!(failures.lock().clients.len() <= MOST_KEPT);
        assert_eq!(failures.wait("another", address, now), None);
    }
}
