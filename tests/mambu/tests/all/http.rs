//! HTTP/1.1: persistent connections, chunked bodies, malformed requests, percent-encoded paths.

use mock_mambu::API_KEY;
use serde_json::json;
use tokio::io::AsyncWriteExt;

use crate::client::{MambuClient, TIMEOUT, read, request};

const CLIENT: &str = r#"{"firstName":"Jana","lastName":"Nová"}"#;

#[tokio::test]
async fn serves_many_requests_on_one_connection() {
    let api = MambuClient::default().await;
    let mut stream = api.connect().await;
    for _ in 0..3 {
        stream.write_all(request("POST", "/clients", "", CLIENT).as_bytes()).await.unwrap();
        assert_eq!(read(&mut stream, TIMEOUT).await.status, 201);
    }
    stream.write_all(request("DELETE", "/clients/000000001", "", "").as_bytes()).await.unwrap();
    assert_eq!(read(&mut stream, TIMEOUT).await.status, 204);
    stream.write_all(request("GET", "/clients", "", "").as_bytes()).await.unwrap();
    assert_eq!(read(&mut stream, TIMEOUT).await.json().as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn reads_a_chunked_body() {
    let api = MambuClient::default().await;
    let mut stream = api.connect().await;
    let head = format!(
        "POST /api/clients HTTP/1.1\r\nhost: mock\r\nAccept: application/vnd.mambu.v2+json\r\nApiKey: {API_KEY}\r\n\
         content-type: application/json; charset=utf-8\r\ntransfer-encoding: chunked\r\nexpect: 100-continue\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let interim = read(&mut stream, TIMEOUT).await;
    assert_eq!(interim.status, 100);
    for piece in CLIENT.as_bytes().chunks(7) {
        let chunk = [format!("{:x}\r\n", piece.len()).as_bytes(), piece, b"\r\n"].concat();
        stream.write_all(&chunk).await.unwrap();
        stream.flush().await.unwrap();
        tokio::task::yield_now().await;
    }
    stream.write_all(b"0\r\n\r\n").await.unwrap();
    assert_eq!(read(&mut stream, TIMEOUT).await.status, 201);
}

#[tokio::test]
async fn rejects_malformed_requests() {
    let api = MambuClient::default().await;
    for (bytes, status) in [("NO SENSE AT ALL\r\n\r\n", 400), ("GET / HTTP/1.1\r\ncontent-length: x\r\n\r\n", 400)] {
        let mut stream = api.connect().await;
        stream.write_all(bytes.as_bytes()).await.unwrap();
        assert_eq!(read(&mut stream, TIMEOUT).await.status, status, "{bytes}");
    }
    assert_eq!(api.mambu.stats().calls, 0);
}

#[tokio::test]
async fn decodes_percent_encoded_ids() {
    let api = MambuClient::default().await;
    let body = json!({"id": "Č 1:2/3", "firstName": "Jana", "lastName": "Nová"});
    api.post_ok("/clients", &body).await;
    assert_eq!(api.get("/clients/%C4%8C%201%3A2%2F3").await["id"], "Č 1:2/3");
}
