//! Tables (CSV, RFC 4180): rows, their fields, the header, and the records made of them.

mod fields;
mod framer;
mod header;
#[cfg(test)]
mod recovery_tests;
mod refused_span;
mod row;
mod rows;
#[cfg(test)]
mod tests;

pub use framer::{ColumnNames, CsvFormat, CsvFramer};
pub use header::{HeaderFault, is_separator};
pub use row::{CsvDialect, is_padding};
