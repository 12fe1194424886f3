//! Whether the server is up: a restart resets what is connected, and for a while what would connect.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;

/// Whether the server is up, and how often it went down.
pub struct Power {
    down_until: Mutex<Option<Instant>>,
    times: watch::Sender<u64>,
}

impl Default for Power {
    fn default() -> Self {
        Self { down_until: Mutex::new(None), times: watch::Sender::new(0) }
    }
}

/// Notices the next time that the server goes down.
pub struct Life(watch::Receiver<u64>);

impl Power {
    /// Goes down, now and for so long.
    pub fn restart(&self, down: Duration) {
        *self.down_until.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now().checked_add(down);
        self.times.send_modify(|times| *times += 1);
    }

    /// Whether connections are let in.
    #[must_use]
    pub fn is_up(&self) -> bool {
        let until = *self.down_until.lock().unwrap_or_else(PoisonError::into_inner);
        until.is_none_or(|until| Instant::now() >= until)
    }

    /// From now until it goes down.
    #[must_use]
    pub fn life(&self) -> Life {
        Life(self.times.subscribe())
    }
}

impl Life {
    /// Waits until the server goes down.
    pub async fn ended(&mut self) {
        // Without a sender there is no server any more either.
        let _ = self.0.changed().await;
    }

    /// Whether the server went down since.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.0.has_changed().unwrap_or(true)
    }
}
