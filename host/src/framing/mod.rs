//! Bytes to records: JSON Lines and JSON text sequences, however the bytes are cut.

mod batch;
mod framer;
mod members;

pub use batch::{Fault, RawBatch};
pub use framer::{Format, Framer};
pub use members::{member_of, scalar_text, scan_object};
