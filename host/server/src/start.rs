//! Start and stop of a server: above the application state and above the routes.

use anyhow::Result;
use sluice_audit::{Action, Entry, Scope};
use sluice_data_dir::ADMIN_FILE;
use sluice_model::Actor;

use crate::app::{App, Options, erasure};

/// Serves on `listener` until `shutdown`, and then until running requests and jobs have come to a stop.
///
/// A server without clients listens on loopback only, and makes a first client: see [`ADMIN_FILE`].
pub async fn serve(
    listener: tokio::net::TcpListener,
    options: Options,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<()> {
    let address = listener.local_addr()?;
    let data_dir = options.data_dir.clone();
    let app = tokio::task::spawn_blocking(move || {
        let app = App::open(&options)?;
        let beyond = !address.ip().is_loopback();
        if beyond && app.store.clients()?.is_empty() {
            anyhow::bail!(
                "no API client exists yet: make one with `sluice client create`, or listen on 127.0.0.1 to begin with"
            );
        }
        if app.first_client(&options.data_dir)? {
            let file = options.data_dir.join(ADMIN_FILE);
            tracing::info!("made a first client that may do everything; its id and secret are in {}", file.display());
        }
        Ok(app)
    })
    .await??;
    let http = app.config.http.clone();
    let tls = if http.certificate_file.is_some() { "https" } else { "http" };
    tracing::info!("ready at {tls}://{address}, keeping everything in {}", data_dir.display());
    let router = crate::http::router(app.clone());
    tokio::spawn(crate::http::go_on(app.clone()));
    let settling = tokio::spawn(app.jobs.clone().keep_settling());
    let retention = tokio::spawn(erasure::keep_to_retention(app.clone()));
    let jobs = app.clone();
    let stopping = async move {
        shutdown.await;
        jobs.jobs.stop();
    };
    let served = crate::http::serve(listener, router, &http, stopping).await;
    retention.abort();
    settling.abort();
    served?;
    app.jobs.wait().await;
    app.jobs.settle_left();
    app.audit(Scope::Server, Entry::new(Actor::Server, Action::ServerStopped))?;
    Ok(())
}
