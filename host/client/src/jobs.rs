//! Calls about jobs, and the results of jobs.

use std::time::Duration;

use reqwest::Method;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sluice_model::JobState;
use uuid::Uuid;

use crate::client::SluiceClient;
use crate::error::ClientError;
use crate::migrations::MIGRATIONS_PATH;
use crate::problem::ProblemDocument;

/// Maximum delay of the server's report on a running job, in seconds. It is the interval of progress reports.
const JOB_WAIT: u64 = 1;

/// Minimum time between two requests about a job, for a server that responds at once.
const JOB_PAUSE: Duration = Duration::from_millis(50);

/// A job: the members that the command reads.
#[derive(Clone, Debug, Deserialize)]
pub struct JobView {
    /// State.
    pub state: JobState,
    /// Number of processed records.
    pub done: u64,
    /// Number of records to process, as far as it is known.
    pub total: u64,
    /// Result of an ended job.
    pub result: Option<Value>,
}

impl JobView {
    /// Returns the result of an ended job. `kind` names the job in errors.
    ///
    /// # Errors
    ///
    /// Fails if the job was cancelled ([`ClientError::JobCancelled`]), interrupted ([`ClientError::JobInterrupted`]) or
    /// failed ([`ClientError::JobFailed`], [`ClientError::UnexpectedProblem`]).
    pub fn into_result(self, kind: &str) -> Result<JobResult, ClientError> {
        let kind = kind.to_owned();
        match self.state {
            JobState::Cancelled => return Err(ClientError::JobCancelled { kind }),
            JobState::Interrupted => return Err(ClientError::JobInterrupted { kind }),
            _ => {}
        }
        let value = self.result.unwrap_or_default();
        if let Some(problem) = value.get("problem") {
            let problem = ProblemDocument::deserialize(problem).map_err(ClientError::UnexpectedProblem)?;
            return Err(ClientError::JobFailed { kind, problem });
        }
        Ok(JobResult { kind, state: self.state, value })
    }
}

/// Result of a job that ended without a problem.
#[derive(Clone, Debug)]
pub struct JobResult {
    kind: String,
    /// State: `Succeeded`, or `Failed` if the result says what is wrong with the records.
    pub state: JobState,
    /// The result as the server sent it.
    pub value: Value,
}

impl JobResult {
    /// Returns the result of a validation.
    ///
    /// # Errors
    ///
    /// Fails with [`ClientError::UnexpectedJobResult`] if it is the result of another kind of job.
    pub fn validation(self) -> Result<ValidationView, ClientError> {
        self.parse()
    }

    /// Returns the counts of a verification.
    ///
    /// # Errors
    ///
    /// Fails with [`ClientError::UnexpectedJobResult`] if it is the result of another kind of job.
    pub fn counts(self) -> Result<Vec<CountView>, ClientError> {
        self.parse()
    }

    fn parse<T: serde::de::DeserializeOwned>(self) -> Result<T, ClientError> {
        let Self { kind, value, .. } = self;
        serde_json::from_value(value).map_err(|error| ClientError::UnexpectedJobResult { kind, source: error })
    }
}

/// Result of a validation.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ValidationView {
    /// True if no record has an error.
    pub is_valid: bool,
    /// Number of validated records.
    pub number_of_records: u64,
    /// Number of errors.
    pub number_of_errors: u64,
    /// Number of warnings.
    pub number_of_warnings: u64,
    /// Number of issues of each kind.
    pub issues_by_code: Vec<IssueCountView>,
}

/// Number of issues of one kind.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct IssueCountView {
    /// Entity type.
    pub entity_type: String,
    /// `error` or `warning`.
    pub severity: String,
    /// Code.
    pub code: String,
    /// Code of the rule, if a rule was broken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// Number of issues.
    pub count: u64,
}

/// A count of the verification: rows of the staging area beside rows of the target.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CountView {
    /// Kind of the count, such as `TotalEntity`.
    pub r#type: String,
    /// Names of the columns.
    pub headers: Vec<String>,
    /// Rows of the staging area.
    pub staged_rows: Vec<Vec<String>>,
    /// Rows of the target.
    pub imported_rows: Vec<Vec<String>>,
}

impl SluiceClient {
    /// Starts a job of a kind such as `validate`, with parameters if the kind takes any, and returns its id.
    ///
    /// # Errors
    ///
    /// See [`SluiceClient`].
    pub async fn start_job(
        &self,
        migration: Uuid,
        kind: &str,
        parameters: Option<&Value>,
    ) -> Result<Uuid, ClientError> {
        let path = format!("{MIGRATIONS_PATH}/{migration}/jobs/{kind}");
        match parameters {
            Some(parameters) => self.send_json(Method::PUT, &path, parameters).await,
            None => self.put(&path).await,
        }
    }

    /// Waits for the end of a job and returns the job. `progress` is called about once a second.
    ///
    /// # Errors
    ///
    /// See [`SluiceClient`]. A failed job is no error here: see [`JobView::into_result`].
    pub async fn wait_for_job(
        &self,
        migration: Uuid,
        job: Uuid,
        mut progress: impl FnMut(&JobView),
    ) -> Result<JobView, ClientError> {
        let path = format!("{MIGRATIONS_PATH}/{migration}/jobs/{job}");
        loop {
            let job: JobView = self.get_with_wait(&path, JOB_WAIT).await?;
            progress(&job);
            if job.state != JobState::Running {
                return Ok(job);
            }
            tokio::time::sleep(JOB_PAUSE).await;
        }
    }

    /// Cancels a job, which stops at its next batch.
    ///
    /// # Errors
    ///
    /// See [`SluiceClient`]. Fails with [`ClientError::Refused`] if the job has ended.
    pub async fn cancel_job(&self, migration: Uuid, job: Uuid) -> Result<(), ClientError> {
        self.send(Method::PUT, &format!("{MIGRATIONS_PATH}/{migration}/jobs/{job}/cancel")).await
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn job(state: JobState, result: Value) -> JobView {
        JobView { state, done: 1, total: 1, result: Some(result) }
    }

    #[test]
    fn a_stopped_or_failed_job_has_no_result() {
        let result = |state, value| job(state, value).into_result("import");
        assert_eq!(result(JobState::Succeeded, json!({"inserted": 1})).unwrap().value["inserted"], 1);
        assert!(matches!(result(JobState::Cancelled, json!({})), Err(ClientError::JobCancelled { .. })));
        assert!(matches!(result(JobState::Interrupted, json!({})), Err(ClientError::JobInterrupted { .. })));
        let problem = json!({"problem": {"title": "T", "detail": "D.", "code": "C"}});
        let failed = result(JobState::Failed, problem).unwrap_err();
        assert_eq!(failed.to_string(), "import failed. T: D. (C)");
    }
}
