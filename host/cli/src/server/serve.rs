//! `sluice serve`: runs the server until SIGINT or SIGTERM.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use sluice_config::Config;
use sluice_server::app::Options;
use tokio::net::TcpListener;

/// Arguments of `sluice serve`.
#[derive(Args)]
pub struct ServeArgs {
    /// Address to listen on; port 0 selects a free port
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080", env = "SLUICE_LISTEN")]
    listen: String,
    /// Directory for all data of the server
    #[arg(long, value_name = "DIR", default_value = "./sluice-data", env = "SLUICE_DATA_DIR")]
    data_dir: PathBuf,
    /// Configuration file (TOML); settings that it omits keep their defaults
    #[arg(long, value_name = "FILE", env = "SLUICE_CONFIG")]
    config: Option<PathBuf>,
    /// Mapper to offer in addition to the embedded one; may be given more than once
    #[arg(long, value_name = "FILE")]
    mapper: Vec<PathBuf>,
    /// Format of log lines: text or json
    #[arg(long, value_name = "FORMAT", default_value = "text", hide_possible_values = true)]
    pub log_format: LogFormat,
}

/// Format of log lines.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Text.
    Text,
    /// JSON, one object a line.
    Json,
}

/// Logs panics with their place and without their message, which may quote customer data.
fn install_panic_hook() {
    std::panic::set_hook(Box::new(|panic| {
        let (file, line) = panic.location().map_or(("?", 0), |place| (place.file(), place.line()));
        tracing::error!(code = "HOST_PANICKED", file, line, "a mistake in the server");
    }));
}

/// Runs the server and returns the exit code.
pub async fn run(args: ServeArgs) -> Result<u8> {
    install_panic_hook();
    sluice_data_dir::create_private_files();
    let config = args.config.as_deref().map(Config::read).transpose()?.unwrap_or_default();
    let listener =
        TcpListener::bind(&args.listen).await.with_context(|| format!("cannot listen on {}", args.listen))?;
    let stop = stop_signal()?;
    sluice_server::serve(
        listener,
        Options { data_dir: args.data_dir, config, mappers: args.mapper, ..Options::default() },
        stop,
    )
    .await?;
    tracing::info!("stopped");
    Ok(0)
}

/// Returns a future that ends with the first SIGINT or SIGTERM.
fn stop_signal() -> Result<impl Future<Output = ()> + Send + 'static> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        tracing::info!("stopping: running requests finish, jobs stop at their next batch");
    })
}
