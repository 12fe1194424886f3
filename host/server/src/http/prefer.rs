//! `Prefer: wait=N` (RFC 7240).

use std::time::Duration;

use axum::http::HeaderMap;

/// Maximum wait that a client can ask for, in seconds. Proxies close connections that are silent for longer.
const MAX_WAIT_SECONDS: u64 = 60;

/// Returns the time for which the client wants to wait for the end of work.
pub fn wait(headers: &HeaderMap) -> Duration {
    let preferences = headers.get_all("prefer").into_iter().filter_map(|value| value.to_str().ok());
    let wait = preferences
        .flat_map(|value| value.split([',', ';']))
        .find_map(|preference| preference.trim().strip_prefix("wait=")?.parse().ok());
    Duration::from_secs(wait.unwrap_or(0).min(MAX_WAIT_SECONDS))
}
