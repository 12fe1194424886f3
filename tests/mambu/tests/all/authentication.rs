//! Authentication and media types.

use tokio::io::AsyncWriteExt;

use crate::client::{MambuClient, TIMEOUT, read, request};

#[tokio::test]
async fn accepts_only_known_credentials_and_media_types() {
    let api = MambuClient::default().await;
    let accept = "accept: application/vnd.mambu.v2+json\r\n";
    for (headers, status) in [
        (accept.to_owned(), 401),
        (format!("{accept}apikey: wrong\r\n"), 401),
        (format!("{accept}authorization: Basic bWlncmF0aW9uOndyb25n\r\n"), 401),
        // Base64 of `migration:mock-mambu-password`.
        (format!("{accept}authorization: Basic bWlncmF0aW9uOm1vY2stbWFtYnUtcGFzc3dvcmQ=\r\n"), 200),
        (format!("{accept}apikey: {}\r\n", mock_mambu::API_KEY), 200),
        (format!("accept: application/json\r\napikey: {}\r\n", mock_mambu::API_KEY), 406),
        (format!("apikey: {}\r\n", mock_mambu::API_KEY), 406),
    ] {
        let mut stream = api.connect().await;
        let request = format!("GET /api/clients HTTP/1.1\r\nhost: mock\r\n{headers}\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let reply = read(&mut stream, TIMEOUT).await;
        assert_eq!(reply.status, status, "{headers}");
        assert_eq!(reply.json()["errors"].is_array(), status != 200, "{reply:?}");
    }
    let plain = request("POST", "/clients", "", "{}").replace("application/json", "text/plain");
    let mut stream = api.connect().await;
    stream.write_all(plain.as_bytes()).await.unwrap();
    assert_eq!(read(&mut stream, TIMEOUT).await.status, 415);
}
