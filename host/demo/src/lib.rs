//! A synthetic bank of any size, so that a first run needs no customer's data.

mod bank;
mod expected;
mod spoil;

mod legacy_row;
mod portfolio;
mod random;
mod rows;

pub use bank::{Bank, MAX_CUSTOMERS, TableCounts, TableLines, tables};
pub use expected::{EntityCount, ExpectedCounts, TableCount};
pub use spoil::{SPOIL_KINDS, SpoilError, SpoilKind, SpoilOutcome, SpoilRate};
