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
mod csv_framer;
mod csv_rows;
#[cfg(test)]
mod csv_tests;
mod json_framer;
mod members;
#[cfg(any(test, fuzzing))]
pub mod properties;

pub use batch::{Fault, RawBatch};
pub use body_format::{BodyFormat, Framing};
pub use charset::Charset;
pub use csv_framer::{ColumnNames, CsvFormat, CsvFramer, HeaderFault};
pub use csv_rows::CsvDialect;
pub use json_framer::{JsonFormat, JsonFramer};
pub use members::{member_of, repeats_a_field, scalar_text, scan_object};
