//! Migrations: register, list, read, set the mapper, purge.

pub mod mapper;
pub mod purge;
pub mod read;
pub mod register;
mod response;
