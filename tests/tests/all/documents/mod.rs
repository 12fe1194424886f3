//! Commands that the documents print, and rules of the source that the compiler cannot check.

mod architecture;
mod codes;
pub mod commands;
mod exit_codes;
