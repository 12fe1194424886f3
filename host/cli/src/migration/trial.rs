//! `sluice trial`, `sluice compare` and `sluice remap`: what a mapper would do to a migration, and doing it again.

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use serde::Deserialize;
use serde_json::{Value, json};
use sluice_client::Method;
use sluice_model::JobState;
use uuid::Uuid;

use crate::migration::steps::{MIGRATIONS, wait};
use crate::migration::trial_text as text;
use crate::server::login::Login;
use crate::view::{View, print};
use sluice_client::{Client, Problem};

/// A migration on a server.
#[derive(Args)]
pub struct Place {
    /// The migration's reference id
    pub migration: Uuid,
    /// Address of the server
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080", env = "SLUICE_SERVER")]
    pub server: String,
    #[command(flatten)]
    pub login: Login,
}

/// Part of the records.
#[derive(Args)]
pub struct Part {
    /// About so many records, chosen by their keys and the seed [default: all]
    #[arg(long, value_name = "RECORDS", value_parser = clap::value_parser!(u64).range(1..))]
    sample: Option<u64>,
    /// Another seed chooses others
    #[arg(long, default_value_t = 0, requires = "sample")]
    seed: u64,
}

impl Part {
    fn told(&self) -> Value {
        self.sample.map_or(Value::Null, |records| json!({"records": records, "seed": self.seed}))
    }
}

/// What `sluice trial` is told.
#[derive(Args)]
pub struct Trial {
    #[command(flatten)]
    place: Place,
    /// SHA-256 of the mapper to try [default: the migration's own]
    #[arg(long, value_name = "DIGEST")]
    mapper: Option<String>,
    #[command(flatten)]
    part: Part,
    /// Keep the trial's target for so many hours, as an SQLite file that is not encrypted
    #[arg(long, value_name = "HOURS")]
    keep: Option<u64>,
    #[command(flatten)]
    output: crate::commands::Output,
}

/// What `sluice compare` is told.
#[derive(Args)]
pub struct Compare {
    #[command(flatten)]
    place: Place,
    /// SHA-256 of the mapper that is there
    #[arg(long, value_name = "DIGEST")]
    from: String,
    /// SHA-256 of the mapper that may take its place
    #[arg(long, value_name = "DIGEST")]
    to: String,
    #[command(flatten)]
    part: Part,
    /// Show no records
    #[arg(long)]
    figures: bool,
    #[command(flatten)]
    output: crate::commands::Output,
}

/// What `sluice remap` is told.
#[derive(Args)]
pub struct Remap {
    #[command(flatten)]
    place: Place,
    /// Only records that came to this; may be given more than once
    #[arg(long, value_name = "OUTCOME")]
    only: Vec<Outcome>,
    /// Only this source; may be given more than once
    #[arg(long, value_name = "NAME")]
    source: Vec<String>,
    #[command(flatten)]
    output: crate::commands::Output,
}

/// What `sluice records` is told.
#[derive(Args)]
pub struct Records {
    #[command(flatten)]
    place: Place,
    /// The source
    #[arg(long, value_name = "NAME")]
    source: String,
    /// Only records that came to this; may be given more than once
    #[arg(long, value_name = "OUTCOME")]
    outcome: Vec<Outcome>,
    /// Only those that came to it with this code
    #[arg(long)]
    code: Option<String>,
}

/// What became of a source record.
#[derive(Clone, Copy, ValueEnum)]
enum Outcome {
    Mapped,
    Skipped,
    Rejected,
    Quarantined,
}

impl Outcome {
    fn word(self) -> &'static str {
        match self {
            Outcome::Mapped => "mapped",
            Outcome::Skipped => "skipped",
            Outcome::Rejected => "rejected",
            Outcome::Quarantined => "quarantined",
        }
    }
}

/// Tries it; the exit code.
pub async fn trial(args: Trial) -> Result<u8> {
    let client = args.place.login.client(&args.place.server)?;
    let told = json!({"mapper": args.mapper, "sample": args.part.told(), "keepHours": args.keep});
    let view = View::new(args.output.quiet || args.output.json);
    let Some((state, result)) = job(&client, view, args.place.migration, "trial", "Trying", &told).await? else {
        return Ok(INTERRUPTED);
    };
    print(&if args.output.json { text::as_json(&result)? } else { text::trial(&result) })?;
    Ok(if state == JobState::Succeeded { 0 } else { 2 })
}

