//! HTTP as clients write it: one connection for many requests, chunks, requests sent ahead.

use mock_mambu::API_KEY;
use serde_json::json;
use tokio::io::AsyncWriteExt;

use crate::client::{Caller, PATIENCE, read, request};

const CLIENT: &str = r#"{"firstName":"Jana","lastName":"Nová"}"#;

#[tokio::test]
async fn many_requests_on_one_connection() {
    let caller = Caller::default().await;
    let mut stream = caller.connect().await;
    for _ in 0..3 {
        stream.write_all(request("POST", "/clients", "", CLIENT).as_bytes()).await.unwrap();
        assert_eq!(read(&mut stream, PATIENCE).await.status, 201);
    }
    stream.write_all(request("DELETE", "/clients/000000001", "", "").as_bytes()).await.unwrap();
    assert_eq!(read(&mut stream, PATIENCE).await.status, 204);
    stream.write_all(request("GET", "/clients", "", "").as_bytes()).await.unwrap();
    assert_eq!(read(&mut stream, PATIENCE).await.json().as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn a_body_in_chunks() {
    let caller = Caller::default().await;
    let mut stream = caller.connect().await;
    let head = format!(
        "POST /api/clients HTTP/1.1\r\nhost: mock\r\nAccept: application/vnd.mambu.v2+json\r\nApiKey: {API_KEY}\r\n\
         content-type: application/json; charset=utf-8\r\ntransfer-encoding: chunked\r\nexpect: 100-continue\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let go_on = read(&mut stream, PATIENCE).await;
    assert_eq!(go_on.status, 100);
    for piece in CLIENT.as_bytes().chunks(7) {
        let chunk = [format!("{:x}\r\n", piece.len()).as_bytes(), piece, b"\r\n"].concat();
        stream.write_all(&chunk).await.unwrap();
        stream.flush().await.unwrap();
        tokio::task::yield_now().await;
    }
    stream.write_all(b"0\r\n\r\n").await.unwrap();
    assert_eq!(read(&mut stream, PATIENCE).await.status, 201);
}

#[tokio::test]
async fn nonsense_is_answered_and_ended() {
    let caller = Caller::default().await;
    for (bytes, status) in [("NO SENSE AT ALL\r\n\r\n", 400), ("GET / HTTP/1.1\r\ncontent-length: x\r\n\r\n", 400)] {
        let mut stream = caller.connect().await;
        stream.write_all(bytes.as_bytes()).await.unwrap();
        assert_eq!(read(&mut stream, PATIENCE).await.status, status, "{bytes}");
    }
    assert_eq!(caller.mambu.stats().calls, 0);
}

#[tokio::test]
async fn ids_with_signs_in_them() {
    let caller = Caller::default().await;
    let body = json!({"id": "Č 1:2/3", "firstName": "Jana", "lastName": "Nová"});
    caller.done("/clients", &body).await;
    assert_eq!(caller.get("/clients/%C4%8C%201%3A2%2F3").await["id"], "Č 1:2/3");
}
