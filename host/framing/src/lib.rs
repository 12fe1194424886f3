//! Bytes to records: JSON Lines, JSON text sequences and tables (CSV), however the bytes are cut.

mod batch;
mod charset;
mod csv;
#[cfg(test)]
mod csv_cases;
mod framer;
mod members;
#[cfg(any(test, fuzzing))]
pub mod properties;
mod rows;
mod shape;

pub use batch::{Fault, RawBatch};
pub use charset::Charset;
pub use csv::{CsvFramer, HeaderFault, Names, Table};
pub use framer::{Format, Framer};
pub use members::{member_of, repeats_a_field, scalar_text, scan_object};
pub use rows::Dialect;
pub use shape::{Framing, Shape};
