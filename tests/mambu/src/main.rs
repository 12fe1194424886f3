//! The stand-in as a program of its own.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Parser;
use mock_mambu::{Credentials, Mambu, Options};
use tokio::sync::oneshot;

/// A stateful stand-in for the Mambu banking API v2 on 127.0.0.1. Prints `ready at http://127.0.0.1:PORT` when it is.
#[derive(Parser)]
#[command(name = "mock-mambu", version)]
struct Arguments {
    /// The port; 0 lets the system choose
    #[arg(long, default_value_t = 0)]
    port: u16,

    /// A file with the API key that lets in
    #[arg(long, conflicts_with_all = ["user", "password_file"])]
    apikey_file: Option<PathBuf>,

    /// The user that is let in by HTTP Basic
    #[arg(long, requires = "password_file")]
    user: Option<String>,

    /// A file with that user's password
    #[arg(long, requires = "user")]
    password_file: Option<PathBuf>,

    /// Calls in any one second beyond which 429 is answered
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    calls_per_second: Option<u32>,

    /// How long an idempotency key is kept after its answer; may be a fraction
    #[arg(long, default_value_t = 21600.0)]
    idempotency_seconds: f64,

    /// End the connection after a 102
    #[arg(long)]
    close_after_processing: bool,

    /// Exit when stdin is closed, so that it does not outlive who started it
    #[arg(long)]
    until_stdin_closes: bool,
}

type Failure = Box<dyn std::error::Error>;

/// What a file holds, without the end of its line.
fn secret(path: &Path) -> Result<String, Failure> {
    let secret = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(secret.trim_end_matches(['\r', '\n']).to_owned())
}

impl Arguments {
    fn options(&self) -> Result<Options, Failure> {
        let mut options = Options {
            port: self.port,
            calls_per_second: self.calls_per_second,
            idempotency: Duration::try_from_secs_f64(self.idempotency_seconds)?,
            close_after_processing: self.close_after_processing,
            ..Options::default()
        };
        if let Some(path) = &self.apikey_file {
            options.credentials = vec![Credentials::ApiKey(secret(path)?)];
        }
        if let (Some(user), Some(path)) = (&self.user, &self.password_file) {
            options.credentials = vec![Credentials::Basic { user: user.clone(), password: secret(path)? }];
        }
        Ok(options)
    }
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let arguments = Arguments::parse();
    let mambu = Mambu::start(arguments.options()?).await?;
    let mut stdout = std::io::stdout();
    writeln!(stdout, "ready at {}", mambu.url())?;
    stdout.flush()?;
    if arguments.until_stdin_closes {
        let (closed, closes) = oneshot::channel();
        std::thread::spawn(move || {
            let _ = std::io::stdin().read_to_end(&mut vec![]);
            let _ = closed.send(());
        });
        let _ = closes.await;
    } else {
        std::future::pending::<()>().await;
    }
    mambu.stop().await;
    Ok(())
}
