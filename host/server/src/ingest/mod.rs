//! Ingest of uploads: the request body comes in, the pipeline works on it, and results go out.

mod content_coding;
mod error;
mod request_body;
mod upload;
mod work;

pub use content_coding::{CODINGS, ContentCoding, UnknownCoding};
pub use error::{IngestError, ResultError};
pub use request_body::{PacedStream, paced};
pub use upload::UploadIngest;
pub use work::{IngestOutcome, UploadKind};
