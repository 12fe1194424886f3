//! Who is let in, and in which media types.

use tokio::io::AsyncWriteExt;

use crate::client::{Caller, PATIENCE, read, request};

#[tokio::test]
async fn who_is_let_in() {
    let caller = Caller::default().await;
    let accept = "accept: application/vnd.mambu.v2+json\r\n";
    for (headers, status) in [
        (accept.to_owned(), 401),
        (format!("{accept}apikey: wrong\r\n"), 401),
        (format!("{accept}authorization: Basic bWlncmF0aW9uOndyb25n\r\n"), 401),
        // migration:mock-mambu-password
        (format!("{accept}authorization: Basic bWlncmF0aW9uOm1vY2stbWFtYnUtcGFzc3dvcmQ=\r\n"), 200),
        (format!("{accept}apikey: {}\r\n", mock_mambu::API_KEY), 200),
        (format!("accept: application/json\r\napikey: {}\r\n", mock_mambu::API_KEY), 406),
        (format!("apikey: {}\r\n", mock_mambu::API_KEY), 406),
    ] {
        let mut stream = caller.connect().await;
        let request = format!("GET /api/clients HTTP/1.1\r\nhost: mock\r\n{headers}\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let reply = read(&mut stream, PATIENCE).await;
        assert_eq!(reply.status, status, "{headers}");
        assert_eq!(reply.json()["errors"].is_array(), status != 200, "{reply:?}");
    }
    let plain = request("POST", "/clients", "", "{}").replace("application/json", "text/plain");
    let mut stream = caller.connect().await;
    stream.write_all(plain.as_bytes()).await.unwrap();
    assert_eq!(read(&mut stream, PATIENCE).await.status, 415);
}
