//! The agreed pace: so many calls in any one second as the platform sees them, slower where it is in trouble.
//!
//! A call arrives at some time between its sending and its answer. So a call may be sent a second after the one so
//! many before it was answered, or a second and the slack after it was sent, whichever is earlier: until then the
//! platform may have seen all of them within one second. Calls are spread over the second and not sent at once.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Least part of the pace that is left after many errors.
const LEAST: f64 = 0.05;
/// What is left of the pace after an error.
const AFTER_ERROR: f64 = 0.5;
/// What a good answer gives back of it.
const RECOVERY: f64 = 0.05;
/// Longest that somebody waits without looking whether it was cancelled.
const LOOK: Duration = Duration::from_millis(100);

/// Keeps to the pace, for all who call one platform.
pub struct Pacer {
    rate: usize,
    slack: Duration,
    inner: Mutex<Inner>,
    changed: Condvar,
}

struct Inner {
    /// The last calls, as many as may be made in a second: when each may be taken to have arrived at the latest.
    arrived: VecDeque<(u64, Instant)>,
    next: u64,
    last_sent: Option<Instant>,
    /// Part of the pace that is used at present.
    part: f64,
    /// Nobody sends before.
    not_before: Option<Instant>,
}

/// A call that may be sent now.
pub struct Slot(u64);

impl Pacer {
    /// So many calls in any one second.
    pub fn new(calls_per_second: u32, slack: Duration) -> Self {
        let inner = Inner { arrived: VecDeque::new(), next: 0, last_sent: None, part: 1.0, not_before: None };
        Self { rate: calls_per_second as usize, slack, inner: Mutex::new(inner), changed: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until a call may be sent; none if `given_up` says so meanwhile.
    pub fn wait(&self, given_up: &dyn Fn() -> bool) -> Option<Slot> {
        let mut inner = self.lock();
        loop {
            if given_up() {
                return None;
            }
            let now = Instant::now();
            let due = self.due(&inner).filter(|due| *due > now);
            let Some(due) = due else { break };
            inner = self.changed.wait_timeout(inner, (due - now).min(LOOK)).unwrap_or_else(PoisonError::into_inner).0;
        }
        let (number, now) = (inner.next, Instant::now());
        inner.next += 1;
        inner.last_sent = Some(now);
        inner.arrived.push_back((number, now + self.slack));
        while inner.arrived.len() > self.rate {
            inner.arrived.pop_front();
        }
        Some(Slot(number))
    }

    /// When the next call may be sent; none: at once.
    fn due(&self, inner: &Inner) -> Option<Instant> {
        let second = Duration::from_secs(1);
        let full = inner.arrived.len() >= self.rate;
        let window = inner.arrived.front().filter(|_| full).map(|(_, arrived)| *arrived + second);
        let spacing = second.div_f64(self.rate as f64 * inner.part);
        let spread = inner.last_sent.map(|sent| sent + spacing);
        [window, spread, inner.not_before].into_iter().flatten().max()
    }

    /// Notes that a call was answered, and so has arrived.
    pub fn answered(&self, slot: &Slot) {
        let now = Instant::now();
        let mut inner = self.lock();
        if let Some((_, arrived)) = inner.arrived.iter_mut().find(|(number, _)| *number == slot.0) {
            *arrived = now.min(*arrived);
        }
        drop(inner);
        self.changed.notify_all();
    }

    /// Notes that all is well: a little faster again, up to what was agreed.
    pub fn well(&self) {
        let mut inner = self.lock();
        inner.part = (inner.part + RECOVERY).min(1.0);
    }

    /// Notes that the platform is in trouble: slower.
    pub fn trouble(&self) {
        let mut inner = self.lock();
        inner.part = (inner.part * AFTER_ERROR).max(LEAST);
    }

    /// Nobody sends for so long: the platform said so.
    pub fn hold(&self, pause: Duration) {
        let until = Instant::now() + pause;
        let mut inner = self.lock();
        inner.not_before = Some(inner.not_before.map_or(until, |before| before.max(until)));
    }

    /// Waits for some other reason; whether it was not given up meanwhile.
    pub fn pause(&self, pause: Duration, given_up: &dyn Fn() -> bool) -> bool {
        let until = Instant::now() + pause;
        let mut inner = self.lock();
        loop {
            let now = Instant::now();
            if given_up() {
                return false;
            }
            if now >= until {
                return true;
            }
            let wait = (until - now).min(LOOK);
            inner = self.changed.wait_timeout(inner, wait).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whoever takes calls as they come never has more than agreed in a second, and little less.
    #[test]
    fn keeps_to_what_was_agreed() {
        let pacer = Pacer::new(100, Duration::from_millis(20));
        let began = Instant::now();
        let mut sent: Vec<Instant> = vec![];
        while began.elapsed() < Duration::from_millis(1_500) {
            let slot = pacer.wait(&|| false).unwrap();
            sent.push(Instant::now());
            pacer.answered(&slot);
        }
        for (index, first) in sent.iter().enumerate() {
            let within = sent[index..].iter().take_while(|later| **later - *first < Duration::from_secs(1)).count();
            assert!(within <= 100, "{within}");
        }
    }

    #[test]
    fn gives_up_and_slows_down() {
        let pacer = Pacer::new(1_000, Duration::ZERO);
        assert!(pacer.wait(&|| true).is_none());
        pacer.hold(Duration::from_secs(60));
        assert!(pacer.due(&pacer.lock()).unwrap() > Instant::now() + Duration::from_secs(59));
        (0..20).for_each(|_| pacer.trouble());
        assert!((pacer.lock().part - LEAST).abs() < f64::EPSILON);
        (0..20).for_each(|_| pacer.well());
        assert!((pacer.lock().part - 1.0).abs() < f64::EPSILON);
    }
}
