//! Serves a router on a listener until told to stop.

use axum::Router;

/// Serves on `listener` until `shutdown`; requests that are running are answered to their end.
pub async fn serve(
    listener: tokio::net::TcpListener,
    router: Router,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    axum::serve(listener, router).with_graceful_shutdown(shutdown).await
}
