//! Uploads: the body is sent while it is produced, and results are counted while they arrive.

use std::borrow::Cow;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use reqwest::Body;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use crate::client::SluiceClient;
use crate::error::ClientError;
use crate::problem::ProblemDocument;
use crate::upload_format::UploadFormat;

/// Maximum number of chunks that wait to be sent. It lets producing and sending overlap.
const WAITING_CHUNKS: usize = 4;

/// Code of the result line of an upload without a record.
const NO_RECORDS: &str = "NO_RECORDS";

/// Maximum number of errors that a tally keeps to be shown.
const FIRST_ERRORS: usize = 5;

/// Chunks of a body. They are produced one at a time, on a thread of their own.
pub type BodyChunks = Box<dyn Iterator<Item = io::Result<Vec<u8>>> + Send>;

/// Tally of an upload's results.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ResultTally {
    /// Number of results, one for each record.
    pub records: u64,
    /// Number of results by outcome and code.
    pub outcomes: Vec<ResultCount>,
    /// Number of lines of refused records. A refused record can have many lines.
    pub refused_lines: u64,
    /// First errors.
    pub first_errors: Vec<UploadRecordError>,
}

/// Number of results with one outcome and code.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ResultCount {
    /// `mapped`, `skipped`, `rejected`, `quarantined`, or `done` for uploads that have only one kind of success.
    pub outcome: String,
    /// Code of the reason, for outcomes that have several reasons.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub code: String,
    /// Number of results.
    pub count: u64,
}

/// Error of one record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UploadRecordError {
    /// Line of the record, from 1.
    pub line: Option<u64>,
    /// Last line, if the record has more than one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_line: Option<u64>,
    /// Place of the quote because of which the lines are refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quote: Option<QuoteView>,
    /// Code.
    pub code: String,
    /// Field with the error.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub field: String,
}

/// Place of a quote in a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuoteView {
    /// Line, from 1.
    pub line: u64,
    /// Column of the table, from 1.
    pub column: u32,
}

impl UploadRecordError {
    /// Returns the lines as text, with the place of the quote because of which they are refused.
    pub fn place(&self) -> Option<String> {
        let line = self.line?;
        let lines = self.last_line.map_or(format!("line {line}"), |last| format!("lines {line}–{last}"));
        let opened = |quote: QuoteView| format!(", quote opened in line {}, column {}", quote.line, quote.column);
        Some(lines + &self.quote.map(opened).unwrap_or_default())
    }
}

impl ResultTally {
    /// Returns the number of records with an outcome, over all codes.
    pub fn count(&self, outcome: &str) -> u64 {
        self.outcomes.iter().filter(|count| count.outcome == outcome).map(|count| count.count).sum()
    }

    /// Returns the number of refused records: the rejected ones and the quarantined ones.
    pub fn refused(&self) -> u64 {
        self.count("rejected") + self.count("quarantined")
    }

    fn add(&mut self, outcome: &str, code: &str) {
        self.records += 1;
        match self.outcomes.iter_mut().find(|count| count.outcome == outcome && count.code == code) {
            Some(count) => count.count += 1,
            None => self.outcomes.push(ResultCount { outcome: outcome.into(), code: code.into(), count: 1 }),
        }
    }

    /// Adds one line of the response.
    fn add_line(&mut self, line: &[u8]) -> Result<(), ClientError> {
        let result: ResultLineView = serde_json::from_slice(line).map_err(ClientError::UnexpectedResultLine)?;
        if let Some(problem) = result.problem {
            return Err(ClientError::UploadStopped { records: self.records, problem });
        }
        if result.is_successful && result.outcome.is_none() && result.code.as_deref() == Some(NO_RECORDS) {
            return Ok(());
        }
        let first = result.errors.first();
        let code = result.code.as_deref().or(first.map(|error| &*error.message)).unwrap_or_default();
        let usual = if result.is_successful { "done" } else { "rejected" };
        self.add(result.outcome.as_deref().unwrap_or(usual), code);
        if result.is_successful {
            return Ok(());
        }
        let (line, last_line, quote) = (result.line, result.last_line, result.quote);
        self.refused_lines += last_line.zip(line).map_or(1, |(last, first)| last.saturating_sub(first) + 1);
        if self.first_errors.len() < FIRST_ERRORS {
            let field = first.map(|error| error.field.clone().into_owned()).unwrap_or_default();
            self.first_errors.push(UploadRecordError { line, last_line, quote, code: code.to_owned(), field });
        }
        Ok(())
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ResultLineView<'a> {
    is_successful: bool,
    line: Option<u64>,
    last_line: Option<u64>,
    quote: Option<QuoteView>,
    #[serde(borrow)]
    outcome: Option<Cow<'a, str>>,
    #[serde(borrow)]
    code: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    errors: Vec<FieldErrorView<'a>>,
    problem: Option<ProblemDocument>,
}

#[derive(Deserialize)]
struct FieldErrorView<'a> {
    #[serde(borrow, default)]
    field: Cow<'a, str>,
    #[serde(borrow)]
    message: Cow<'a, str>,
}

