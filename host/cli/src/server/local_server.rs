//! A server in the command's own process, for verbs that need a server and are not given one.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use serde_json::Value;
use sluice_client::{MapperView, SluiceClient, read_credentials};
use sluice_config::Config;
use sluice_data_dir::ADMIN_FILE;
use sluice_model::{DOMAINS, Digest};
use sluice_server::app::Options;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::{JoinError, JoinHandle};
use uuid::Uuid;

use crate::progress::ProgressDisplay;

/// Maximum wait for the end of a server that does not become ready.
const END_TIMEOUT: Duration = Duration::from_secs(10);

/// A running server, with a client that has every permission.
pub struct LocalServer {
    /// Client with every permission.
    pub client: SluiceClient,
    /// Address, such as `http://127.0.0.1:40123`.
    pub address: String,
    serving: JoinHandle<Result<()>>,
    stop: oneshot::Sender<()>,
}

impl LocalServer {
    /// Starts a server on a free port and waits until it is ready. It compiles its plugins first.
    pub async fn start(progress: ProgressDisplay, options: Options) -> Result<Self> {
        let listener =
            TcpListener::bind(("127.0.0.1", 0)).await.context("cannot listen on a free port of 127.0.0.1")?;
        let address = format!("http://{}", listener.local_addr()?);
        let credentials = options.data_dir.join(ADMIN_FILE);
        let (stop, stopped) = oneshot::channel::<()>();
        let stopped = async {
            // A dropped sender stops the server too.
            let _ = stopped.await;
        };
        let mut serving = tokio::spawn(sluice_server::serve(listener, options, stopped));
        let bar = progress.bar("Starting a server", None);
        let anonymous = SluiceClient::new(&address, None, None)?;
        tokio::select! {
            ready = anonymous.get::<Value>("/health/ready") => {
                if let Err(error) = ready {
                    // A server that cannot start ends about now, and its own error is more specific.
                    let ended = tokio::time::timeout(END_TIMEOUT, &mut serving).await;
                    return Err(ended.map_or(error.into(), premature_end));
                }
            }
            ended = &mut serving => return Err(premature_end(ended)),
        }
        bar.finish_and_clear();
        let client = SluiceClient::new(&address, Some(read_credentials(&credentials)?), None)?;
        Ok(Self { client, address, serving, stop })
    }

    /// Runs `work` while the server runs. Fails if the server ends first.
    pub async fn run_with<T>(&mut self, work: impl Future<Output = T>) -> Result<T> {
        tokio::select! {
            done = work => Ok(done),
            ended = &mut self.serving => Err(premature_end(ended)),
        }
    }

    /// Stops the server and waits for its end.
    pub async fn stop(self) -> Result<()> {
        drop(self.stop);
        self.serving.await?
    }
}

/// Runs `work` with a temporary server that offers these mappers, and removes the server's data afterwards.
pub async fn with_temporary_server<T>(
    progress: ProgressDisplay,
    config: Option<&Path>,
    mappers: Vec<PathBuf>,
    work: impl AsyncFnOnce(&SluiceClient) -> Result<T>,
) -> Result<T> {
    let data_dir = std::env::temp_dir().join(format!("sluice-{}", Uuid::new_v4()));
    let config = config.map(Config::read).transpose()?.unwrap_or_default();
    let options = Options { data_dir: data_dir.clone(), config, mappers, ..Options::default() };
    let done = async {
        let mut server = LocalServer::start(progress, options).await?;
        let client = server.client.clone();
        let done = server.run_with(work(&client)).await??;
        server.stop().await?;
        anyhow::Ok(done)
    };
    let done = done.await;
    // The directory holds records. So it is removed after an error too.
    if data_dir.exists() {
        std::fs::remove_dir_all(&data_dir).with_context(|| format!("cannot remove {}", data_dir.display()))?;
    }
    done
}

/// Returns the digest of a file.
pub fn file_digest(file: &Path) -> Result<Digest> {
    let bytes = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    Ok(Digest::of(&bytes))
}

/// Registers a migration of all domains with the mapper in a file, and returns the mapper and the migration's id. Fails if
/// the mapper lacks one of the sources.
pub async fn register(client: &SluiceClient, file: &Path, sources: &[(String, PathBuf)]) -> Result<(MapperView, Uuid)> {
    let (mappers, digest) = (client.mappers().await?, file_digest(file)?.to_string());
    let Some(mapper) = mappers.into_iter().find(|mapper| mapper.digest == digest) else {
        bail!("{} is not a mapper: see `sluice plugin inspect`", file.display());
    };
    let known: Vec<&str> = mapper.sources.iter().map(|source| source.name.as_str()).collect();
    if let Some((name, _)) = sources.iter().find(|(name, _)| !known.contains(&name.as_str())) {
        bail!("{} has no source {name}. It has: {}", mapper.name, known.join(", "));
    }
    let components: Vec<&str> = DOMAINS.iter().map(|domain| domain.component).collect();
    let migration = client.register(&components, &digest, None).await?;
    Ok((mapper, migration.reference_id))
}

/// Returns the error for a server that ended before it was stopped.
fn premature_end(ended: Result<Result<()>, JoinError>) -> anyhow::Error {
    match ended {
        Ok(Err(error)) => error,
        Err(error) => error.into(),
        Ok(Ok(())) => anyhow!("the server stopped before the work was done"),
    }
}
