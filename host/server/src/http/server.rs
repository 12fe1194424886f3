//! Serves a router on a listener, with limits on connections.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum_server::tls_rustls::{RustlsAcceptor, RustlsConfig};
use axum_server::{Handle, Server};

use super::connections::BoundedAcceptor;
use sluice_config::HttpLimits;

/// Serves on `listener` until `shutdown`. Then waits for running requests, up to the configured time.
pub async fn serve(
    listener: tokio::net::TcpListener,
    router: Router,
    limits: &HttpLimits,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let handle = Handle::new();
    let stop = handle.clone();
    let patience = Duration::from_secs(limits.shutdown_seconds);
    let stopping = tokio::spawn(async move {
        shutdown.await;
        stop.graceful_shutdown(Some(patience));
    });
    let bounded = BoundedAcceptor::new(handle.clone(), limits);
    let head = Duration::from_secs(limits.head_seconds);
    let mut server: Server<SocketAddr> = axum_server::from_tcp(listener.into_std()?)?.handle(handle);
    // Between two requests a connection may be silent for this time. HTTP/1 counts it to the time of the next head.
    server.http_builder().http1().header_read_timeout(Duration::from_secs(limits.idle_seconds));
    // HTTP/1 only: an idle HTTP/1 connection ends, and a silent client could keep an HTTP/2 connection open.
    let server = server.first_request_timeout(head).http1_only();
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    let served = match (&limits.certificate_file, &limits.certificate_key_file) {
        (Some(certificate), Some(key)) => {
            let mut tls = (*RustlsConfig::from_pem_file(certificate, key).await?.get_inner()).clone();
            tls.alpn_protocols = vec![b"http/1.1".to_vec()];
            let config = RustlsConfig::from_config(Arc::new(tls));
            let acceptor = RustlsAcceptor::new(config).handshake_timeout(head).acceptor(bounded);
            server.acceptor(acceptor).serve(service).await
        }
        (None, None) => server.acceptor(bounded).serve(service).await,
        _ => {
            Err(io::Error::other("http.certificate_file and http.certificate_key_file need each other: one is missing"))
        }
    };
    stopping.abort();
    served
}
