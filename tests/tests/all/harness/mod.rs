//! Servers, clients, records and tools that the tests share.

pub mod canary;
pub mod canary_records;
pub mod clients;
pub mod killable_server;
pub mod lender;
pub mod neighbour;
pub mod raw_http;
pub mod recorded_server;
pub mod server;
pub mod tools;
