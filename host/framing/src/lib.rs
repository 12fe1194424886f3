//! Framing: bytes to records. Reads JSON Lines, JSON text sequences and tables (CSV), however the bytes are split.

#![warn(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_possible_wrap,
    clippy::cast_precision_loss,
    clippy::cast_lossless
)]

mod batch;
mod body_format;
mod charset;
mod csv;
mod foreign;
mod json_framer;
mod lines;
mod members;
#[cfg(any(test, fuzzing))]
pub mod properties;

pub use batch::{Fault, FieldCounts, Notice, RawBatch};
pub use body_format::{BodyFormat, FrameLimits, Framing};
pub use charset::Charset;
pub use csv::{ColumnNames, CsvDialect, CsvFormat, CsvFramer, HeaderFault, is_separator};
pub use foreign::{BodyStart, ForeignFormat, recognise};
pub use json_framer::{JsonFormat, JsonFramer};
pub use lines::{LineCounter, LineSpan, PassedLines, QuotePlace};
pub use members::{member_of, repeated_field, repeats_a_field, scalar_text, scan_object};
