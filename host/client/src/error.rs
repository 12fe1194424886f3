//! Errors of the client.

use std::error::Error as _;
use std::path::PathBuf;

use reqwest::StatusCode;

use crate::problem::ProblemDocument;

/// An error of a request. Its text is a sentence for a person.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The server's address is not an HTTP URL.
    #[error("`{address}` is not the address of a server: an address begins with http:// or https://")]
    InvalidAddress {
        /// The address that was given.
        address: String,
    },
    /// The server's address is plain HTTP on another machine.
    #[error(
        "{address} is plain HTTP on another machine: anybody on the way could read the secret and the records. Use \
         https://, or allow it with --allow-http if the way is protected"
    )]
    PlainHttp {
        /// The address that was given.
        address: String,
    },
    /// The HTTP client could not be set up.
    #[error(transparent)]
    Setup(reqwest::Error),
    /// A file with credentials could not be read.
    #[error("cannot read {}", file.display())]
    UnreadableCredentials {
        /// The file.
        file: PathBuf,
        /// The reason.
        source: std::io::Error,
    },
    /// A file with credentials does not hold an id and a secret.
    #[error("{} does not hold id:secret", file.display())]
    InvalidCredentials {
        /// The file.
        file: PathBuf,
    },
    /// No server accepts connections at the address.
    #[error(
        "no server answers at {server} ({}): start one with `sluice serve`, or name another with --server",
        root_cause(error)
    )]
    NotReachable {
        /// Address of the server.
        server: String,
        /// The failed connection.
        error: reqwest::Error,
    },
    /// The client does not accept the server's certificate.
    #[error("the certificate of {server} is not accepted: {reason}")]
    CertificateRefused {
        /// Address of the server.
        server: String,
        /// The reason, with the remedy.
        reason: &'static str,
    },
    /// The server sent nothing for too long.
    #[error("the server at {server} has not answered for {seconds} s")]
    Silent {
        /// Address of the server.
        server: String,
        /// Length of the silence, in seconds.
        seconds: u64,
    },
    /// The connection ended in the middle of an exchange.
    #[error("the connection to {server} was lost: {}", root_cause(error))]
    ConnectionLost {
        /// Address of the server.
        server: String,
        /// The failed exchange.
        error: reqwest::Error,
    },
    /// The server requires credentials and the client has none.
    #[error(
        "{server} accepts only API clients: name a file that holds id:secret with --client-file, such as admin-client in \
         the server's data directory"
    )]
    CredentialsRequired {
        /// Address of the server.
        server: String,
    },
    /// The server refused the client's id and secret.
    #[error("{server} refuses the client {id}: its secret is wrong, or it was revoked, or it has expired")]
    CredentialsRefused {
        /// Address of the server.
        server: String,
        /// Id of the client.
        id: String,
    },
    /// The request for a token failed for another reason than the credentials.
    #[error(transparent)]
    TokenRefused(reqwest::Error),
    /// The response to a request for a token holds none.
    #[error("{server} sent no token: is it a Sluice server of this version?")]
    NoToken {
        /// Address of the server.
        server: String,
    },
    /// The server refused the request with a problem document.
    #[error("{}", problem.sentence())]
    Refused {
        /// Status of the response.
        status: StatusCode,
        /// Body of the response.
        problem: ProblemDocument,
    },
    /// The server refused the request without a problem document of Sluice.
    #[error("{server} answered {path} with {status}: is it a Sluice server?")]
    NotSluice {
        /// Address of the server.
        server: String,
        /// Path of the request.
        path: String,
        /// Status of the response.
        status: StatusCode,
    },
    /// The body of a response has another shape than expected.
    #[error("the response to {path} cannot be read: is {server} a Sluice server of this version?")]
    UnexpectedResponse {
        /// Address of the server.
        server: String,
        /// Path of the request.
        path: String,
        /// The parser's error.
        source: serde_json::Error,
    },
    /// A response that should be text is not UTF-8.
    #[error(transparent)]
    NotText(#[from] std::str::Utf8Error),
    /// Query parameters could not be encoded.
    #[error(transparent)]
    InvalidQuery(#[from] serde_urlencoded::ser::Error),
    /// A result line of an upload has another shape than expected.
    #[error("a result line cannot be read")]
    UnexpectedResultLine(#[source] serde_json::Error),
    /// The server stopped an upload.
    #[error("the upload was stopped after {records} records. {}", problem.sentence())]
    UploadStopped {
        /// Number of results before the stop.
        records: u64,
        /// The reason.
        problem: ProblemDocument,
    },
    /// The results of an upload end within a line.
    #[error("the server's response ended in the middle of a result")]
    TruncatedResults,
    /// An API client cancelled a job.
    #[error("{kind} was cancelled by an API client")]
    JobCancelled {
        /// Kind of the job.
        kind: String,
    },
    /// The server stopped while a job was running.
    #[error("{kind} was interrupted because the server stopped")]
    JobInterrupted {
        /// Kind of the job.
        kind: String,
    },
    /// A job failed.
    #[error("{kind} failed. {}", problem.sentence())]
    JobFailed {
        /// Kind of the job.
        kind: String,
        /// The reason.
        problem: ProblemDocument,
    },
    /// A job failed, and its problem document has another shape than expected.
    #[error("the job failed and its problem cannot be read")]
    UnexpectedProblem(#[source] serde_json::Error),
    /// The result of a job has another shape than expected.
    #[error("the result of {kind} cannot be read")]
    UnexpectedJobResult {
        /// Kind of the job.
        kind: String,
        /// The parser's error.
        source: serde_json::Error,
    },
}

/// Returns the text of the deepest cause, which is the most specific one.
fn root_cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    let mut next = error.source();
    while let Some(deeper) = next {
        (cause, next) = (deeper, deeper.source());
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The text of a refusal is the text of the server's problem document.
    #[test]
    fn a_refusal_is_the_servers_sentence() {
        let problem: ProblemDocument =
            serde_json::from_str(r#"{"title":"Conflict","detail":"An import is running.","code":"IMPORT_RUNS"}"#)
                .unwrap();
        let refused = ClientError::Refused { status: StatusCode::CONFLICT, problem };
        assert_eq!(refused.to_string(), "Conflict: An import is running. (IMPORT_RUNS)");
    }
}
