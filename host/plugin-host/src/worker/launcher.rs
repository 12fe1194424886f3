//! The thread that starts worker processes.

use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Sender, channel};

/// Command that starts a worker.
#[derive(Clone, Debug)]
pub struct WorkerCommand {
    program: PathBuf,
    arguments: Vec<OsString>,
}

impl WorkerCommand {
    /// Argument with which `sluice` is a worker.
    pub const ARGUMENT: &str = "plugin-worker";

    /// Returns the command that starts this program once more. It is the same program even if its file was replaced.
    #[must_use]
    pub fn this_program() -> Self {
        Self::program("/proc/self/exe")
    }

    /// Returns the command that starts a worker of another program file, which is a `sluice`.
    pub fn program(program: impl Into<PathBuf>) -> Self {
        Self { program: program.into(), arguments: vec![Self::ARGUMENT.into()] }
    }

    /// Returns the command that starts this program once more as a worker with these arguments. Unit tests use it: their
    /// program is not `sluice`.
    #[must_use]
    pub fn this_program_with(arguments: &[&str]) -> Self {
        Self { arguments: arguments.iter().map(Into::into).collect(), ..Self::this_program() }
    }
}

impl Default for WorkerCommand {
    fn default() -> Self {
        Self::this_program()
    }
}

/// A started process, and the socket to it.
pub(crate) type Started = (Child, UnixStream);

/// Starts processes on a thread of its own: the kernel kills a worker when the thread that started it ends.
pub(crate) struct Launcher {
    requests: Sender<Sender<io::Result<Started>>>,
}

impl Launcher {
    /// Starts the thread. With `spare` it always has one more process ready than was requested, once one was.
    pub fn new(command: WorkerCommand, spare: bool) -> io::Result<Self> {
        let (requests, received) = channel::<Sender<io::Result<Started>>>();
        std::thread::Builder::new().name("plugin-launcher".into()).spawn(move || {
            let mut ready: Option<Started> = None;
            for reply in received {
                let started = ready.take().map_or_else(|| start(&command), Ok);
                let failed = started.is_err();
                if let Err(unclaimed) = reply.send(started)
                    && let Ok(started) = unclaimed.0
                {
                    end(started);
                }
                if spare && !failed {
                    ready = start(&command).ok();
                }
            }
            ready.into_iter().for_each(end);
        })?;
        Ok(Self { requests })
    }

    /// Returns a new process.
    pub fn launch(&self) -> io::Result<Started> {
        let (reply, received) = channel();
        let gone = || io::Error::other("the thread that starts workers ended");
        self.requests.send(reply).map_err(|_| gone())?;
        received.recv().map_err(|_| gone())?
    }
}

fn start(command: &WorkerCommand) -> io::Result<Started> {
    let (ours, theirs) = UnixStream::pair()?;
    // The message of a panic could quote a record, so standard error goes nowhere.
    let child = Command::new(&command.program)
        .args(&command.arguments)
        .env_clear()
        .current_dir("/")
        // A terminal's interrupt goes to the server alone, which stops in order.
        .process_group(0)
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    Ok((child, ours))
}

/// Ends a process that nobody uses.
fn end((mut child, socket): Started) {
    drop(socket);
    let _ = child.kill();
    let _ = child.wait();
}
