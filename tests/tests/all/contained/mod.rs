//! Hostile components from `tests/hostile`: each is refused before it runs, or contained and named as the cause, while
//! a neighbour works on the same server.

mod domains;
mod files;
mod quotas;
mod rows;
mod stop;
mod work;

pub use sluice_tests::wat::{Shape, component};
