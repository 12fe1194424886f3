//! Availability of the server. A restart resets open connections, and new ones until the server is up again.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;

/// Availability state and number of restarts.
pub struct Availability {
    down_until: Mutex<Option<Instant>>,
    restarts: watch::Sender<u64>,
}

impl Default for Availability {
    fn default() -> Self {
        Self { down_until: Mutex::new(None), restarts: watch::Sender::new(0) }
    }
}

/// Period from a point in time until the next restart.
pub struct Uptime {
    restarts: watch::Receiver<u64>,
    /// Number of restarts at the start of the period.
    initial_restarts: u64,
}

impl Availability {
    /// Takes the server down for this time.
    pub fn restart(&self, down: Duration) {
        *self.down_until.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now().checked_add(down);
        self.restarts.send_modify(|restarts| *restarts += 1);
    }

    /// Returns true if the server accepts connections.
    #[must_use]
    pub fn is_up(&self) -> bool {
        let until = *self.down_until.lock().unwrap_or_else(PoisonError::into_inner);
        until.is_none_or(|until| Instant::now() >= until)
    }

    /// Returns the period from now until the next restart.
    #[must_use]
    pub fn uptime(&self) -> Uptime {
        let restarts = self.restarts.subscribe();
        let initial_restarts = *restarts.borrow();
        Uptime { restarts, initial_restarts }
    }
}

impl Uptime {
    /// Waits for the next restart.
    pub async fn ended(&mut self) {
        // An error means that the sender, and so the server, is gone.
        let _ = self.restarts.wait_for(|restarts| *restarts != self.initial_restarts).await;
    }

    /// Returns true if the server was restarted since the start of the period.
    #[must_use]
    pub fn is_over(&self) -> bool {
        *self.restarts.borrow() != self.initial_restarts
    }
}
