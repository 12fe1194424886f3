//! When calls arrived, and how many: the rate as the server sees it.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use serde::Serialize;

const SECOND: Duration = Duration::from_secs(1);

/// What was counted, of calls below `/api` only.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Stats {
    /// Calls in all, refused ones too.
    pub calls: u64,
    /// By method and path template, in the order of these.
    pub by: Vec<Count>,
    /// The greatest number of calls whose arrivals lie in one second, wherever it begins.
    pub peak_per_second: u64,
    /// Milliseconds from the server's start (or from the last `DELETE /_mock/stats`) to the first arrival.
    pub first_ms: Option<f64>,
    pub last_ms: Option<f64>,
    /// Every arrival, ascending.
    pub arrivals_ms: Vec<f64>,
    /// Calls answered with 429, for their rate or by a fault.
    pub too_many_requests: u64,
}

/// How many calls there were of one kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Count {
    pub method: String,
    /// For instance `/loans/{id}/schedule`.
    pub path: String,
    pub calls: u64,
}

impl Stats {
    /// How many calls there were of one kind, 0 if none.
    #[must_use]
    pub fn of(&self, method: &str, path: &str) -> u64 {
        self.by.iter().find(|one| one.method == method && one.path == path).map_or(0, |one| one.calls)
    }
}

/// What is being counted.
pub struct Counts {
    from: Instant,
    arrivals: Vec<Instant>,
    by: BTreeMap<(String, &'static str), u64>,
    too_many: u64,
    /// Arrivals of the last second that were let in.
    admitted: VecDeque<Instant>,
}

impl Default for Counts {
    fn default() -> Self {
        Self { from: Instant::now(), arrivals: vec![], by: BTreeMap::new(), too_many: 0, admitted: VecDeque::new() }
    }
}

impl Counts {
    /// Counts a call, and says whether it is within the rate: so many in any second before it.
    pub fn arrive(&mut self, at: Instant, method: &str, template: &'static str, rate: Option<u32>) -> bool {
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

    /// Counts an answer of 429.
    pub fn refuse(&mut self) {
        self.too_many += 1;
    }

    /// What was counted so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let mut arrivals = self.arrivals.clone();
        // Connections note theirs one after the other, not quite in their order.
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
        let by = self.by.iter().map(|((method, path), calls)| Count {
            method: method.clone(),
            path: (*path).to_owned(),
            calls: *calls,
        });
        Stats {
            calls: arrivals.len() as u64,
            by: by.collect(),
            peak_per_second: peak as u64,
            first_ms: arrivals_ms.first().copied(),
            last_ms: arrivals_ms.last().copied(),
            arrivals_ms,
            too_many_requests: self.too_many,
        }
    }
}
