//! Application state for asynchronous code.

use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::{JoinError, JoinHandle};
use tracing::Span;

use super::{App, TenantPermits, UploadRegistry};
use crate::access::AccessError;
use sluice_config::Config;
use sluice_metrics::Metrics;
use sluice_model::Grant;
use sluice_pipeline::jobs::Jobs;

/// The application state as asynchronous code sees it.
///
/// The catalogue, staging, the target and the plugin registry block the thread that calls them: they read and write
/// files, and compile components. So this type gives them only to closures that run on a thread which may block. What it
/// gives directly never waits for a disk.
#[derive(Clone)]
pub struct AsyncApp(Arc<App>);

impl AsyncApp {
    /// Wraps the application state.
    pub fn new(app: Arc<App>) -> Self {
        Self(app)
    }

    /// Runs work that may block, inside the current tracing span, and waits for it.
    ///
    /// The work runs to its end even if the caller is dropped. Fails with the work's error, or with a [`JoinError`] if
    /// the work panicked or the runtime stopped.
    pub async fn blocking<T, E>(&self, work: impl FnOnce(&Arc<App>) -> Result<T, E> + Send + 'static) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<JoinError> + Send + 'static,
    {
        self.spawn_blocking(work).await?
    }

    /// Starts work that may block, inside the current tracing span.
    pub fn spawn_blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Arc<App>) -> T + Send + 'static,
    ) -> JoinHandle<T> {
        let app = self.0.clone();
        spawn_blocking(move || work(&app))
    }

    /// Returns the configuration.
    pub fn config(&self) -> &Config {
        &self.0.config
    }

    /// Returns the running jobs and uploads.
    pub fn jobs(&self) -> &Arc<Jobs> {
        &self.0.jobs
    }

    /// Returns the permits for work of tenants.
    pub fn permits(&self) -> &Arc<TenantPermits> {
        &self.0.permits
    }

    /// Returns the resumable uploads in use.
    pub fn uploads(&self) -> &UploadRegistry {
        &self.0.uploads
    }

    /// Returns the server's metrics.
    pub fn metrics(&self) -> &Metrics {
        &self.0.metrics
    }

    /// Returns a receiver that is notified of each new log entry of any migration.
    pub fn log_changes(&self) -> watch::Receiver<()> {
        self.0.store.log_changes()
    }

    /// Verifies a token of the configured issuer. May call the issuer.
    pub async fn admit_external(&self, token: &str) -> Result<Grant, AccessError> {
        self.0.access.admit_external(token).await
    }
}

/// Starts work that may block, inside the current tracing span, on the runtime's pool of blocking threads.
pub fn spawn_blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    let span = Span::current();
    tokio::task::spawn_blocking(move || span.in_scope(work))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::{Options, test_worker};

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
    }

    /// Blocking work leaves the runtime's only thread free, and a panic becomes an error.
    #[test]
    fn runs_beside_the_runtime() {
        let directory = tempfile::tempdir().unwrap();
        let options =
            Options { data_dir: directory.path().to_owned(), worker: test_worker::command(), ..Options::default() };
        let runtime = runtime();
        let _entered = runtime.enter();
        let app = AsyncApp::new(App::open(&options).unwrap());
        runtime.block_on(async {
            let (send, receive) = std::sync::mpsc::channel();
            let waiting = app.blocking(move |_| Ok::<u32, JoinError>(receive.recv().unwrap()));
            let sending = async move { send.send(7).unwrap() };
            let (received, ()) = tokio::join!(waiting, sending);
            assert_eq!(received.unwrap(), 7);
            let panicked = app.blocking(|_| -> Result<(), JoinError> { panic!("a record") }).await;
            assert!(panicked.unwrap_err().is_panic());
        });
    }

    /// Blocking work runs in the span of its caller.
    #[test]
    fn keeps_the_span() {
        let subscriber = tracing_subscriber::registry();
        let _default = tracing::subscriber::set_default(subscriber);
        let runtime = runtime();
        let dispatch = tracing::dispatcher::get_default(Clone::clone);
        let ids = runtime.block_on(async {
            let span = tracing::info_span!("request");
            let _entered = span.enter();
            let inside = spawn_blocking(move || tracing::dispatcher::with_default(&dispatch, || Span::current().id()));
            (span.id(), inside.await.unwrap())
        });
        assert!(ids.0.is_some());
        assert_eq!(ids.0, ids.1);
    }
}
