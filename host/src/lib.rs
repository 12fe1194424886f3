//! Sluice: moves a lender's data into a new lending platform through sandboxed plugins.
//!
//! A record's way, in one direction: HTTP body → [`framing`] → mapper ([`plugin`]) → domain plugin →
//! [`staging`] → [`target`] → counts. [`pipeline`] has a file for each of the five steps.

/// The files that are kept for a fuzz target: what it begins with, and what it has found.
#[cfg(test)]
macro_rules! seeds {
    ($target:literal) => {{
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../fuzz/seeds/", $target);
        let files = std::fs::read_dir(folder).expect(folder);
        let seeds: Vec<Vec<u8>> = files.map(|file| std::fs::read(file.unwrap().path()).unwrap()).collect();
        assert!(!seeds.is_empty(), "{folder} is empty");
        seeds
    }};
}

pub mod access;
pub mod app;
pub mod audit;
pub mod backup;
pub mod config;
mod defects;
pub mod demo;
pub mod framing;
pub mod http;
pub mod jobs;
pub mod keys;
pub mod metrics;
pub mod model;
pub mod pipeline;
pub mod platform;
pub mod plugin;
mod sql;
pub mod staging;
pub mod store;
pub mod target;
