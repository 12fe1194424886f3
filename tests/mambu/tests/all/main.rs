//! Tests of the mock server over HTTP.

mod adjustments;
mod authentication;
mod client;
mod faults;
mod http;
mod idempotency;
mod loan_lifecycle;
mod paging_and_search;
mod process;
mod rate_limit;
mod rejections;
