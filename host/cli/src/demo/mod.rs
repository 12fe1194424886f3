//! `sluice demo`: moves a synthetic bank through all five steps.

pub mod command;
pub mod expectation;
pub mod mock_platform;
