//! A stand-in that runs, and what a test may ask of it.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::connection;
use crate::control_api::make_deposits;
use crate::faults::{Fault, Ordered};
use crate::options::Options;
use crate::service::Service;
use crate::stats::{Counts, Stats};

/// The stand-in.
pub struct Mambu;

/// A stand-in that runs until it is stopped or dropped.
pub struct Running {
    service: Arc<Service>,
    address: SocketAddr,
    accepting: JoinHandle<()>,
}

impl Mambu {
    /// Starts a stand-in on 127.0.0.1, in this runtime.
    ///
    /// # Errors
    /// The port cannot be had.
    pub async fn start(options: Options) -> io::Result<Running> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, options.port)).await?;
        let address = listener.local_addr()?;
        let service = Arc::new(Service::new(options));
        let accepting = tokio::spawn(accept(Arc::clone(&service), listener));
        Ok(Running { service, address, accepting })
    }
}

async fn accept(service: Arc<Service>, listener: TcpListener) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // Out of descriptors, most likely: some will be given back.
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        if service.power.is_up() {
            let life = service.power.life();
            tokio::spawn(connection::serve(Arc::clone(&service), stream, life));
        } else {
            let _ = stream.set_zero_linger();
        }
    }
}

impl Running {
    /// `http://127.0.0.1:PORT`, without `/api`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Orders a fault.
    pub fn order(&self, fault: Fault) {
        self.service.orders().order(fault);
    }

    /// The ordered faults and how often each has struck.
    #[must_use]
    pub fn faults(&self) -> Vec<Ordered> {
        self.service.orders().list()
    }

    /// Takes all orders back.
    pub fn clear_faults(&self) {
        self.service.orders().clear();
    }

    /// What was counted so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.service.counts().stats()
    }

    /// Counts from now.
    pub fn clear_stats(&self) {
        *self.service.counts() = Counts::default();
    }

    /// Everything, as `GET /_mock/state` shows it.
    #[must_use]
    pub fn state(&self) -> Value {
        self.service.bank().dump()
    }

    /// Makes deposit accounts of nobody's, and gives their encoded keys in the order of the ids. Those that
    /// exist stay as they are.
    #[must_use]
    pub fn make_deposits(&self, ids: &[&str]) -> Vec<String> {
        make_deposits(&mut self.service.bank(), ids)
    }

    /// Goes down now, and for so long: see [`crate::Kind::Restart`].
    pub fn restart(&self, down: Duration) {
        self.service.power.restart(down);
    }

    /// Resets all connections and gives the port back.
    pub async fn stop(mut self) {
        self.end();
        let _ = (&mut self.accepting).await;
    }

    fn end(&self) {
        self.accepting.abort();
        self.service.power.restart(Duration::ZERO);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end();
    }
}
