//! A channel: one end of a socket pair that carries messages, each with a file descriptor at most.
//!
//! A message is its length as four bytes in little-endian order, and that many bytes of postcard. A descriptor comes with
//! the first of them. The bytes of a long message are in a file in memory that both sides have: writing and reading it costs
//! less than a socket. The two sides take turns, so one file serves both directions. Each side reads the file into memory
//! of its own before it decodes, so the other side cannot change a message that is being decoded.

use std::fs::File;
use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt as _;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{MemfdFlags, memfd_create};
use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, recv,
    recvmsg, send, sendmsg,
};
use serde::{Deserialize, Serialize};

/// Number of bytes of a message's length.
const HEADER_BYTES: usize = 4;

/// Length in bytes from which a message is written to the shared file.
const SHARED_BYTES: usize = 8 << 10;

/// Bit of the length of a message whose bytes are in the shared file.
const SHARED: u32 = 1 << 31;

/// Bytes of a buffer that a channel keeps for the next message. A longer one is released.
const KEPT_BYTES: usize = 4 << 20;

/// Reason why a message cannot be sent or received.
#[derive(Debug, thiserror::Error)]
pub enum ChannelError {
    /// The other process ended.
    #[error("the other process ended")]
    Closed,
    /// The deadline passed.
    #[error("the other process did not answer in time")]
    TimedOut,
    /// The message is longer than its limit.
    #[error("a message has {0} bytes, which is more than is accepted")]
    TooLong(usize),
    /// The bytes are no message.
    #[error("a message cannot be decoded")]
    Malformed,
    /// The system failed.
    #[error("the channel failed: {0}")]
    System(std::io::Error),
}

impl From<Errno> for ChannelError {
    fn from(error: Errno) -> Self {
        match error {
            Errno::PIPE | Errno::CONNRESET => Self::Closed,
            error => Self::System(error.into()),
        }
    }
}

/// One end of a channel.
#[derive(Debug)]
pub struct Channel {
    socket: UnixStream,
    /// Maximum length of a received message, in bytes.
    max_bytes: usize,
    /// File in memory that both sides have.
    shared: Option<File>,
    outgoing: Vec<u8>,
    incoming: Vec<u8>,
}

impl Channel {
    /// Returns the end of a channel over this socket.
    #[must_use]
    pub fn new(socket: UnixStream, max_bytes: usize) -> Self {
        Self { socket, max_bytes, shared: None, outgoing: vec![], incoming: vec![] }
    }

    /// Makes the file in memory for long messages. The other side gets it with a message, and calls [`Channel::share`].
    ///
    /// # Errors
    ///
    /// Fails if the system has no memory or no descriptor left.
    pub fn make_shared(&mut self) -> std::io::Result<OwnedFd> {
        let file = memfd_create("sluice", MemfdFlags::CLOEXEC)?;
        self.shared = Some(file.try_clone()?.into());
        Ok(file)
    }

    /// Uses a file in memory for long messages.
    pub fn share(&mut self, file: OwnedFd) {
        self.shared = Some(file.into());
    }

    /// Sets the maximum length of received messages, in bytes.
    pub fn set_max_bytes(&mut self, max_bytes: usize) {
        self.max_bytes = max_bytes;
    }

    /// Returns the socket.
    #[must_use]
    pub fn socket(&self) -> &UnixStream {
        &self.socket
    }

    /// Sends a message, with a file if there is one. Without a deadline it waits until the other side reads.
    ///
    /// # Errors
    ///
    /// Fails if the other process ended, or does not read until the deadline.
    pub fn send<M: Serialize>(
        &mut self,
        message: &M,
        file: Option<BorrowedFd<'_>>,
        deadline: Option<Instant>,
    ) -> Result<(), ChannelError> {
        let mut buffer = std::mem::take(&mut self.outgoing);
        buffer.clear();
        buffer.extend_from_slice(&[0; HEADER_BYTES]);
        let mut buffer = postcard::to_extend(message, buffer).map_err(|_| ChannelError::Malformed)?;
        let length = u32::try_from(buffer.len() - HEADER_BYTES).ok().filter(|length| length & SHARED == 0);
        let length = length.ok_or(ChannelError::TooLong(buffer.len()))?;
        let sent = match &self.shared {
            Some(shared) if buffer.len() >= SHARED_BYTES => {
                shared.write_all_at(&buffer[HEADER_BYTES..], 0).map_err(ChannelError::System)?;
                self.send_bytes(&(length | SHARED).to_le_bytes(), file, deadline)
            }
            _ => {
                buffer[..HEADER_BYTES].copy_from_slice(&length.to_le_bytes());
                self.send_bytes(&buffer, file, deadline)
            }
        };
        buffer.truncate(0);
        if buffer.capacity() <= KEPT_BYTES {
            self.outgoing = buffer;
        }
        sent
    }