/// Compares; the exit code.
pub async fn compare(args: Compare) -> Result<u8> {
    let client = args.place.login.client(&args.place.server)?;
    let told = json!({"from": args.from, "to": args.to, "sample": args.part.told()});
    let view = View::new(args.output.quiet || args.output.json);
    compared(&client, view, args.place.migration, &told, args.output.json, args.figures).await
}

/// Compares two mappers on a migration, and prints what came of it; the exit code.
pub async fn compared(
    client: &Client,
    view: View,
    migration: Uuid,
    told: &Value,
    as_json: bool,
    figures: bool,
) -> Result<u8> {
    let Some((_, result)) = job(client, view, migration, "compare", "Comparing", told).await? else {
        return Ok(INTERRUPTED);
    };
    print(&if as_json { text::as_json(&result)? } else { text::comparison(&result) })?;
    if !figures && !as_json {
        let id = result["job"].as_str().context("a job has an id")?;
        let path = format!("{MIGRATIONS}/{migration}/jobs/{id}/differences");
        client.lines(&path, |line| Ok(print(&text::difference(&serde_json::from_str(line)?))?)).await?;
    }
    Ok(if result["isSame"] == true { 0 } else { 2 })
}

/// Maps again; the exit code.
pub async fn remap(args: Remap) -> Result<u8> {
    let client = args.place.login.client(&args.place.server)?;
    let only: Vec<&str> = args.only.iter().map(|outcome| outcome.word()).collect();
    let told = json!({"only": only, "sources": args.source});
    let view = View::new(args.output.quiet || args.output.json);
    let Some((_, result)) = job(&client, view, args.place.migration, "remap", "Mapping", &told).await? else {
        return Ok(INTERRUPTED);
    };
    print(&if args.output.json { text::as_json(&result)? } else { text::remapped(&result) })?;
    Ok(0)
}

/// Prints source records as they were uploaded; the exit code.
pub async fn records(args: Records) -> Result<u8> {
    let client = args.place.login.client(&args.place.server)?;
    let mut path = format!("{MIGRATIONS}/{}/sources/{}/records", args.place.migration, args.source);
    let outcomes: Vec<&str> = args.outcome.iter().map(|outcome| outcome.word()).collect();
    let asked = [("outcome", (!outcomes.is_empty()).then(|| outcomes.join(","))), ("code", args.code)];
    let asked: Vec<String> = asked.into_iter().filter_map(|(name, value)| Some(format!("{name}={}", value?))).collect();
    if !asked.is_empty() {
        path += &format!("?{}", asked.join("&"));
    }
    let mut out = std::io::stdout().lock();
    client.pieces(&path, |piece| Ok(std::io::Write::write_all(&mut out, piece)?)).await?;
    Ok(0)
}

/// What shells say of a process that SIGINT ended.
pub const INTERRUPTED: u8 = 130;

/// Runs a job to its end, or cancels it at Ctrl-C: how it ended and its result, with the job's id in it.
pub async fn job(
    client: &Client,
    view: View,
    migration: Uuid,
    kind: &str,
    doing: &str,
    told: &Value,
) -> Result<Option<(JobState, Value)>> {
    let jobs = format!("{MIGRATIONS}/{migration}/jobs");
    let id: Uuid = client.send(Method::PUT, &format!("{jobs}/{kind}"), told).await?;
    let bar = view.bar(doing, Some(0));
    let path = format!("{jobs}/{id}");
    let ended = tokio::select! {
        ended = wait(client, &path, &bar) => Some(ended),
        _ = tokio::signal::ctrl_c() => None,
    };
    bar.finish_and_clear();
    let Some(ended) = ended else {
        // A job that has just ended cannot be cancelled, and need not be.
        let _ = client.act(Method::PUT, &format!("{path}/cancel")).await;
        view.line("Interrupted: the job stops at its next batch.");
        return Ok(None);
    };
    let ended = ended?;
    match ended.state {
        JobState::Cancelled => bail!("{kind} was cancelled by somebody"),
        JobState::Interrupted => bail!("{kind} was interrupted because the server stopped"),
        _ => {}
    }
    let mut result = ended.result.unwrap_or_default();
    if let Some(problem) = result.get("problem") {
        let problem = Problem::deserialize(problem).context("the job failed and its problem cannot be understood")?;
        bail!("{kind} failed. {}", problem.sentence());
    }
    result["job"] = json!(id);
    Ok(Some((ended.state, result)))
}
