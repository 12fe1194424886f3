//! Running one job to its end, with a progress bar and Ctrl-C.

use anyhow::Result;
use indicatif::ProgressBar;
use serde_json::{Value, json};
use sluice_client::{JobResult, JobView, SluiceClient};
use uuid::Uuid;

use crate::format::counted;
use crate::progress::ProgressDisplay;

/// Exit code after Ctrl-C: the code that shells report for a process that SIGINT ended.
pub const INTERRUPTED: u8 = 130;

/// Runs a job to its end and returns its result, with the job's id in it as `job`. Ctrl-C cancels the job, and the result
/// is none. `activity` is the label of the progress bar.
pub async fn run_job(
    client: &SluiceClient,
    progress: ProgressDisplay,
    migration: Uuid,
    kind: &str,
    activity: &str,
    parameters: &Value,
) -> Result<Option<JobResult>> {
    let job = client.start_job(migration, kind, Some(parameters)).await?;
    let bar = progress.bar(activity, Some(0));
    let ended = tokio::select! {
        ended = client.wait_for_job(migration, job, |job| show_progress(&bar, job)) => Some(ended),
        _ = tokio::signal::ctrl_c() => None,
    };
    bar.finish_and_clear();
    let Some(ended) = ended else {
        // The server refuses to cancel a job that has just ended.
        let _ = client.cancel_job(migration, job).await;
        progress.line("Interrupted: the job stops at its next batch.");
        return Ok(None);
    };
    let mut result = ended?.into_result(kind)?;
    result.value["job"] = json!(job);
    Ok(Some(result))
}

/// Shows the progress of a job on a bar.
pub fn show_progress(bar: &ProgressBar, job: &JobView) {
    bar.set_length(job.total);
    bar.set_position(job.done);
    bar.set_message(counted(job.done, "record"));
}
