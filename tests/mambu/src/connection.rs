//! One connection: request after request, until it or the server ends.

use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::availability::Life;
use crate::http::{Answer, NoRequest, Reader};
use crate::service::{Outcome, Service};

/// Serves a connection. It is reset when the server goes down.
pub async fn serve(service: Arc<Service>, mut stream: TcpStream, mut life: Life) {
    // What is written goes out at once: an answer is one piece.
    let _ = stream.set_nodelay(true);
    let reset = tokio::select! {
        reset = requests(&service, &mut stream) => reset,
        () = life.ended() => true,
    };
    if reset {
        // No lingering: the client gets a reset, not an end.
        let _ = stream.set_zero_linger();
    } else {
        let _ = stream.shutdown().await;
    }
}

/// Serves requests until the connection has to end; true if by a reset.
async fn requests(service: &Arc<Service>, stream: &mut TcpStream) -> bool {
    let mut reader = Reader::default();
    loop {
        let request = match reader.request(stream).await {
            Ok(request) => request,
            Err(NoRequest::Gone) => return false,
            Err(NoRequest::Refused(status)) => {
                let _ = stream.write_all(&Answer::empty(status).with("connection", "close").bytes()).await;
                return false;
            }
        };
        let last = request.last();
        let life = service.power.life();
        let handled = tokio::spawn({
            let service = Arc::clone(service);
            // What has begun is carried out even if the client does not wait for it.
            async move { service.handle(&request, life).await }
        });
        let written = match handled.await.unwrap_or(Outcome::Reset) {
            Outcome::Answer(answer) => stream.write_all(&answer.bytes()).await,
            Outcome::Processing if service.options.close_after_processing => {
                let _ = stream.write_all(&Answer::empty(102).bytes()).await;
                return false;
            }
            Outcome::Processing => stream.write_all(&Answer::empty(102).bytes()).await,
            Outcome::Close => return false,
            Outcome::Reset => return true,
            Outcome::Cut(answer) => {
                let bytes = answer.bytes();
                let _ = stream.write_all(&bytes[..bytes.len() / 2]).await;
                return false;
            }
            Outcome::Never => {
                let mut nothing = [0; 1024];
                while stream.read(&mut nothing).await.is_ok_and(|read| read > 0) {}
                return false;
            }
        };
        if written.is_err() || last {
            return false;
        }
    }
}
