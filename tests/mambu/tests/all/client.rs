//! A caller that sees what happens on the wire: an answer, half of one, an end or a reset.

use std::time::Duration;

use mock_mambu::{API_KEY, Mambu, Options, PRODUCT_KEY, Running};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Longer than anything here takes.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Answered,
    /// The connection ended before a whole answer.
    Closed,
    Reset,
    TimedOut,
}

/// What came back.
#[derive(Debug)]
pub struct Reply {
    pub end: End,
    /// 0 if not even a head came.
    pub status: u16,
    /// In lower case.
    pub head: String,
    pub text: String,
}

impl Reply {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or(Value::Null)
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }

    /// The reason of a refusal.
    pub fn reason(&self) -> String {
        self.json()["errors"][0]["errorReason"].as_str().unwrap_or_default().to_owned()
    }

    fn read(end: End, bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(bytes);
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let status = head.get(9..12).and_then(|status| status.parse().ok()).unwrap_or(0);
        Self { end, status, head: head.to_lowercase(), text: body.to_owned() }
    }
}

/// Whether these bytes are a whole answer. A 102 without a successor is one here.
fn is_whole(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes).into_owned();
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.to_lowercase().lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
    body.len() >= length.unwrap_or(0)
}

/// Reads until there is a whole answer or an end.
pub async fn read(stream: &mut TcpStream, patience: Duration) -> Reply {
    let mut bytes = vec![];
    let reading = async {
        loop {
            match stream.read_buf(&mut bytes).await {
                Ok(0) => return End::Closed,
                Ok(_) if is_whole(&bytes) => return End::Answered,
                Ok(_) => (),
                Err(_) => return End::Reset,
            }
        }
    };
    let end = tokio::time::timeout(patience, reading).await.unwrap_or(End::TimedOut);
    Reply::read(end, &bytes)
}

/// One stand-in, and calls to it.
pub struct Caller {
    pub mambu: Running,
}

impl Caller {
    pub async fn start(options: Options) -> Self {
        Self { mambu: Mambu::start(options).await.unwrap() }
    }

    pub async fn default() -> Self {
        Self::start(Options::default()).await
    }

    pub fn host(&self) -> String {
        self.mambu.url().replace("http://", "")
    }

    pub async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.host()).await.unwrap()
    }

    /// A call with these headers beside the usual ones.
    pub async fn call_with(&self, method: &str, path: &str, headers: &str, body: &str, patience: Duration) -> Reply {
        let mut stream = self.connect().await;
        let request = request(method, path, headers, body);
        if stream.write_all(request.as_bytes()).await.is_err() {
            return Reply::read(End::Reset, b"");
        }
        read(&mut stream, patience).await
    }

    pub async fn call(&self, method: &str, path: &str, body: &Value) -> Reply {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        self.call_with(method, path, "", &body, PATIENCE).await
    }

    /// A POST whose body is sent as it stands.
    pub async fn post(&self, path: &str, body: &str) -> Reply {
        self.call_with("POST", path, "", body, PATIENCE).await
    }

    pub async fn get(&self, path: &str) -> Value {
        let reply = self.call("GET", path, &Value::Null).await;
        assert_eq!(reply.status, 200, "{path}: {reply:?}");
        reply.json()
    }

    /// A POST that has to succeed.
    pub async fn done(&self, path: &str, body: &Value) -> Value {
        let reply = self.call("POST", path, body).await;
        assert!([200, 201].contains(&reply.status), "{path}: {reply:?}");
        reply.json()
    }

    /// A client, and its encoded key.
    pub async fn client(&self, id: &str) -> String {
        let client = self.done("/clients", &json!({"id": id, "firstName": "Jana", "lastName": "Nováková"})).await;
        client["encodedKey"].as_str().unwrap().to_owned()
    }

    /// A loan of 1000.00 at 12 % in three installments from the end of February 2020.
    pub async fn loan(&self, id: &str, holder: &str) -> Value {
        self.done("/loans", &loan(id, holder)).await
    }

    pub async fn act(&self, loan: &str, action: &str) -> Value {
        self.done(&format!("/loans/{loan}:changeState"), &json!({"action": action})).await
    }

    /// Approves a loan and pays it out on the last day of January 2020.
    pub async fn run(&self, loan: &str) {
        self.act(loan, "APPROVE").await;
        let body = json!({"valueDate": day("2020-01-31"), "externalId": format!("{loan}-out")});
        self.done(&format!("/loans/{loan}/disbursement-transactions"), &body).await;
    }

    /// What the server's own view of a loan is.
    pub fn seen(&self, loan: &str) -> Value {
        let state = self.mambu.state();
        let loans = state["loans"].as_array().unwrap();
        loans.iter().find(|one| one["id"] == loan).cloned().unwrap_or(Value::Null)
    }
}

/// A request as it goes over the wire.
pub fn request(method: &str, path: &str, headers: &str, body: &str) -> String {
    let usual = format!("host: mock\r\naccept: application/vnd.mambu.v2+json\r\napikey: {API_KEY}\r\n");
    let kind = if body.is_empty() { "" } else { "content-type: application/json\r\n" };
    let length = body.len();
    format!("{method} /api{path} HTTP/1.1\r\n{usual}{kind}{headers}content-length: {length}\r\n\r\n{body}")
}

pub fn day(day: &str) -> String {
    format!("{day}T00:00:00+00:00")
}

pub fn loan(id: &str, holder: &str) -> Value {
    json!({
        "id": id, "accountHolderKey": holder, "accountHolderType": "CLIENT", "productTypeKey": PRODUCT_KEY,
        "loanAmount": "1000.00",
        "scheduleSettings": {"gracePeriod": 0, "repaymentInstallments": 3, "repaymentPeriodCount": 1,
            "repaymentPeriodUnit": "MONTHS"},
        "interestSettings": {"interestRate": 12},
        "disbursementDetails": {"expectedDisbursementDate": day("2020-01-31"),
            "firstRepaymentDate": day("2020-02-29")},
    })
}

/// An installment as it is set.
pub fn installment(due: &str, principal: &str, interest: &str) -> Value {
    json!({"dueDate": day(due), "principal": {"amount": {"expected": principal}},
        "interest": {"amount": {"expected": interest}}})
}
