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

/// From a moment on until the server next goes down.
pub struct Life {
    times: watch::Receiver<u64>,
    /// How often it had gone down at that moment.
    born: u64,
}

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
        let times = self.times.subscribe();
        let born = *times.borrow();
        Life { times, born }
    }
}

impl Life {
    /// Waits until the server goes down.
    pub async fn ended(&mut self) {
        // Without a sender there is no server any more either.
        let _ = self.times.wait_for(|times| *times != self.born).await;
    }

    /// Whether the server went down since.
    #[must_use]
    pub fn is_over(&self) -> bool {
        *self.times.borrow() != self.born
    }
}
