//! `sluice serve`: the server, until somebody ends it.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use sluice_config::Config;
use sluice_server::app::Options;
use tokio::net::TcpListener;

/// What `sluice serve` is told.
#[derive(Args)]
pub struct Serve {
    /// Address to listen on; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080", env = "SLUICE_LISTEN")]
    listen: String,
    /// Where everything is kept
    #[arg(long, value_name = "DIR", default_value = "./sluice-data", env = "SLUICE_DATA_DIR")]
    data_dir: PathBuf,
    /// Limits (TOML); what the file leaves out keeps its default
    #[arg(long, value_name = "FILE", env = "SLUICE_CONFIG")]
    config: Option<PathBuf>,
    /// A mapper beside the embedded one; may be given more than once
    #[arg(long, value_name = "FILE")]
    mapper: Vec<PathBuf>,
    /// How log lines look: text or json
    #[arg(long, value_name = "FORMAT", default_value = "text", hide_possible_values = true)]
    pub log_format: LogFormat,
}

/// How log lines look.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    Text,
    /// An object a line.
    Json,
}

/// A panic is logged with its place and without its message, which may quote what it was about.
fn panic_quietly() {
    std::panic::set_hook(Box::new(|panic| {
        let (file, line) = panic.location().map_or(("?", 0), |place| (place.file(), place.line()));
        tracing::error!(code = "HOST_PANICKED", file, line, "a mistake in the server");
    }));
}

/// Runs it; the exit code.
pub async fn run(args: Serve) -> Result<u8> {
    panic_quietly();
    let config = args.config.as_deref().map(Config::read).transpose()?.unwrap_or_default();
    let listener =
        TcpListener::bind(&args.listen).await.with_context(|| format!("cannot listen on {}", args.listen))?;
    let stop = stopped()?;
    sluice_server::serve(listener, Options { data_dir: args.data_dir, config, mappers: args.mapper }, stop).await?;
    tracing::info!("stopped");
    Ok(0)
}

/// Ends with the first SIGINT or SIGTERM.
fn stopped() -> Result<impl Future<Output = ()> + Send + 'static> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        tracing::info!("stopping: running requests come to their end, jobs stop at their next batch");
    })
}