    fn send_bytes(
        &self,
        mut bytes: &[u8],
        mut file: Option<BorrowedFd<'_>>,
        deadline: Option<Instant>,
    ) -> Result<(), ChannelError> {
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        while !bytes.is_empty() {
            let sent = match file {
                Some(descriptor) => {
                    let descriptors = [descriptor];
                    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
                    let mut ancillary = SendAncillaryBuffer::new(&mut space);
                    ancillary.push(SendAncillaryMessage::ScmRights(&descriptors));
                    sendmsg(&self.socket, &[IoSlice::new(bytes)], &mut ancillary, flags)
                }
                None => send(&self.socket, bytes, flags),
            };
            match sent {
                Ok(sent) => {
                    bytes = &bytes[sent..];
                    file = None;
                }
                Err(Errno::AGAIN) => self.wait(PollFlags::OUT, deadline)?,
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Receives a message, and its file if it has one.
    ///
    /// # Errors
    ///
    /// Fails if the other process ended or sends nothing until the deadline, and if the message is too long or is none.
    pub fn receive<M: for<'m> Deserialize<'m>>(
        &mut self,
        deadline: Option<Instant>,
    ) -> Result<(M, Option<OwnedFd>), ChannelError> {
        let (mut header, mut file) = ([0; HEADER_BYTES], None);
        let mut filled = 0;
        while filled < HEADER_BYTES {
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
            let mut ancillary = RecvAncillaryBuffer::new(&mut space);
            let mut slices = [IoSliceMut::new(&mut header[filled..])];
            match recvmsg(&self.socket, &mut slices, &mut ancillary, RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC) {
                Ok(received) if received.bytes == 0 => return Err(ChannelError::Closed),
                Ok(received) => filled += received.bytes,
                Err(Errno::AGAIN) => self.wait(PollFlags::IN, deadline)?,
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            for message in ancillary.drain() {
                if let RecvAncillaryMessage::ScmRights(descriptors) = message {
                    // Each descriptor is owned from here on, so one too many is closed.
                    descriptors.for_each(|descriptor| file = Some(descriptor));
                }
            }
        }
        let header = u32::from_le_bytes(header);
        let length = (header & !SHARED) as usize;
        if length > self.max_bytes {
            return Err(ChannelError::TooLong(length));
        }
        let mut buffer = std::mem::take(&mut self.incoming);
        buffer.resize(length, 0);
        let mut filled = 0;
        if header & SHARED != 0 {
            let shared = self.shared.as_ref().ok_or(ChannelError::Malformed)?;
            // A file that is shorter than the other side says is no message.
            shared.read_exact_at(&mut buffer, 0).map_err(|_| ChannelError::Malformed)?;
            if length > KEPT_BYTES {
                shared.set_len(0).map_err(ChannelError::System)?;
            }
            filled = length;
        }
        while filled < length {
            match recv(&self.socket, &mut buffer[filled..], RecvFlags::DONTWAIT) {
                Ok((0, _)) => return Err(ChannelError::Closed),
                Ok((received, _)) => filled += received,
                Err(Errno::AGAIN) => self.wait(PollFlags::IN, deadline)?,
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let message = postcard::from_bytes(&buffer).map_err(|_| ChannelError::Malformed);
        if buffer.capacity() <= KEPT_BYTES {
            self.incoming = buffer;
        }
        Ok((message?, file))
    }

    /// Waits until a message begins to arrive or the other process ends. Returns false if the time passes before.
    ///
    /// # Errors
    ///
    /// Fails if the system does.
    pub fn wait_for_message(&self, until: Instant) -> Result<bool, ChannelError> {
        match self.wait(PollFlags::IN, Some(until)) {
            Ok(()) => Ok(true),
            Err(ChannelError::TimedOut) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Waits until the socket is ready, the other side closes it, or the deadline passes.
    fn wait(&self, flags: PollFlags, deadline: Option<Instant>) -> Result<(), ChannelError> {
        let timeout = match deadline {
            None => None,
            Some(deadline) => match deadline.checked_duration_since(Instant::now()) {
                None | Some(Duration::ZERO) => return Err(ChannelError::TimedOut),
                Some(left) => Some(Timespec { tv_sec: left.as_secs() as i64, tv_nsec: left.subsec_nanos().into() }),
            },
        };
        let mut descriptors = [PollFd::from_borrowed_fd(self.socket.as_fd(), flags)];
        match poll(&mut descriptors, timeout.as_ref()) {
            Ok(0) => Err(ChannelError::TimedOut),
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SharedBytes;

    fn pair(max_bytes: usize) -> (Channel, Channel) {
        let (one, other) = UnixStream::pair().unwrap();
        (Channel::new(one, max_bytes), Channel::new(other, max_bytes))
    }

    #[test]
    fn messages_and_files_arrive() {
        messages_arrive(pair(10 << 20));
        let (mut one, mut other) = pair(10 << 20);
        other.share(one.make_shared().unwrap());
        messages_arrive((one, other));
    }

    fn messages_arrive((mut one, mut other): (Channel, Channel)) {
        let (turn, turns) = std::sync::mpsc::channel();
        let texts = ["", "short", &"long ".repeat(1_000_000)];
        std::thread::scope(|scope| {
            scope.spawn(move || {
                for text in texts {
                    let file = SharedBytes::new(text.as_bytes()).unwrap();
                    one.send(&text, Some(file.as_fd()), None).unwrap();
                    turns.recv().unwrap();
                    one.send(&text, None, None).unwrap();
                    turns.recv().unwrap();
                }
            });
            for text in texts {
                let (received, file) = other.receive::<String>(None).unwrap();
                turn.send(()).unwrap();
                let file = SharedBytes::accept(file.unwrap(), u64::MAX).unwrap();
                assert!(received == text && file.read().unwrap() == text.as_bytes());
                assert!(matches!(other.receive::<String>(None), Ok((received, None)) if received == text));
                turn.send(()).unwrap();
            }
        });
    }

    #[test]
    fn a_hostile_end_is_refused() {
        use std::io::Write as _;
        let soon = || Some(Instant::now() + Duration::from_millis(20));
        type Case = (&'static [u8], fn(&ChannelError) -> bool);
        let cases: &[Case] = &[
            (b"", |error| matches!(error, ChannelError::TimedOut)),
            (b"\x05\0", |error| matches!(error, ChannelError::TimedOut)),
            (b"\x05\0\0\0\x04te", |error| matches!(error, ChannelError::TimedOut)),
            (b"\x05\0\0\x80", |error| matches!(error, ChannelError::Malformed)),
            (b"\xff\xff\xff\xff", |error| matches!(error, ChannelError::TooLong(_))),
            (b"\x05\0\0\0\x09text", |error| matches!(error, ChannelError::Malformed)),
            (b"\x05\0\0\0\x04te\xfft", |error| matches!(error, ChannelError::Malformed)),
        ];
        for (bytes, expected) in cases {
            let (one, mut other) = pair(100);
            one.socket().write_all(bytes).unwrap();
            let error = other.receive::<String>(soon()).unwrap_err();
            assert!(expected(&error), "{bytes:?}: {error}");
        }
        let (one, mut other) = pair(100);
        drop(one);
        assert!(matches!(other.receive::<String>(None), Err(ChannelError::Closed)));
        assert!(matches!(other.send(&"text", None, None), Err(ChannelError::Closed)));
        let (mut one, _unread) = pair(100);
        assert!(matches!(one.send(&"x".repeat(10 << 20), None, soon()), Err(ChannelError::TimedOut)));
    }
}
