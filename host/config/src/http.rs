//! Limits of the HTTP server.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Limits of the HTTP server.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HttpLimits {
    /// File with the certificate chain (PEM). With a certificate and its key, the server accepts TLS only.
    pub certificate_file: Option<PathBuf>,
    /// File with the certificate's private key (PEM).
    pub certificate_key_file: Option<PathBuf>,
    /// Maximum length of a JSON body in bytes. 64 KiB: registrations are small. Uploads of records have their own
    /// limits.
    pub json_bytes: usize,
    /// Maximum average number of requests per second of one client. 100: a client that sends more is in a loop.
    pub requests_per_second: u32,
    /// Number of requests that one client may send at once before the average applies. 200.
    pub request_burst: u32,
    /// Maximum number of concurrent requests of one client. 32: each upload and each event stream is one.
    pub concurrent_requests: usize,
    /// Maximum number of concurrent connections. 1,024: each costs tens of kilobytes.
    pub connections: usize,
    /// Maximum number of concurrent connections of one address. 256: a quarter of all, so that one address shuts nobody
    /// out. A proxy before the server is one address.
    pub connections_per_address: usize,
    /// Maximum wait in seconds for a first request, for a JSON body and for a TLS handshake. 10: these are small.
    pub head_seconds: u64,
    /// Maximum time in seconds between two requests of a connection, the head of the second one included. 10: a client
    /// that has more to say sends it at once, and an idle connection takes the place of another one.
    pub idle_seconds: u64,
    /// Maximum time in seconds that a client may take to read a part of a response. 60: after that the client is gone.
    pub write_seconds: u64,
    /// Maximum wait in seconds for running requests when the server stops. 30: the time that orchestrators grant.
    pub shutdown_seconds: u64,
    /// Maximum wait in milliseconds for a thread and for the probes of `GET /health/ready`. After it the server is not ready.
    /// 2,000: orchestrators ask every few seconds.
    pub ready_millis: u64,
    /// Free bytes on the disk of the data directory below which the server is not ready. 256 MiB: what runs can still end.
    pub ready_free_bytes: u64,
    /// Number of hours for which the server keeps the response to a `POST` with an `Idempotency-Key`. 24.
    pub idempotency_hours: u64,
}

impl Default for HttpLimits {
    fn default() -> Self {
        Self {
            certificate_file: None,
            certificate_key_file: None,
            json_bytes: 64 << 10,
            requests_per_second: 100,
            request_burst: 200,
            concurrent_requests: 32,
            connections: 1_024,
            connections_per_address: 256,
            head_seconds: 10,
            idle_seconds: 10,
            write_seconds: 60,
            shutdown_seconds: 30,
            ready_millis: 2_000,
            ready_free_bytes: 256 << 20,
            idempotency_hours: 24,
        }
    }
}
