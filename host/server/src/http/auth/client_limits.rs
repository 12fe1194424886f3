//! Limits of each client: requests a second, and requests at the same time.

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

use crate::http::problem::Problem;
use sluice_config::HttpLimits;

/// Seconds after which a client with too many running requests may try again.
const TRY_AGAIN_SECONDS: u64 = 1;

/// Limits of all clients.
pub struct ClientLimits {
    rate: DefaultKeyedRateLimiter<String>,
    at_once: usize,
    in_work: Mutex<HashMap<String, Arc<Semaphore>>>,
    taken: AtomicU64,
}

/// Number of requests after which the server forgets clients without running requests.
const FORGET_EVERY: u64 = 4_096;

impl ClientLimits {
    /// Makes the configured limits. A limit of 0 counts as 1.
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

    /// Counts a request of a client. The request runs until the permit is dropped.
    pub fn take(&self, client: &str) -> Result<RequestPermit, Problem> {
        if let Err(not_until) = self.rate.check_key(&client.to_owned()) {
            let wait = not_until.wait_time_from(DefaultClock::default().now());
            return Err(Problem::too_many("TOO_MANY_REQUESTS", wait.as_secs() + 1));
        }
        // Clients without running requests are forgotten at intervals, so that the map does not grow.
        let mut in_work = self.in_work.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if self.taken.fetch_add(1, Relaxed).is_multiple_of(FORGET_EVERY) {
            in_work.retain(|_, semaphore| semaphore.available_permits() < self.at_once);
            self.rate.retain_recent();
        }
        let semaphore = in_work.entry_ref(client).or_insert_with(|| Arc::new(Semaphore::new(self.at_once))).clone();
        let permit = semaphore.try_acquire_owned();
        permit.map(RequestPermit).map_err(|_| Problem::too_many("TOO_MANY_AT_ONCE", TRY_AGAIN_SECONDS))
    }
}

/// Permit of a running request.
pub struct RequestPermit(OwnedSemaphorePermit);

impl RequestPermit {
    /// Keeps the permit until the response is sent or dropped.
    pub fn hold(self, response: Response) -> Response {
        response.map(|body| Body::new(PermitBody { body, _permit: self.0 }))
    }
}

struct PermitBody {
    body: Body,
    _permit: OwnedSemaphorePermit,
}

impl HttpBody for PermitBody {
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
