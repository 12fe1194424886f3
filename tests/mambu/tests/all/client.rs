//! An HTTP client that reports how a connection ended: response, partial response, close or reset.

use std::time::Duration;

use mock_mambu::{API_KEY, MockMambu, MockOptions, MockServer, PRODUCT_KEY};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Timeout for calls that are expected to succeed. Longer than any of them takes.
pub const TIMEOUT: Duration = Duration::from_secs(20);

/// The end of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// A complete response was received.
    Answered,
    /// The server closed the connection before the response was complete.
    Closed,
    /// The server reset the connection.
    Reset,
    /// The response was not complete within the timeout.
    TimedOut,
}

/// A received response, complete or partial.
#[derive(Debug)]
pub struct Reply {
    /// The end of the call.
    pub end: End,
    /// HTTP status. 0 if no head was received.
    pub status: u16,
    /// Status line and headers in lower case.
    pub head: String,
    /// Body as text.
    pub text: String,
}

impl Reply {
    /// Returns the body as JSON, or null if it is not JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or(Value::Null)
    }

    /// Returns the value of a header. The name is in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }

    /// Returns the reason of the first error in the body.
    pub fn reason(&self) -> String {
        self.json()["errors"][0]["errorReason"].as_str().unwrap_or_default().to_owned()
    }

    fn parse(end: End, bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(bytes);
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let status = head.get(9..12).and_then(|status| status.parse().ok()).unwrap_or(0);
        Self { end, status, head: head.to_lowercase(), text: body.to_owned() }
    }
}

/// Returns true if these bytes are a complete response. A 102 counts as a final response.
fn is_complete(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes).into_owned();
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.to_lowercase().lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
    body.len() >= length.unwrap_or(0)
}

/// Reads until the response is complete, the connection ends or the timeout expires.
pub async fn read(stream: &mut TcpStream, timeout: Duration) -> Reply {
    let mut bytes = vec![];
    let reading = async {
        loop {
            match stream.read_buf(&mut bytes).await {
                Ok(0) => return End::Closed,
                Ok(_) if is_complete(&bytes) => return End::Answered,
                Ok(_) => (),
                Err(_) => return End::Reset,
            }
        }
    };
    let end = tokio::time::timeout(timeout, reading).await.unwrap_or(End::TimedOut);
    Reply::parse(end, &bytes)
}

/// A mock server and an HTTP client for it.
pub struct MambuClient {
    /// The running mock server.
    pub mambu: MockServer,
}

impl MambuClient {
    /// Starts a mock server.
    pub async fn start(options: MockOptions) -> Self {
        Self { mambu: MockMambu::start(options).await.unwrap() }
    }

    /// Starts a mock server with default options.
    pub async fn default() -> Self {
        Self::start(MockOptions::default()).await
    }

    /// Returns host and port of the mock server.
    pub fn host(&self) -> String {
        self.mambu.url().replace("http://", "")
    }

    /// Opens a connection.
    pub async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.host()).await.unwrap()
    }

    /// Sends a request with additional headers. An empty `headers` adds none.
    pub async fn call_with(&self, method: &str, path: &str, headers: &str, body: &str, timeout: Duration) -> Reply {
        let mut stream = self.connect().await;
        let request = request(method, path, headers, body);
        if stream.write_all(request.as_bytes()).await.is_err() {
            return Reply::parse(End::Reset, b"");
        }
        read(&mut stream, timeout).await
    }

    /// Sends a request with a JSON body, or without a body if it is null.
    pub async fn call(&self, method: &str, path: &str, body: &Value) -> Reply {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        self.call_with(method, path, "", &body, TIMEOUT).await
    }

    /// Sends a POST with this text as its body.
    pub async fn post(&self, path: &str, body: &str) -> Reply {
        self.call_with("POST", path, "", body, TIMEOUT).await
    }

    /// Sends a GET and returns the body. Panics unless the status is 200.
    pub async fn get(&self, path: &str) -> Value {
        let reply = self.call("GET", path, &Value::Null).await;
        assert_eq!(reply.status, 200, "{path}: {reply:?}");
        reply.json()
    }

    /// Sends a POST and returns the body. Panics unless the status is 200 or 201.
    pub async fn post_ok(&self, path: &str, body: &Value) -> Value {
        let reply = self.call("POST", path, body).await;
        assert!([200, 201].contains(&reply.status), "{path}: {reply:?}");
        reply.json()
    }

    /// Creates a client and returns its encoded key.
    pub async fn create_client(&self, id: &str) -> String {
        let client = self.post_ok("/clients", &json!({"id": id, "firstName": "Jana", "lastName": "Nováková"})).await;
        client["encodedKey"].as_str().unwrap().to_owned()
    }

    /// Creates a loan of 1000.00 at 12 % in three installments from the end of February 2020.
    pub async fn create_loan(&self, id: &str, holder: &str) -> Value {
        self.post_ok("/loans", &loan(id, holder)).await
    }

    /// Executes an action of `changeState` on a loan.
    pub async fn change_state(&self, loan: &str, action: &str) -> Value {
        self.post_ok(&format!("/loans/{loan}:changeState"), &json!({"action": action})).await
    }

    /// Approves a loan and disburses it on the last day of January 2020.
    pub async fn activate(&self, loan: &str) {
        self.change_state(loan, "APPROVE").await;
        let body = json!({"valueDate": day("2020-01-31"), "externalId": format!("{loan}-out")});
        self.post_ok(&format!("/loans/{loan}/disbursement-transactions"), &body).await;
    }

    /// Returns a loan from the server's state, or null if there is none.
    pub fn loan_state(&self, loan: &str) -> Value {
        let state = self.mambu.state();
        let loans = state["loans"].as_array().unwrap();
        loans.iter().find(|one| one["id"] == loan).cloned().unwrap_or(Value::Null)
    }
}

/// Returns the text of an HTTP request.
pub fn request(method: &str, path: &str, headers: &str, body: &str) -> String {
    let usual = format!("host: mock\r\naccept: application/vnd.mambu.v2+json\r\napikey: {API_KEY}\r\n");
    let kind = if body.is_empty() { "" } else { "content-type: application/json\r\n" };
    let length = body.len();
    format!("{method} /api{path} HTTP/1.1\r\n{usual}{kind}{headers}content-length: {length}\r\n\r\n{body}")
}

/// Returns the date-time at the start of a day, in UTC.
pub fn day(day: &str) -> String {
    format!("{day}T00:00:00+00:00")
}

/// Returns the body that creates a loan.
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

/// Returns an installment for `PUT …/schedule`.
pub fn installment(due: &str, principal: &str, interest: &str) -> Value {
    json!({"dueDate": day(due), "principal": {"amount": {"expected": principal}},
        "interest": {"amount": {"expected": interest}}})
}
