//! The mock server as a separate process, controlled over HTTP.

use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::client::{Reply, TIMEOUT, read};

/// A mock server process and its address.
struct MockProcess {
    child: Child,
    host: String,
}

impl MockProcess {
    fn start(arguments: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_mock-mambu"))
            .args(arguments)
            .arg("--until-stdin-closes")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let host = line.trim_end().strip_prefix("ready at http://").expect(&line).to_owned();
        Self { child, host }
    }

    async fn call(&self, method: &str, path: &str, headers: &str, body: &str) -> Reply {
        let mut stream = TcpStream::connect(&self.host).await.unwrap();
        let length = body.len();
        let head = format!("{method} {path} HTTP/1.1\r\nhost: mock\r\n{headers}content-length: {length}\r\n\r\n{body}");
        stream.write_all(head.as_bytes()).await.unwrap();
        read(&mut stream, TIMEOUT).await
    }
}

#[tokio::test]
async fn serves_and_is_controlled_over_http() {
    let secret = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("mock-mambu-apikey-{}", std::process::id()));
    std::fs::write(&secret, "from a file\n").unwrap();
    let mut program = MockProcess::start(&["--apikey-file", secret.to_str().unwrap(), "--calls-per-second", "1000"]);
    let usual = "accept: application/vnd.mambu.v2+json\r\ncontent-type: application/json\r\napikey: ";
    let known = format!("{usual}from a file\r\n");
    let client = json!({"firstName": "Jana", "lastName": "Nováková"}).to_string();

    let wrong = program.call("POST", "/api/clients", &format!("{usual}other\r\n"), &client).await;
    assert_eq!(wrong.status, 401);
    let order = r#"[{"method":"POST","path":"/clients","kind":{"errorAfter":503}},
        {"method":"*","path":"*","every":2,"kind":{"restart":{"ms":10,"committed":true}}},
        {"method":"GET","path":"/loans","nth":3,"kind":"lostAnswer"}]"#;
    assert_eq!(program.call("POST", "/_mock/faults", "", order).await.status, 204);
    assert_eq!(program.call("POST", "/_mock/faults", "", r#"[{"method":"GET"}]"#).await.status, 400);
    assert_eq!(program.call("POST", "/api/clients", &known, &client).await.status, 503);
    let faults = program.call("GET", "/_mock/faults", "", "").await.json();
    assert_eq!(
        (&faults[0]["struck"], &faults[1]["matched"], &faults[2]["kind"]),
        (&json!(1), &json!(1), &json!("lostAnswer"))
    );
    assert_eq!(program.call("DELETE", "/_mock/faults", "", "").await.status, 204);
    assert_eq!(program.call("GET", "/_mock/faults", "", "").await.json(), json!([]));

    let made = program.call("POST", "/_mock/deposits", "", r#"["D1","D2"]"#).await.json();
    let state = program.call("GET", "/_mock/state", "", "").await.json();
    assert_eq!(state["clients"][0]["firstName"], "Jana");
    assert_eq!((&state["deposits"][1]["encodedKey"], &made[1]["id"]), (&made[1]["encodedKey"], &json!("D2")));
    let stats = program.call("GET", "/_mock/stats", "", "").await.json();
    assert_eq!(
        (&stats["calls"], &stats["by"][0]),
        (&json!(2), &json!({"method": "POST", "path": "/clients", "calls": 2}))
    );
    assert_eq!(program.call("DELETE", "/_mock/stats", "", "").await.status, 204);
    assert_eq!(program.call("GET", "/_mock/stats", "", "").await.json()["firstMs"], Value::Null);

    drop(program.child.stdin.take());
    assert!(program.child.wait().unwrap().success());
    let mut rest = String::new();
    program.child.stdout.take().unwrap().read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "", "the process prints one line");
}
