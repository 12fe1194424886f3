//! The mock server as a program.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Parser;
use mock_mambu::{MockCredentials, MockMambu, MockOptions};
use tokio::sync::oneshot;

/// A stateful mock of the Mambu banking API v2 on 127.0.0.1. Prints `ready at http://127.0.0.1:PORT` when it is ready.
#[derive(Parser)]
#[command(name = "mock-mambu", version)]
struct MockArguments {
    /// Port, or 0 for a free port
    #[arg(long, default_value_t = 0)]
    port: u16,

    /// File with the accepted API key
    #[arg(long, conflicts_with_all = ["user", "password_file"])]
    apikey_file: Option<PathBuf>,

    /// User accepted by HTTP Basic authentication
    #[arg(long, requires = "password_file")]
    user: Option<String>,

    /// File with the user's password
    #[arg(long, requires = "user")]
    password_file: Option<PathBuf>,

    /// Maximum number of calls in any second; more are answered with 429
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    calls_per_second: Option<u32>,

    /// Seconds for which an idempotency key is kept after its response; may be a fraction
    #[arg(long, default_value_t = 21600.0)]
    idempotency_seconds: f64,

    /// Close the connection after a 102
    #[arg(long)]
    close_after_processing: bool,

    /// Exit when stdin is closed, so that the program ends with its parent process
    #[arg(long)]
    until_stdin_closes: bool,
}

/// Error of the program.
type MainError = Box<dyn std::error::Error>;

/// Reads a file, without the line ending at its end.
fn secret(path: &Path) -> Result<String, MainError> {
    let secret = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(secret.trim_end_matches(['\r', '\n']).to_owned())
}

impl MockArguments {
    /// Returns the options of the server.
    fn options(&self) -> Result<MockOptions, MainError> {
        let mut options = MockOptions {
            port: self.port,
            calls_per_second: self.calls_per_second,
            idempotency: Duration::try_from_secs_f64(self.idempotency_seconds)?,
            close_after_processing: self.close_after_processing,
            ..MockOptions::default()
        };
        if let Some(path) = &self.apikey_file {
            options.credentials = vec![MockCredentials::ApiKey(secret(path)?)];
        }
        if let (Some(user), Some(path)) = (&self.user, &self.password_file) {
            options.credentials = vec![MockCredentials::Basic { user: user.clone(), password: secret(path)? }];
        }
        Ok(options)
    }
}

#[tokio::main]
async fn main() -> Result<(), MainError> {
    let arguments = MockArguments::parse();
    let mambu = MockMambu::start(arguments.options()?).await?;
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
