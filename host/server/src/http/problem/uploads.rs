//! Problems of uploads.

use axum::http::{StatusCode, header};

use super::Problem;
use crate::ingest::{CODINGS, IngestError, ResultError, UnknownCoding, foreign_format};
use sluice_framing::{BodyFormat, ForeignFormat};
use sluice_model::Blame;
use sluice_pipeline::RecordStreamError;

impl From<IngestError> for Problem {
    fn from(error: IngestError) -> Self {
        match error {
            IngestError::Empty => {
                Self::bad_request("EMPTY_BODY", "The body has no record. Do not upload an empty table.")
            }
            IngestError::Foreign(foreign, format) => {
                let code = match foreign {
                    ForeignFormat::Utf16(_) | ForeignFormat::NotUtf16 if matches!(format, BodyFormat::Csv(_)) => {
                        "INVALID_HEADER"
                    }
                    _ => "WRONG_BODY_FORMAT",
                };
                Self::unprocessable(code, foreign_format(foreign, &format)).blaming(Blame::Record)
            }
            IngestError::MissingKeyColumn(detail) => {
                Self::unprocessable("MISSING_KEY_COLUMN", detail).blaming(Blame::Record)
            }
            IngestError::EndedEarly => Self::bad_request("BODY_BROKEN_OFF", "The body ended before its first record."),
            IngestError::BrokenOff(reason) => reason.into(),
            IngestError::Quota(error) => error.into(),
            IngestError::Start(error) => error.into(),
            IngestError::Failure(failure) => failure.into(),
            IngestError::Staging(error) => error.into(),
            IngestError::Panicked(error) => error.into(),
        }
    }
}

impl ResultError for Problem {
    fn to_json(&self) -> serde_json::Value {
        Self::to_json(self)
    }
}

impl From<RecordStreamError> for Problem {
    fn from(reason: RecordStreamError) -> Self {
        let status = match reason {
            RecordStreamError::Panicked => return Self::own_trouble(reason.code(), Blame::Host),
            RecordStreamError::TooLong | RecordStreamError::Expansion | RecordStreamError::Window(_) => {
                StatusCode::PAYLOAD_TOO_LARGE
            }
            RecordStreamError::Gone
            | RecordStreamError::Slow
            | RecordStreamError::Compression
            | RecordStreamError::Unreadable => StatusCode::BAD_REQUEST,
        };
        Self::new(status, reason.code(), reason.client_message())
    }
}

impl From<UnknownCoding> for Problem {
    fn from(_: UnknownCoding) -> Self {
        let detail = "Send the body uncompressed, or with one Content-Encoding: gzip or zstd.";
        let problem = Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "UNSUPPORTED_CONTENT_ENCODING", detail);
        problem.with(header::ACCEPT_ENCODING, CODINGS)
    }
}
