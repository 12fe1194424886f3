//! The pace of calls: at most the agreed number in any one second as the platform sees them, and fewer after errors.
//!
//! A call arrives at the platform at some time between its sending and its response. Let `n` be the agreed number. A
//! call may be sent one second after the response to the `n`-th call before it, or one second and the slack after that
//! call was sent, whichever is earlier. Until then the platform may have seen all of them within one second. Calls are
//! spread evenly over the second.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Smallest share of the pace, after many errors.
const SMALLEST_SHARE: f64 = 0.05;
/// Factor by which an error reduces the share.
const AFTER_ERROR: f64 = 0.5;
/// Amount by which a success increases the share.
const RECOVERY: f64 = 0.05;
/// Longest wait without a check for cancellation.
const CANCEL_CHECK_INTERVAL: Duration = Duration::from_millis(100);

/// A limiter of calls, shared by all threads that call one platform.
pub struct Pacer {
    rate: usize,
    slack: Duration,
    inner: Mutex<PacerState>,
    changed: Condvar,
}

struct PacerState {
    /// The last calls, at most as many as may be made in a second. Each has the latest time at which it may have
    /// arrived.
    arrivals: VecDeque<(u64, Instant)>,
    next: u64,
    last_sent: Option<Instant>,
    /// Share of the pace that is used at present.
    share: f64,
    /// Time before which no call is sent.
    not_before: Option<Instant>,
}

/// Permission to send one call now.
pub struct PacerSlot(u64);

impl Pacer {
    /// Creates a pacer for this number of calls in any one second.
    pub fn new(calls_per_second: u32, slack: Duration) -> Self {
        let inner = PacerState { arrivals: VecDeque::new(), next: 0, last_sent: None, share: 1.0, not_before: None };
        Self { rate: calls_per_second as usize, slack, inner: Mutex::new(inner), changed: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, PacerState> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until a call may be sent. Returns none if `cancelled` returns true meanwhile.
    pub fn wait(&self, cancelled: &dyn Fn() -> bool) -> Option<PacerSlot> {
        let mut inner = self.lock();
        loop {
            if cancelled() {
                return None;
            }
            let now = Instant::now();
            let due = self.due(&inner).filter(|due| *due > now);
            let Some(due) = due else { break };
            inner = self
                .changed
                .wait_timeout(inner, (due - now).min(CANCEL_CHECK_INTERVAL))
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        let (number, now) = (inner.next, Instant::now());
        inner.next += 1;
        inner.last_sent = Some(now);
        inner.arrivals.push_back((number, now + self.slack));
        while inner.arrivals.len() > self.rate {
            inner.arrivals.pop_front();
        }
        Some(PacerSlot(number))
    }

    /// Returns the time at which the next call may be sent; none if it may be sent now.
    fn due(&self, inner: &PacerState) -> Option<Instant> {
        let second = Duration::from_secs(1);
        let full = inner.arrivals.len() >= self.rate;
        let window = inner.arrivals.front().filter(|_| full).map(|(_, arrivals)| *arrivals + second);
        let spacing = second.div_f64(self.rate as f64 * inner.share);
        let spread = inner.last_sent.map(|sent| sent + spacing);
        [window, spread, inner.not_before].into_iter().flatten().max()
    }

    /// Records that the response to a call has come, so that the call has arrived.
    pub fn on_response(&self, slot: &PacerSlot) {
        let now = Instant::now();
        let mut inner = self.lock();
        if let Some((_, arrivals)) = inner.arrivals.iter_mut().find(|(number, _)| *number == slot.0) {
            *arrivals = now.min(*arrivals);
        }
        drop(inner);
        self.changed.notify_all();
    }

    /// Records a success: the pace rises a little, up to the agreed one.
    pub fn on_success(&self) {
        let mut inner = self.lock();
        inner.share = (inner.share + RECOVERY).min(1.0);
    }

    /// Records an error of the platform: the pace falls.
    pub fn on_error(&self) {
        let mut inner = self.lock();
        inner.share = (inner.share * AFTER_ERROR).max(SMALLEST_SHARE);
    }

    /// Sends no call for this time, as the platform asked.
    pub fn hold(&self, pause: Duration) {
        let until = Instant::now() + pause;
        let mut inner = self.lock();
        inner.not_before = Some(inner.not_before.map_or(until, |before| before.max(until)));
    }

    /// Waits for another reason. Returns false if the wait was cancelled.
    pub fn pause(&self, pause: Duration, cancelled: &dyn Fn() -> bool) -> bool {
        let until = Instant::now() + pause;
        let mut inner = self.lock();
        loop {
            let now = Instant::now();
            if cancelled() {
                return false;
            }
            if now >= until {
                return true;
            }
            let wait = (until - now).min(CANCEL_CHECK_INTERVAL);
            inner = self.changed.wait_timeout(inner, wait).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A thread that takes every slot at once never exceeds the agreed number in a second, and stays close to it.
    #[test]
    fn keeps_the_agreed_pace() {
        let pacer = Pacer::new(100, Duration::from_millis(20));
        let began = Instant::now();
        let mut sent: Vec<Instant> = vec![];
        while began.elapsed() < Duration::from_millis(1_500) {
            let slot = pacer.wait(&|| false).unwrap();
            sent.push(Instant::now());
            pacer.on_response(&slot);
        }
        for (index, first) in sent.iter().enumerate() {
            let within = sent[index..].iter().take_while(|later| **later - *first < Duration::from_secs(1)).count();
            assert!(within <= 100, "{within}");
        }
        // At least half of the agreed pace, also on a machine under load.
        let pace = sent.len() as f64 / began.elapsed().as_secs_f64();
        assert!(pace >= 50.0, "{pace} calls a second, of 100");
    }

    #[test]
    fn cancels_and_slows_down() {
        let pacer = Pacer::new(1_000, Duration::ZERO);
        assert!(pacer.wait(&|| true).is_none());
        pacer.hold(Duration::from_secs(60));
        assert!(pacer.due(&pacer.lock()).unwrap() > Instant::now() + Duration::from_secs(59));
        (0..20).for_each(|_| pacer.on_error());
        assert!((pacer.lock().share - SMALLEST_SHARE).abs() < f64::EPSILON);
        (0..20).for_each(|_| pacer.on_success());
        assert!((pacer.lock().share - 1.0).abs() < f64::EPSILON);
    }
}
