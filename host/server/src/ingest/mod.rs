//! Ingest of uploads: the request body comes in, the pipeline works on it, and results go out.

mod content_coding;
mod error;
mod expansion;
mod request_body;
mod table_check;
mod upload;
mod work;

pub use content_coding::{CODINGS, ContentCoding, UnknownCoding};
pub use error::{IngestError, ResultError};
pub use request_body::{PacedStream, paced};
pub use table_check::foreign_format;
pub use upload::{UploadIngest, whole_stream};
pub use work::{IngestOutcome, UploadKind};
