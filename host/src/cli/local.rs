//! A server in the same process, for commands that need one and are not told of any.

use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use serde_json::Value;
use sluice::app::{self, ADMIN_FILE, Options};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::client::{Client, read_credentials};
use super::view::View;

/// Longest wait for a server that answers no more to come to its end.
const PATIENCE: Duration = Duration::from_secs(10);

/// A running server, and a client of its own that may do everything.
pub struct Local {
    pub client: Client,
    pub address: String,
    serving: JoinHandle<Result<()>>,
    stop: oneshot::Sender<()>,
}

impl Local {
    /// Starts a server, and waits until it answers: it compiles its plugins first.
    pub async fn start(view: View, options: Options) -> Result<Self> {
        let listener =
            TcpListener::bind(("127.0.0.1", 0)).await.context("cannot listen on a free port of 127.0.0.1")?;
        let address = format!("http://{}", listener.local_addr()?);
        let credentials = options.data_dir.join(ADMIN_FILE);
        let (stop, stopped) = oneshot::channel::<()>();
        let stopped = async {
            // Dropped or told, it is time to stop.
            let _ = stopped.await;
        };
        let mut serving = tokio::spawn(app::serve(listener, options, stopped));
        let bar = view.bar("Starting a server", None);
        let anybody = Client::new(&address, None, None)?;
        tokio::select! {
            ready = anybody.get::<Value>("/health/ready") => {
                if let Err(error) = ready {
                    // A server that cannot start ends at about this moment, and says better why.
                    let ended = tokio::time::timeout(PATIENCE, &mut serving).await;
                    return Err(ended.map_or(error, too_soon));
                }
            }
            ended = &mut serving => return Err(too_soon(ended)),
        }
        bar.finish_and_clear();
        let client = Client::new(&address, Some(read_credentials(&credentials)?), None)?;
        Ok(Self { client, address, serving, stop })
    }

    /// Does some work with the server, as long as it runs.
    pub async fn during<T>(&mut self, work: impl Future<Output = T>) -> Result<T> {
        tokio::select! {
            done = work => Ok(done),
            ended = &mut self.serving => Err(too_soon(ended)),
        }
    }

    /// Stops it.
    pub async fn end(self) -> Result<()> {
        drop(self.stop);
        self.serving.await?
    }
}

fn too_soon(ended: Result<Result<()>, tokio::task::JoinError>) -> anyhow::Error {
    match ended {
        Ok(Err(error)) => error,
        Err(error) => error.into(),
        Ok(Ok(())) => anyhow!("the server stopped before the work was done"),
    }
}
