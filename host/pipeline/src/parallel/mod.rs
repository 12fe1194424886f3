//! Work on several threads whose results come in the order of the work.

mod ordered_parallel;
mod producer_consumer;

pub(crate) use ordered_parallel::{ordered_parallel, workers};
pub(crate) use producer_consumer::producer_consumer;