impl SluiceClient {
    /// Uploads `chunks` and counts the results. `progress` is called now and then with the number of produced bytes and
    /// of received results.
    ///
    /// # Errors
    ///
    /// See [`SluiceClient`]. Also fails if the server stops the upload ([`ClientError::UploadStopped`]) or a result is
    /// not understood ([`ClientError::UnexpectedResultLine`], [`ClientError::TruncatedResults`]). An error of `chunks`
    /// ends the body, and the upload fails.
    pub async fn upload(
        &self,
        path: &str,
        format: &UploadFormat,
        mut chunks: BodyChunks,
        mut progress: impl FnMut(u64, u64),
    ) -> Result<ResultTally, ClientError> {
        let (send, receive) = mpsc::channel(WAITING_CHUNKS);
        let produced = Arc::new(AtomicU64::new(0));
        let bytes = produced.clone();
        tokio::task::spawn_blocking(move || {
            for chunk in &mut chunks {
                let len = chunk.as_ref().map_or(0, Vec::len) as u64;
                // Sending fails once the upload has ended.
                if send.blocking_send(chunk).is_err() {
                    break;
                }
                bytes.fetch_add(len, Ordering::Relaxed);
            }
        });
        let mut response = self.begin_upload(path, format, Body::wrap_stream(ReceiverStream::new(receive))).await?;
        let mut tally = ResultTally::default();
        let mut rest: Vec<u8> = vec![];
        while let Some(piece) = response.chunk().await.map_err(|error| self.connection_error(error))? {
            rest.extend_from_slice(&piece);
            let whole = memchr::memrchr(b'\n', &rest).map_or(0, |end| end + 1);
            for line in rest[..whole].split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
                tally.add_line(line)?;
            }
            rest.drain(..whole);
            progress(produced.load(Ordering::Relaxed), tally.records);
        }
        if !rest.is_empty() {
            return Err(ClientError::TruncatedResults);
        }
        Ok(tally)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_counted() {
        let mut tally = ResultTally::default();
        let lines = [
            r#"{"isSuccessful":true,"line":1,"outcome":"mapped","records":[{"entityType":"a","referenceId":"b"}]}"#,
            r#"{"isSuccessful":true,"line":2,"outcome":"skipped","code":"WHY"}"#,
            r#"{"isSuccessful":false,"line":3,"outcome":"rejected","errors":[{"field":"f","message":"M"}]}"#,
            r#"{"isSuccessful":false,"line":4,"lastLine":11,"quote":{"line":4,"column":5},"outcome":"rejected","errors":[{"field":"","message":"Q"}]}"#,
            r#"{"isSuccessful":false,"line":14,"outcome":"quarantined","code":"PLUGIN_PANICKED"}"#,
            r#"{"isSuccessful":true,"code":"NO_RECORDS"}"#,
            r#"{"isSuccessful":true,"referenceId":"b"}"#,
        ];
        for line in lines {
            tally.add_line(line.as_bytes()).expect("a result");
        }
        assert_eq!((tally.records, tally.count("mapped"), tally.count("done"), tally.refused()), (6, 1, 1, 3));
        assert_eq!(tally.refused_lines, 10);
        let places: Vec<String> = tally.first_errors.iter().filter_map(UploadRecordError::place).collect();
        assert_eq!(places, ["line 3", "lines 4–11, quote opened in line 4, column 5", "line 14"]);
        let codes: Vec<(&str, &str)> = tally.first_errors.iter().map(|error| (&*error.code, &*error.field)).collect();
        assert_eq!(codes, [("M", "f"), ("Q", ""), ("PLUGIN_PANICKED", "")]);
        let stopped = tally.add_line(br#"{"isSuccessful":false,"problem":{"title":"T","detail":"D.","code":"C"}}"#);
        let sentence = stopped.expect_err("a problem ends it").to_string();
        assert_eq!(sentence, "the upload was stopped after 6 records. T: D. (C)");
    }
}
