//! Idempotency keys with their stored responses and the requests in progress.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::http::MockResponse;

/// Identity of a request that has an idempotency key.
#[derive(Clone, PartialEq, Eq)]
pub struct IdempotentRequest {
    /// Path and query.
    pub path: String,
    /// Body.
    pub body: Vec<u8>,
}

/// Stored state of a key.
enum KeyRecord {
    /// The request is being executed.
    InProgress(IdempotentRequest),
    /// The request was executed: its response and the time of completion.
    Completed(IdempotentRequest, MockResponse, Instant),
}

/// State of a key at the start of a request.
pub enum KeyState {
    /// The key is new. The request is now in progress.
    New,
    /// The request was executed with this response.
    Completed(MockResponse),
    /// The same request is in progress.
    InProgress,
    /// The key belongs to another request.
    Conflict,
}

/// The idempotency keys. Each one expires some time after its response.
pub struct IdempotencyKeys {
    retention: Duration,
    records: HashMap<String, KeyRecord>,
}

impl IdempotencyKeys {
    /// Creates an empty set of keys with this retention time.
    #[must_use]
    pub fn new(retention: Duration) -> Self {
        Self { retention, records: HashMap::new() }
    }

    /// Looks up the key and marks a new request as in progress.
    pub fn begin(&mut self, key: &str, request: &IdempotentRequest) -> KeyState {
        if let Some(KeyRecord::Completed(.., at)) = self.records.get(key)
            && at.elapsed() >= self.retention
        {
            self.records.remove(key);
        }
        match self.records.get(key) {
            Some(KeyRecord::InProgress(known) | KeyRecord::Completed(known, ..)) if known != request => {
                KeyState::Conflict
            }
            Some(KeyRecord::InProgress(_)) => KeyState::InProgress,
            Some(KeyRecord::Completed(_, response, _)) => KeyState::Completed(response.clone()),
            None => {
                self.records.insert(key.to_owned(), KeyRecord::InProgress(request.clone()));
                KeyState::New
            }
        }
    }

    /// Completes a request. Stores only successful responses: a client may correct a rejected request and send it again
    /// with the same key.
    pub fn end(&mut self, key: &str, request: IdempotentRequest, response: Option<&MockResponse>) {
        match response.filter(|response| (200..300).contains(&response.status)) {
            Some(response) => {
                self.records.insert(key.to_owned(), KeyRecord::Completed(request, response.clone(), Instant::now()))
            }
            None => self.records.remove(key),
        };
    }
}
