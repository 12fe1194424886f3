//! A synthetic bank of any size, so that a first run needs nobody's data.

pub mod bank;
pub mod expected;
pub mod spoil;

mod chance;
mod line;
mod portfolio;
mod rows;

pub use bank::{Bank, Lines, TableCounts, tables};
pub use expected::{EntityCount, Expected, TableCount};
pub use spoil::{BadSpoil, Outcome, Spoil, Way};
