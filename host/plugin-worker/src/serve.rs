//! The loop that handles the server's requests.

use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

use crate::component::{compile, load};
use crate::engine::Engines;
use crate::plugin::{LoadedPlugin, SharedChannel};
use crate::walls;
use sluice_plugin_protocol::{Channel, ChannelError, Rejection, Reply, Request, SharedBytes};

/// Maximum length of a request in bytes. The server is trusted, so this only keeps a damaged length from being believed.
const MAX_REQUEST_BYTES: usize = u32::MAX as usize;

/// Handles requests from standard input, which is a socket, until the server closes it. Returns the exit code.
pub fn run() -> ExitCode {
    // A message of a panic could quote a record, and the server keeps none: it sees that the process ended.
    std::panic::set_hook(Box::new(|_| std::process::abort()));
    walls::close_descriptors();
    let Ok(socket) = std::io::stdin().as_fd().try_clone_to_owned() else { return ExitCode::FAILURE };
    // wasmtime's WASI runs its futures on the runtime of the thread, and would make a runtime with threads otherwise.
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().build() else { return ExitCode::FAILURE };
    let _entered = runtime.enter();
    let mut channel = Channel::new(UnixStream::from(socket), MAX_REQUEST_BYTES);
    let Ok((Request::Start { stack_bytes, server }, Some(shared))) = channel.receive(None) else {
        return ExitCode::FAILURE;
    };
    channel.share(shared);
    // The pool opens a file of the kernel, so it is made before the walls.
    let engines = Engines::new(usize::try_from(stack_bytes).unwrap_or(usize::MAX));
    let walls = walls::raise(server);
    if channel.send(&Reply::Ready(walls), None, None).is_err() {
        return ExitCode::FAILURE;
    }
    let mut server = PluginServer { channel: Arc::new(Mutex::new(channel)), engines, plugin: None };
    loop {
        match server.handle_next() {
            Ok(()) => {}
            Err(ChannelError::Closed) => return ExitCode::SUCCESS,
            Err(_) => return ExitCode::FAILURE,
        }
    }
}

/// State of a worker.
struct PluginServer {
    channel: SharedChannel,
    engines: Engines,
    plugin: Option<LoadedPlugin>,
}

impl PluginServer {
    /// Handles the next request.
    fn handle_next(&mut self) -> Result<(), ChannelError> {
        let (request, file) = self.channel().receive::<Request<'static>>(None)?;
        let (reply, code) = match request {
            Request::Compile { process } => {
                walls::limit_resources(&process);
                let compiled = read(file).and_then(|bytes| compile(&mut self.engines, &bytes));
                match compiled.and_then(|(code, compiled)| Ok((shared(&code)?, compiled))) {
                    Ok((code, compiled)) => (Reply::Compiled(compiled), Some(code)),
                    Err(reason) => (Reply::Rejected(Rejection::Component(reason)), None),
                }
            }
            Request::Load { world, pooled, process } => {
                walls::limit_resources(&process);
                let loaded = read(file).map_err(Rejection::Component).and_then(|code| {
                    let engine = if pooled {
                        self.engines.pooled()
                    } else {
                        self.engines.on_demand().map_err(|error| format!("{error:#}"))
                    };
                    let engine = engine.map_err(Rejection::StaleCode)?;
                    let component = load(&engine.wasmtime, &code);
                    let component = component.map_err(|error| Rejection::StaleCode(format!("{error:#}")))?;
                    LoadedPlugin::link(engine, component, world).map_err(Rejection::Component)
                });
                match loaded {
                    Ok(plugin) => {
                        self.plugin = Some(plugin);
                        (Reply::Loaded, None)
                    }
                    Err(rejection) => (Reply::Rejected(rejection), None),
                }
            }
            Request::Describe { limits } => match self.plugin()?.describe(&limits, &self.channel) {
                Ok(description) => (Reply::Described(description), None),
                Err(reason) => (Reply::Rejected(Rejection::Component(reason)), None),
            },
            Request::Call(call) => (Reply::Returned(self.plugin()?.call(call, &self.channel)), None),
            Request::Start { .. } | Request::LookupAnswer(_) => return Err(ChannelError::Malformed),
        };
        let file = code.as_ref().map(|code| code.as_fd());
        self.channel().send(&reply, file, None)
    }

    fn channel(&self) -> std::sync::MutexGuard<'_, Channel> {
        self.channel.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn plugin(&self) -> Result<&LoadedPlugin, ChannelError> {
        self.plugin.as_ref().ok_or(ChannelError::Malformed)
    }
}

/// Reads the file of a request.
fn read(file: Option<OwnedFd>) -> Result<Vec<u8>, String> {
    let bytes = file.ok_or_else(|| "it has no file".to_owned())?;
    let bytes = SharedBytes::accept(bytes, u64::MAX).and_then(|bytes| bytes.read());
    bytes.map_err(|error| format!("its file cannot be read: {error}"))
}

/// Puts compiled code into shared memory.
fn shared(code: &[u8]) -> Result<SharedBytes, String> {
    SharedBytes::new(code).map_err(|error| format!("its compiled code is too long: {error}"))
}
