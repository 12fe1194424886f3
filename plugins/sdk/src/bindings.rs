//! Rust bindings of the contract in `wit/`. Plugins use the traits of this crate instead.
//!
//! wit-bindgen generates the files of this folder. They are checked in because the generator takes longer to compile
//! than this crate. `SLUICE_BLESS=1 cargo test -p sluice-guest-builder --test bindings` writes them again, and without
//! the variable it checks that they match the contract.

// The attributes apply to generated source. Its unsafe code converts values to and from the canonical ABI. Its format is
// the generator's, and not every item of the contract has a doc comment.
#![allow(missing_docs, unsafe_code, clippy::all, clippy::pedantic)]

/// Bindings of world `domain`.
#[rustfmt::skip]
pub mod domain;

/// Bindings of world `mapper`, and the types that all worlds share.
#[rustfmt::skip]
pub mod mapper;

/// Bindings of world `platform`.
#[rustfmt::skip]
pub mod platform;

pub use mapper::sluice::plugin::types;
