//! Loading: records of an upload are framed, mapped or validated, staged, and each gets a result.

pub(crate) mod issue_notes;
mod record_lines;
pub(crate) mod record_stream;
pub(crate) mod results;
pub(crate) mod source;
mod stage_records;
mod upload_summary;
mod withdraw;

pub use record_stream::{InputTotals, RecordStream, RecordStreamError, StreamPart, frame_limits};
pub use results::ResultWriter;
pub use source::load_source;
pub use stage_records::{delete_records, load_records};
pub use upload_summary::UploadSummary;
pub use withdraw::{WithdrawalRefusal, withdraw_upload};
