//! WASI for plugins: without files, network and environment; nothing in it waits.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::io::AsyncWrite;
use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, Resource};
use wasmtime_wasi::WasiView as _;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{DynPollable, OutputStream, Pollable, StreamError, StreamResult, subscribe};

use crate::plugin::state::StoreState;

/// Adds WASI to a linker. Every pollable is ready at once: a plugin that sleeps or polls goes on without waiting, because
/// its clock stands still.
pub(crate) fn add_to_linker(linker: &mut Linker<StoreState>) -> wasmtime::Result<()> {
    wasmtime_wasi::p2::add_to_linker_sync(linker)?;
    linker.allow_shadowing(true);
    let mut poll = linker.instance("wasi:io/poll@0.2.12")?;
    poll.func_wrap(
        "poll",
        |mut store: StoreContextMut<'_, StoreState>, (pollables,): (Vec<Resource<DynPollable>>,)| {
            store.data_mut().count_call()?;
            if pollables.is_empty() {
                wasmtime::bail!("it polls an empty list");
            }
            Ok(((0..pollables.len() as u32).collect::<Vec<u32>>(),))
        },
    )?;
    poll.func_wrap("[method]pollable.ready", |_: StoreContextMut<'_, StoreState>, (_,): (Resource<DynPollable>,)| {
        Ok((true,))
    })?;
    poll.func_wrap(
        "[method]pollable.block",
        |mut store: StoreContextMut<'_, StoreState>, (_,): (Resource<DynPollable>,)| store.data_mut().count_call(),
    )?;
    let mut clock = linker.instance("wasi:clocks/monotonic-clock@0.2.12")?;
    for name in ["subscribe-instant", "subscribe-duration"] {
        clock.func_wrap(name, |mut store: StoreContextMut<'_, StoreState>, (_,): (u64,)| {
            let table = store.data_mut().ctx().table;
            let deadline = table.push(PastDeadline)?;
            Ok((subscribe(table, deadline)?,))
        })?;
    }
    linker.allow_shadowing(false);
    Ok(())
}

/// A deadline that has passed.
struct PastDeadline;

#[async_trait::async_trait]
impl Pollable for PastDeadline {
    async fn ready(&mut self) {}
}

/// Text that a plugin writes to standard output or standard error: the first bytes of it are kept, the others dropped.
#[derive(Clone)]
pub(crate) struct CapturedOutput {
    max_bytes: usize,
    text: Arc<Mutex<Vec<u8>>>,
}

impl CapturedOutput {
    /// Returns an empty output that keeps this number of bytes.
    pub fn new(max_bytes: usize) -> Self {
        Self { max_bytes, text: Arc::default() }
    }

    /// Returns the kept text.
    pub fn text(&self) -> String {
        let text = self.text.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&text).trim().to_owned()
    }

    fn append(&self, bytes: &[u8]) {
        let mut text = self.text.lock().unwrap_or_else(PoisonError::into_inner);
        let room = self.max_bytes.saturating_sub(text.len()).min(bytes.len());
        text.extend_from_slice(&bytes[..room]);
    }
}

impl IsTerminal for CapturedOutput {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for CapturedOutput {
    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }

    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }
}

/// Bytes that a plugin may write at once.
const WRITE_BYTES: usize = 64 << 10;

impl OutputStream for CapturedOutput {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.append(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> Result<usize, StreamError> {
        Ok(WRITE_BYTES)
    }
}

#[async_trait::async_trait]
impl Pollable for CapturedOutput {
    async fn ready(&mut self) {}
}

impl AsyncWrite for CapturedOutput {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.append(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
