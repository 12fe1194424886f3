//! A server in the same process, for commands that need one and are not told of any.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use serde::Deserialize;
use serde_json::{Value, json};
use sluice_client::Method;
use sluice_config::Config;
use sluice_data_dir::ADMIN_FILE;
use sluice_model::{DOMAINS, Digest};
use sluice_server::app::Options;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::migration::steps::MIGRATIONS;
use crate::view::View;
use sluice_client::{Client, read_credentials};

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
        let mut serving = tokio::spawn(sluice_server::serve(listener, options, stopped));
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

/// Does some work with a server that is made for it, takes these mappers, and leaves nothing behind.
pub async fn throw_away<T>(
    view: View,
    config: Option<&Path>,
    mappers: Vec<PathBuf>,
    work: impl AsyncFnOnce(&Client) -> Result<T>,
) -> Result<T> {
    let data_dir = std::env::temp_dir().join(format!("sluice-{}", uuid::Uuid::new_v4()));
    let config = config.map(Config::read).transpose()?.unwrap_or_default();
    let options = Options { data_dir: data_dir.clone(), config, mappers };
    let done = async {
        let mut local = Local::start(view, options).await?;
        let client = local.client.clone();
        let done = local.during(work(&client)).await??;
        local.end().await?;
        anyhow::Ok(done)
    };
    let done = done.await;
    // Records are in it: nothing of them stays, however it went.
    if data_dir.exists() {
        std::fs::remove_dir_all(&data_dir).with_context(|| format!("cannot remove {}", data_dir.display()))?;
    }
    done
}

/// A mapper as the server lists it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Mapper {
    pub name: String,
    pub version: String,
    pub digest: Digest,
    pub sources: Vec<Source>,
    pub entity_types: Vec<String>,
}

#[derive(Deserialize)]
pub struct Source {
    pub name: String,
}

#[derive(Deserialize)]
struct Mappers {
    items: Vec<Mapper>,
}

/// The digest of a file.
pub fn digest_of(file: &Path) -> Result<Digest> {
    let bytes = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    Ok(Digest::of(&bytes))
}

/// Registers a migration, of every domain, with the mapper that a file is; both. These sources it must have.
pub async fn registered(client: &Client, file: &Path, sources: &[(String, PathBuf)]) -> Result<(Mapper, String)> {
    let (Mappers { items }, digest) = (client.get("/migration-assistance/mappers").await?, digest_of(file)?);
    let Some(mapper) = items.into_iter().find(|mapper| mapper.digest == digest) else {
        bail!("{} is not a mapper: see `sluice plugin inspect`", file.display());
    };
    let known: Vec<&str> = mapper.sources.iter().map(|source| source.name.as_str()).collect();
    if let Some((name, _)) = sources.iter().find(|(name, _)| !known.contains(&name.as_str())) {
        bail!("{} has no source {name}. It has: {}", mapper.name, known.join(", "));
    }
    let components: Vec<&str> = DOMAINS.iter().map(|domain| domain.component).collect();
    let body = json!({"components": components, "mapper": digest});
    let migration: Value = client.send(Method::POST, MIGRATIONS, &body).await?;
    let id = migration["referenceId"].as_str().context("the server gave no reference id")?;
    Ok((mapper, id.to_owned()))
}

fn too_soon(ended: Result<Result<()>, tokio::task::JoinError>) -> anyhow::Error {
    match ended {
        Ok(Err(error)) => error,
        Err(error) => error.into(),
        Ok(Ok(())) => anyhow!("the server stopped before the work was done"),
    }
}
