//! What one client may ask at once: how often, and how much side by side.

use std::num::NonZeroU32;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody};
use axum::response::Response;
use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use hashbrown::HashMap;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::problem::Problem;
use sluice_config::HttpLimits;

/// Seconds after which a client that has too much in work may try again.
const TRY_AGAIN_SECONDS: u64 = 1;

/// Limits of all clients.
pub struct Limits {
    rate: DefaultKeyedRateLimiter<String>,
    at_once: usize,
    in_work: Mutex<HashMap<String, Arc<Semaphore>>>,
    taken: AtomicU64,
}

/// Requests after which clients that have nothing in work are forgotten.
const FORGET_EVERY: u64 = 4_096;

impl Limits {
    /// Limits as configured. None of them can be nought.
    pub fn new(limits: &HttpLimits) -> Self {
        let least = |number: u32| NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN);
        let quota = Quota::per_second(least(limits.requests_per_second)).allow_burst(least(limits.request_burst));
        Self {
            rate: RateLimiter::keyed(quota),
            at_once: limits.concurrent_requests.max(1),
            in_work: Mutex::default(),
            taken: AtomicU64::new(0),
        }
    }

    /// Counts a client's request, which is in work until what is returned is dropped.
    pub fn take(&self, client: &str) -> Result<Permit, Problem> {
        if let Err(not_until) = self.rate.check_key(&client.to_owned()) {
            let wait = not_until.wait_time_from(DefaultClock::default().now());
            return Err(Problem::too_many("TOO_MANY_REQUESTS", wait.as_secs() + 1));
        }
        // Clients come and go; what is known of those that ask for nothing is forgotten now and then.
        let mut in_work = self.in_work.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if self.taken.fetch_add(1, Relaxed).is_multiple_of(FORGET_EVERY) {
            in_work.retain(|_, semaphore| semaphore.available_permits() < self.at_once);
            self.rate.retain_recent();
        }
        let semaphore = in_work.entry_ref(client).or_insert_with(|| Arc::new(Semaphore::new(self.at_once))).clone();
        let permit = semaphore.try_acquire_owned();
        permit.map(Permit).map_err(|_| Problem::too_many("TOO_MANY_AT_ONCE", TRY_AGAIN_SECONDS))
    }
}

/// A request in work.
pub struct Permit(OwnedSemaphorePermit);

impl Permit {
    /// The request is in work until its answer is out, or nobody waits for it any more.
    pub fn hold(self, response: Response) -> Response {
        response.map(|body| Body::new(Held { body, _permit: self.0 }))
    }
}

struct Held {
    body: Body,
    _permit: OwnedSemaphorePermit,
}

impl HttpBody for Held {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.body.size_hint()
    }
}
