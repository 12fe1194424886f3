//! The running mock server and its controls for tests.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::connection;
use crate::control_api::make_deposits;
use crate::faults::{FaultRule, FaultStatus};
use crate::options::MockOptions;
use crate::service::MockService;
use crate::stats::{CallCounter, CallStats};

/// Entry point that starts a mock server.
pub struct MockMambu;

/// A mock server that runs until it is stopped or dropped.
pub struct MockServer {
    service: Arc<MockService>,
    address: SocketAddr,
    accept_task: JoinHandle<()>,
}

impl MockMambu {
    /// Starts a mock server on 127.0.0.1, in the current runtime.
    ///
    /// # Errors
    /// Fails if the port cannot be bound.
    pub async fn start(options: MockOptions) -> io::Result<MockServer> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, options.port)).await?;
        let address = listener.local_addr()?;
        let service = Arc::new(MockService::new(options));
        let accept_task = tokio::spawn(accept(Arc::clone(&service), listener));
        Ok(MockServer { service, address, accept_task })
    }
}

/// Accepts connections, and resets them while the server is down.
async fn accept(service: Arc<MockService>, listener: TcpListener) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // The most likely cause is a lack of file descriptors. Other connections will release some.
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        if service.availability.is_up() {
            let uptime = service.availability.uptime();
            tokio::spawn(connection::serve(Arc::clone(&service), stream, uptime));
        } else {
            let _ = stream.set_zero_linger();
        }
    }
}

impl MockServer {
    /// Returns `http://127.0.0.1:PORT`, without `/api`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Adds a fault rule.
    pub fn order(&self, fault: FaultRule) {
        self.service.fault_rules().add(fault);
    }

    /// Returns the fault rules with the number of times that each was applied.
    #[must_use]
    pub fn faults(&self) -> Vec<FaultStatus> {
        self.service.fault_rules().list()
    }

    /// Removes all fault rules.
    pub fn clear_faults(&self) {
        self.service.fault_rules().clear();
    }

    /// Returns the call statistics since the start or the last reset.
    #[must_use]
    pub fn stats(&self) -> CallStats {
        self.service.call_counter().stats()
    }

    /// Resets the call statistics.
    pub fn clear_stats(&self) {
        *self.service.call_counter() = CallCounter::default();
    }

    /// Returns the complete state, as `GET /_mock/state` does.
    #[must_use]
    pub fn state(&self) -> Value {
        self.service.bank().dump()
    }

    /// Creates deposit accounts without a holder and returns their encoded keys in the order of the ids. Existing
    /// accounts do not change.
    #[must_use]
    pub fn make_deposits(&self, ids: &[&str]) -> Vec<String> {
        make_deposits(&mut self.service.bank(), ids)
    }

    /// Takes the server down for this time. See [`crate::FaultKind::Restart`].
    pub fn restart(&self, down: Duration) {
        self.service.availability.restart(down);
    }

    /// Resets all connections and releases the port.
    pub async fn stop(mut self) {
        self.shut_down();
        let _ = (&mut self.accept_task).await;
    }

    /// Stops accepting connections and resets the open ones.
    fn shut_down(&self) {
        self.accept_task.abort();
        self.service.availability.restart(Duration::ZERO);
    }
}

impl Drop for MockServer {
    fn drop(&mut self) {
        self.shut_down();
    }
}
