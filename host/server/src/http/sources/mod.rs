//! Source tables of the old system: load and count.

pub mod counts;
pub mod described;
pub mod load;
