//! `sluice demo`: a synthetic bank through all five steps.

pub mod demo;
pub mod expectation;
pub mod mock_platform;
