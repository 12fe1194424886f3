//! The request loop of one connection.

use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::availability::Uptime;
use crate::http::{MockResponse, RequestError, RequestReader};
use crate::service::{ConnectionAction, MockService};

/// Serves a connection until it ends. Resets it when the server goes down.
pub async fn serve(service: Arc<MockService>, mut stream: TcpStream, mut uptime: Uptime) {
    // Sends each response immediately.
    let _ = stream.set_nodelay(true);
    let reset = tokio::select! {
        reset = serve_requests(&service, &mut stream) => reset,
        () = uptime.ended() => true,
    };
    if reset {
        // Without lingering the client receives a reset instead of a close.
        let _ = stream.set_zero_linger();
    } else {
        let _ = stream.shutdown().await;
    }
}

/// Serves requests until the connection ends. Returns true if the connection must be reset.
async fn serve_requests(service: &Arc<MockService>, stream: &mut TcpStream) -> bool {
    let mut reader = RequestReader::default();
    loop {
        let request = match reader.request(stream).await {
            Ok(request) => request,
            Err(RequestError::Disconnected) => return false,
            Err(RequestError::Rejected(status)) => {
                let _ = stream.write_all(&MockResponse::empty(status).with("connection", "close").to_bytes()).await;
                return false;
            }
        };
        let close = request.closes_connection();
        let uptime = service.availability.uptime();
        let task = tokio::spawn({
            let service = Arc::clone(service);
            // A spawned task executes the request even if the client disconnects.
            async move { service.handle(&request, uptime).await }
        });
        let written = match task.await.unwrap_or(ConnectionAction::Reset) {
            ConnectionAction::Respond(response) => stream.write_all(&response.to_bytes()).await,
            ConnectionAction::Processing if service.options.close_after_processing => {
                let _ = stream.write_all(&MockResponse::empty(102).to_bytes()).await;
                return false;
            }
            ConnectionAction::Processing => stream.write_all(&MockResponse::empty(102).to_bytes()).await,
            ConnectionAction::Close => return false,
            ConnectionAction::Reset => return true,
            ConnectionAction::Truncate(response) => {
                let bytes = response.to_bytes();
                let _ = stream.write_all(&bytes[..bytes.len() / 2]).await;
                return false;
            }
            ConnectionAction::Stall => {
                let mut discarded = [0; 1024];
                while stream.read(&mut discarded).await.is_ok_and(|read| read > 0) {}
                return false;
            }
        };
        if written.is_err() || close {
            return false;
        }
    }
}
