//! Counts, arrival times and rate of calls.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use serde::Serialize;

const SECOND: Duration = Duration::from_secs(1);

/// Statistics of calls below `/api`.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CallStats {
    /// Number of calls, including rejected ones.
    pub calls: u64,
    /// Number of calls by method and path template, in that order.
    pub by: Vec<CallCount>,
    /// Maximum number of arrivals in any second.
    pub peak_per_second: u64,
    /// Milliseconds from the start of the server (or the last `DELETE /_mock/stats`) to the first arrival.
    pub first_ms: Option<f64>,
    /// Milliseconds to the last arrival.
    pub last_ms: Option<f64>,
    /// Milliseconds to each arrival, ascending.
    pub arrivals_ms: Vec<f64>,
    /// Number of calls answered with 429, because of the rate or a fault.
    pub too_many_requests: u64,
}

/// Number of calls with one method and path template.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CallCount {
    /// Method.
    pub method: String,
    /// Path template, such as `/loans/{id}/schedule`.
    pub path: String,
    /// Number of calls.
    pub calls: u64,
}

impl CallStats {
    /// Returns the number of calls with this method and path template.
    #[must_use]
    pub fn of(&self, method: &str, path: &str) -> u64 {
        self.by.iter().find(|one| one.method == method && one.path == path).map_or(0, |one| one.calls)
    }
}

/// Counter of calls.
pub struct CallCounter {
    from: Instant,
    arrivals: Vec<Instant>,
    by: BTreeMap<(String, &'static str), u64>,
    too_many_requests: u64,
    /// Arrival times of admitted calls in the last second.
    admitted: VecDeque<Instant>,
}

impl Default for CallCounter {
    fn default() -> Self {
        Self {
            from: Instant::now(),
            arrivals: vec![],
            by: BTreeMap::new(),
            too_many_requests: 0,
            admitted: VecDeque::new(),
        }
    }
}

impl CallCounter {
    /// Counts a call. Returns true if the number of admitted calls in the second before it is below the rate.
    pub fn record_arrival(&mut self, at: Instant, method: &str, template: &'static str, rate: Option<u32>) -> bool {
        self.arrivals.push(at);
        *self.by.entry((method.to_owned(), template)).or_default() += 1;
        let Some(rate) = rate else { return true };
        while self.admitted.front().is_some_and(|first| at.saturating_duration_since(*first) >= SECOND) {
            self.admitted.pop_front();
        }
        let within = self.admitted.len() < rate as usize;
        if within {
            self.admitted.push_back(at);
        }
        within
    }

    /// Counts a response with status 429.
    pub fn record_rejection(&mut self) {
        self.too_many_requests += 1;
    }

    /// Returns the statistics.
    #[must_use]
    pub fn stats(&self) -> CallStats {
        let mut arrivals = self.arrivals.clone();
        // Concurrent connections record their arrivals out of order.
        arrivals.sort();
        let mut peak = 0;
        let mut oldest = 0;
        for (newest, at) in arrivals.iter().enumerate() {
            while at.duration_since(arrivals[oldest]) >= SECOND {
                oldest += 1;
            }
            peak = peak.max(newest - oldest + 1);
        }
        let milliseconds = |at: &Instant| at.saturating_duration_since(self.from).as_secs_f64() * 1000.0;
        let arrivals_ms: Vec<f64> = arrivals.iter().map(milliseconds).collect();
        let by = self.by.iter().map(|((method, path), calls)| CallCount {
            method: method.clone(),
            path: (*path).to_owned(),
            calls: *calls,
        });
        CallStats {
            calls: arrivals.len() as u64,
            by: by.collect(),
            peak_per_second: peak as u64,
            first_ms: arrivals_ms.first().copied(),
            last_ms: arrivals_ms.last().copied(),
            arrivals_ms,
            too_many_requests: self.too_many_requests,
        }
    }
}
