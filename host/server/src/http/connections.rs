//! Connections: how many there are, of all clients and of each address, and how long one may be silent.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum_server::Handle;
use axum_server::accept::Accept;
use hashbrown::HashMap;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_io_timeout::TimeoutStream;

use sluice_config::HttpLimits;

/// Acceptor that limits the number of connections, and ends those whose client does not read.
#[derive(Clone)]
pub struct BoundedAcceptor {
    handle: Handle<SocketAddr>,
    connections: usize,
    write: Duration,
    addresses: Arc<AddressCounts>,
}

/// Number of open connections of each address.
struct AddressCounts {
    /// Maximum for one address.
    most: usize,
    open: Mutex<HashMap<IpAddr, usize>>,
}

/// An open connection of an address. It counts until it is dropped.
struct CountedAddress {
    counts: Arc<AddressCounts>,
    address: IpAddr,
}

/// A connection, with the count of its address.
pub struct CountedStream {
    stream: Pin<Box<TimeoutStream<TcpStream>>>,
    _counted: CountedAddress,
}

impl BoundedAcceptor {
    /// Makes an acceptor with the configured limits.
    pub fn new(handle: Handle<SocketAddr>, limits: &HttpLimits) -> Self {
        Self {
            handle,
            connections: limits.connections,
            write: Duration::from_secs(limits.write_seconds),
            addresses: Arc::new(AddressCounts { most: limits.connections_per_address, open: Mutex::default() }),
        }
    }

    fn bounded(&self, stream: TcpStream) -> io::Result<CountedStream> {
        if self.handle.connection_count() > self.connections {
            return Err(io::Error::other("too many connections"));
        }
        let counted = self.addresses.count(stream.peer_addr()?.ip().to_canonical())?;
        // Results are small, and clients wait for them.
        let _ = stream.set_nodelay(true);
        let mut bounded = TimeoutStream::new(stream);
        bounded.set_write_timeout(Some(self.write));
        Ok(CountedStream { stream: Box::pin(bounded), _counted: counted })
    }
}

impl<S> Accept<TcpStream, S> for BoundedAcceptor {
    type Stream = CountedStream;
    type Service = S;
    type Future = std::future::Ready<io::Result<(Self::Stream, S)>>;

    fn accept(&self, stream: TcpStream, service: S) -> Self::Future {
        std::future::ready(self.bounded(stream).map(|stream| (stream, service)))
    }
}

impl AddressCounts {
    fn count(self: &Arc<Self>, address: IpAddr) -> io::Result<CountedAddress> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let number = open.entry(address).or_default();
        if *number >= self.most {
            return Err(io::Error::other("too many connections of one address"));
        }
        *number += 1;
        Ok(CountedAddress { counts: self.clone(), address })
    }
}

impl Drop for CountedAddress {
    fn drop(&mut self) {
        let mut open = self.counts.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(number) = open.get_mut(&self.address) {
            *number -= 1;
            if *number == 0 {
                open.remove(&self.address);
            }
        }
    }
}

impl AsyncRead for CountedStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.stream.as_mut().poll_read(cx, buffer)
    }
}

impl AsyncWrite for CountedStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &[u8]) -> Poll<io::Result<usize>> {
        self.stream.as_mut().poll_write(cx, buffer)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream.as_mut().poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream.as_mut().poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.stream.as_mut().poll_write_vectored(cx, buffers)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each address has its own number, which falls when a connection ends.
    #[test]
    fn counts_each_address() {
        let counts = Arc::new(AddressCounts { most: 2, open: Mutex::default() });
        let (one, other): (IpAddr, IpAddr) = ([192, 0, 2, 1].into(), [192, 0, 2, 2].into());
        let mut open = vec![counts.count(one).unwrap(), counts.count(one).unwrap()];
        assert!(counts.count(one).is_err());
        open.push(counts.count(other).unwrap());
        open.remove(0);
        open.push(counts.count(one).unwrap());
        assert!(counts.count(one).is_err());
        drop(open);
        assert!(counts.open.lock().unwrap().is_empty(), "an address without connections is forgotten");
    }
}
