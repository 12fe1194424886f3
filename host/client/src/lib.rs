//! Typed client of Sluice's HTTP API.
//!
//! [`SluiceClient`] obtains tokens, registers migrations, uploads records while their results arrive, and runs jobs. Every
//! failure is a [`ClientError`]. Its text is a sentence for a person and names a remedy where there is one.
//!
//! This example uploads one table and validates it:
//!
//! ```no_run
//! use std::path::Path;
//!
//! use sluice_client::{SluiceClient, UploadFormat, read_credentials};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let credentials = read_credentials(Path::new("sluice-data/admin-client"))?;
//! let client = SluiceClient::new("http://127.0.0.1:8080", Some(credentials), None)?;
//! let migration = client.register(&["Counterparties"], "berka", None).await?.reference_id;
//!
//! let table = b"{\"client_id\":1,\"birth_number\":\"706213\",\"district_id\":18}\n".to_vec();
//! let chunks = Box::new(std::iter::once(Ok(table)));
//! let tally = client.upload_source(migration, "client", &UploadFormat::json_lines(), chunks, |_, _| {}).await?;
//! println!("{} of {} records are mapped", tally.count("mapped"), tally.records);
//!
//! let job = client.start_job(migration, "validate", None).await?;
//! let job = client.wait_for_job(migration, job, |job| println!("{} of {}", job.done, job.total)).await?;
//! let validation = job.into_result("validate")?.validation()?;
//! println!("{} errors", validation.number_of_errors);
//! # Ok(())
//! # }
//! ```

mod certificate;
mod client;
mod credentials;
mod error;
mod jobs;
mod migrations;
mod problem;
mod upload;
mod upload_format;

pub use client::SluiceClient;
pub use credentials::read_credentials;
pub use error::ClientError;
pub use jobs::{CountView, IssueCountView, JobResult, JobView, ValidationView};
pub use migrations::{IssueView, MIGRATIONS_PATH, MapperView, MigrationView, PageView, SourceView};
pub use problem::ProblemDocument;
pub use reqwest::{Certificate, Method};
pub use upload::{BodyChunks, QuoteView, ResultCount, ResultTally, UploadRecordError};
pub use upload_format::UploadFormat;
