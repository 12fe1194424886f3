//! An upload from the client's side: the body goes out as it is made, results are tallied as they come in.

use std::borrow::Cow;
use std::io;

use anyhow::{Context, Result, bail};
use reqwest::{Body, Response};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use crate::form::Form;
use crate::http::{Client, Problem};

/// Chunks that may wait to be sent: enough that making and sending go on side by side.
const WAITING_CHUNKS: usize = 4;

/// Errors of an upload that are kept to be shown: enough to see what kind they are.
const SHOWN_ERRORS: usize = 5;

/// Pieces of a body, made one at a time, on a thread of their own.
pub type Chunks = Box<dyn Iterator<Item = io::Result<Vec<u8>>> + Send>;

/// What became of an upload's records.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Tally {
    /// Results, one for each record.
    pub records: u64,
    /// How many by outcome and code.
    pub outcomes: Vec<OutcomeCount>,
    /// The first errors.
    pub first_errors: Vec<ErrorAt>,
}

/// How many records had an outcome.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OutcomeCount {
    /// `mapped`, `skipped`, `rejected`, `quarantined`, or `done` where there is only one way to succeed.
    pub outcome: String,
    /// Why, where there is more than one reason.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub code: String,
    /// How many.
    pub count: u64,
}

/// An error of one record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ErrorAt {
    /// The record's line, from 1.
    pub line: Option<u64>,
    /// What is wrong.
    pub code: String,
    /// Where.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub field: String,
}

impl Tally {
    /// How many records had this outcome, whatever the code.
    pub fn of(&self, outcome: &str) -> u64 {
        self.outcomes.iter().filter(|count| count.outcome == outcome).map(|count| count.count).sum()
    }

    /// Records of which nothing is staged because something is wrong with them or a plugin broke on them.
    pub fn refused(&self) -> u64 {
        self.of("rejected") + self.of("quarantined")
    }

    fn add(&mut self, outcome: &str, code: &str) {
        self.records += 1;
        match self.outcomes.iter_mut().find(|count| count.outcome == outcome && count.code == code) {
            Some(count) => count.count += 1,
            None => self.outcomes.push(OutcomeCount { outcome: outcome.into(), code: code.into(), count: 1 }),
        }
    }

    /// Takes in one line of the answer.
    fn line(&mut self, line: &[u8]) -> Result<()> {
        let result: ResultLine = serde_json::from_slice(line).context("a result line cannot be understood")?;
        if let Some(problem) = result.problem {
            bail!("the upload was stopped after {} records. {}", self.records, problem.sentence());
        }
        let first = result.errors.first();
        let code = result.code.as_deref().or(first.map(|error| &*error.message)).unwrap_or_default();
        let usual = if result.is_successful { "done" } else { "rejected" };
        self.add(result.outcome.as_deref().unwrap_or(usual), code);
        if !result.is_successful && self.first_errors.len() < SHOWN_ERRORS {
            let field = first.map(|error| error.field.clone().into_owned()).unwrap_or_default();
            self.first_errors.push(ErrorAt { line: result.line, code: code.to_owned(), field });
        }
        Ok(())
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ResultLine<'a> {
    is_successful: bool,
    line: Option<u64>,
    #[serde(borrow)]
    outcome: Option<Cow<'a, str>>,
    #[serde(borrow)]
    code: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    errors: Vec<Wrong<'a>>,
    problem: Option<Problem>,
}

#[derive(Deserialize)]
struct Wrong<'a> {
    #[serde(borrow, default)]
    field: Cow<'a, str>,
    #[serde(borrow)]
    message: Cow<'a, str>,
}

/// Uploads `chunks` and tallies the results. `seen` is told of bytes made and results read, now and then.
pub async fn upload(
    client: &Client,
    path: &str,
    form: &Form,
    mut chunks: Chunks,
    mut seen: impl FnMut(u64, u64),
) -> Result<Tally> {
    let (send, receive) = mpsc::channel(WAITING_CHUNKS);
    let made = std::sync::Arc::new(std::sync::atomic::AtomicU64::new(0));
    let bytes = made.clone();
    tokio::task::spawn_blocking(move || {
        for chunk in &mut chunks {
            let len = chunk.as_ref().map_or(0, Vec::len) as u64;
            // Nobody receives any more once the upload has been given up.
            if send.blocking_send(chunk).is_err() {
                break;
            }
            bytes.fetch_add(len, std::sync::atomic::Ordering::Relaxed);
        }
    });
    let mut response = client.upload(path, form, Body::wrap_stream(ReceiverStream::new(receive))).await?;
    let mut tally = Tally::default();
    let mut rest: Vec<u8> = vec![];
    while let Some(piece) = next(client, &mut response).await? {
        rest.extend_from_slice(piece.as_ref());
        let whole = memchr::memrchr(b'\n', &rest).map_or(0, |end| end + 1);
        for line in rest[..whole].split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
            tally.line(line)?;
        }
        rest.drain(..whole);
        seen(made.load(std::sync::atomic::Ordering::Relaxed), tally.records);
    }
    if !rest.is_empty() {
        bail!("the server's answer broke off in the middle of a result");
    }
    Ok(tally)
}

async fn next(client: &Client, response: &mut Response) -> Result<Option<impl AsRef<[u8]> + use<>>> {
    let piece = response.chunk().await.map_err(|error| client.broken(error))?;
    Ok(piece.map(Vec::from))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_tallied() {
        let mut tally = Tally::default();
        let lines = [
            r#"{"isSuccessful":true,"line":1,"outcome":"mapped","records":[{"entityType":"a","referenceId":"b"}]}"#,
            r#"{"isSuccessful":true,"line":2,"outcome":"skipped","code":"WHY"}"#,
            r#"{"isSuccessful":false,"line":3,"outcome":"rejected","errors":[{"field":"f","message":"M"}]}"#,
            r#"{"isSuccessful":false,"line":4,"outcome":"quarantined","code":"PLUGIN_PANICKED"}"#,
            r#"{"isSuccessful":true,"referenceId":"b"}"#,
        ];
        for line in lines {
            tally.line(line.as_bytes()).expect("a result");
        }
        assert_eq!((tally.records, tally.of("mapped"), tally.of("done"), tally.refused()), (5, 1, 1, 2));
        let error =
            |line, code: &str, field: &str| ErrorAt { line: Some(line), code: code.into(), field: field.into() };
        assert_eq!(tally.first_errors, [error(3, "M", "f"), error(4, "PLUGIN_PANICKED", "")]);
        let stopped = tally.line(br#"{"isSuccessful":false,"problem":{"title":"T","detail":"D.","code":"C"}}"#);
        let sentence = stopped.expect_err("a problem ends it").to_string();
        assert_eq!(sentence, "the upload was stopped after 5 records. T: D. (C)");
    }
}
