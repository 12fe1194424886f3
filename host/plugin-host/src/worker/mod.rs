//! Worker processes. Each compiles a component, or runs one plugin of one tenant.

pub(crate) mod launcher;
pub(crate) mod pool;

use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::process::Child;
use std::time::{Duration, Instant};

use rustix::process::{Pid, setpriority_process};
use serde::Serialize;

use crate::worker::launcher::Started;
use sluice_plugin_protocol::{Channel, ChannelError, Reply, Request, Walls};

/// Maximum length in bytes of a reply that has no result of a plugin.
const MAX_REPLY_BYTES: usize = 8 << 20;

/// Maximum time in which a worker sets itself up. It takes 20 ms on an idle machine; on a busy one it waits for a
/// processor.
const START_TIME: Duration = Duration::from_secs(60);

/// Time between two looks at how long a call has computed.
const SLOW_CHECK: Duration = Duration::from_millis(250);

/// Time on a processor after which a call has less priority than those of other plugins, so that a plugin that computes for
/// seconds does not slow down others.
const SLOW_CALL: Duration = Duration::from_millis(200);

/// Priority of a slow call, as `nice` has it.
const SLOW_PRIORITY: i32 = 15;

/// A worker process. It is killed when this is dropped.
pub(crate) struct Worker {
    child: Child,
    channel: Channel,
    /// False once the worker cannot be used any more.
    usable: bool,
    /// True once the worker has less priority. It cannot get it back.
    slow: bool,
}

impl Worker {
    /// Sets a started process up. Returns it with its walls.
    pub fn set_up((child, socket): Started, stack_bytes: usize) -> Result<(Self, Walls), ChannelError> {
        let mut channel = Channel::new(socket, MAX_REPLY_BYTES);
        let shared = channel.make_shared().map_err(ChannelError::System)?;
        let mut worker = Self { child, channel, usable: true, slow: false };
        let deadline = Instant::now() + START_TIME;
        let request = Request::Start { stack_bytes: stack_bytes as u64, server: std::process::id() };
        worker.send(&request, Some(shared.as_fd()), deadline)?;
        match worker.receive(deadline)?.0 {
            Reply::Ready(walls) => Ok((worker, walls)),
            _ => Err(ChannelError::Malformed),
        }
    }

    /// Sends a request, with a file if there is one.
    pub fn send<M: Serialize>(
        &mut self,
        request: &M,
        file: Option<BorrowedFd<'_>>,
        deadline: Instant,
    ) -> Result<(), ChannelError> {
        let sent = self.channel.send(request, file, Some(deadline));
        self.usable &= sent.is_ok();
        sent
    }

    /// Receives a reply, and its file if it has one.
    pub fn receive(&mut self, deadline: Instant) -> Result<(Reply, Option<OwnedFd>), ChannelError> {
        let received = self.demote_if_slow(deadline).and_then(|()| self.channel.receive(Some(deadline)));
        self.usable &= received.is_ok();
        received
    }

    /// Waits until a reply begins to arrive. Meanwhile gives the worker less priority once it has computed for long.
    fn demote_if_slow(&mut self, deadline: Instant) -> Result<(), ChannelError> {
        let mut before = None;
        while !self.slow {
            let check = Instant::now() + SLOW_CHECK;
            if check >= deadline || self.channel.wait_for_message(check)? {
                break;
            }
            let now = self.computed();
            if now.saturating_sub(*before.get_or_insert(now)) >= SLOW_CALL {
                self.slow = true;
                // Without effect at worst: the priority only shares processors out.
                let _ = setpriority_process(Some(self.pid()), SLOW_PRIORITY);
            }
        }
        Ok(())
    }

    /// Returns the time that the worker's first thread has spent on a processor. Zero if the system does not say.
    fn computed(&self) -> Duration {
        let text = std::fs::read_to_string(format!("/proc/{}/schedstat", self.child.id())).unwrap_or_default();
        let nanos = text.split(' ').next().and_then(|first| first.parse().ok());
        Duration::from_nanos(nanos.unwrap_or_default())
    }

    /// Sets the maximum length of replies in bytes.
    pub fn set_max_reply_bytes(&mut self, bytes: usize) {
        self.channel.set_max_bytes(bytes);
    }

    /// Marks the worker as unusable: the plugin in it may have control of it.
    pub fn distrust(&mut self) {
        self.usable = false;
    }

    /// Returns true if another call can use the worker.
    pub fn is_reusable(&self) -> bool {
        self.usable && !self.slow
    }

    /// Returns true if the process has not ended.
    pub fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Returns the process's id.
    pub fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // Fails only if the process has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
