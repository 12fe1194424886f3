//! Client of the HTTP API: requests, tokens, uploads, and every failure as a sentence.

mod form;
mod http;
mod upload;

pub use form::Form;
pub use http::{Client, Problem, read_credentials};
pub use reqwest::{Certificate, Method};
pub use upload::{Chunks, ErrorAt, OutcomeCount, Tally, upload};
