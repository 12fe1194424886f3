//! Starts and stops a server.

use std::time::Duration;

use anyhow::Result;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use sluice_audit::{Action, AuditEntry, AuditScope};
use sluice_data_dir::ADMIN_FILE;
use sluice_model::Actor;

use crate::app::{App, AsyncApp, Options, purge};

/// Serves on `listener` until `shutdown`. Then waits for running requests and jobs to stop.
///
/// A server without clients listens on a loopback address only, and makes a first client: see [`ADMIN_FILE`].
pub async fn serve(
    listener: tokio::net::TcpListener,
    options: Options,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<()> {
    raise_descriptor_limit();
    let address = listener.local_addr()?;
    let data_dir = options.data_dir.clone();
    let app = tokio::task::spawn_blocking(move || {
        let app = App::open(&options)?;
        let reachable = !address.ip().is_loopback();
        if reachable && app.store.clients()?.is_empty() {
            anyhow::bail!(
                "there is no API client yet: make one with `sluice client create`, or listen on 127.0.0.1 first"
            );
        }
        if app.first_client(&options.data_dir)? {
            let file = options.data_dir.join(ADMIN_FILE);
            tracing::info!("made a first client with every permission; its id and secret are in {}", file.display());
        }
        Ok(AsyncApp::new(app))
    })
    .await??;
    let http = app.config().http.clone();
    let tls = if http.certificate_file.is_some() { "https" } else { "http" };
    tracing::info!("ready at {tls}://{address}, with the data directory {}", data_dir.display());
    let router = crate::http::router(app.clone());
    tokio::spawn(crate::http::resume_pending(app.clone()));
    let settling = tokio::spawn(app.jobs().clone().run_completion_retries());
    let progress = tokio::spawn(app.jobs().clone().run_progress_saves());
    let retention = tokio::spawn(purge::enforce_retention(app.clone()));
    let idle = tokio::spawn(purge::close_idle_areas(app.clone()));
    let (jobs, stopped) = (app.jobs().clone(), app.clone());
    let patience = Duration::from_secs(http.shutdown_seconds);
    let stopping = async move {
        shutdown.await;
        jobs.stop();
        // A plugin that still runs after this time cannot hold up the end.
        tokio::spawn(async move {
            tokio::time::sleep(patience).await;
            let _ = stopped.spawn_blocking(|app| app.registry.close()).await;
        });
    };
    let served = crate::http::serve(listener, router, &http, stopping).await;
    retention.abort();
    idle.abort();
    settling.abort();
    progress.abort();
    served?;
    app.jobs().wait().await;
    app.spawn_blocking(|app| {
        app.jobs.retry_pending_completions();
        app.audit(AuditScope::Server, AuditEntry::new(Actor::Server, Action::ServerStopped))
    })
    .await??;
    Ok(())
}

/// Raises the limit of open descriptors as far as the system allows: each connection and each open migration has some.
fn raise_descriptor_limit() {
    let limit = getrlimit(Resource::Nofile);
    let raised = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    if let Err(error) = raised {
        tracing::warn!(code = "DESCRIPTOR_LIMIT", %error, "cannot raise the limit of open descriptors");
    }
}
